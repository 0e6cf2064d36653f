/** docs/guide.md, followed to the letter: its files, its commands, in an empty folder, with the package as npm installs it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCgroup } from "./support/cgroup.js";
import { nodeComm } from "./support/comm.js";
import { Installation } from "./support/installed.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const GUIDE = readFileSync(join(ROOT, "docs/guide.md"), "utf8");

/** A file of the guide: its name in backquotes and a colon, then a block. */
function file(name: string): string {
  const found = new RegExp(`^\`${name.replaceAll(".", "\\.")}\`:\n\n\`\`\`\\w+\n(.*?)^\`\`\`$`, "ms").exec(GUIDE);
  if (found === null) return expect.fail(`the guide has no ${name}`);
  return found[1] as string;
}

/** A command that the guide gives, by how it begins. */
function command(start: string): string[] {
  const blocks = [...GUIDE.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) => (block as string).split("\n"));
  const found = blocks.find((line) => line.startsWith(start));
  if (found === undefined) return expect.fail(`the guide has no command ${start}`);
  return found.split(" ");
}

const unversioned = (name: string) => name.replace(/(?<=.)@.*/, "");

const STRICTEST = [
  "allowUnreachableCode=false",
  "allowUnusedLabels=false",
  "erasableSyntaxOnly",
  "exactOptionalPropertyTypes",
  "isolatedModules",
  "noFallthroughCasesInSwitch",
  "noImplicitOverride",
  "noImplicitReturns",
  "noPropertyAccessFromIndexSignature",
  "noUncheckedIndexedAccess",
  "noUnusedLocals",
  "noUnusedParameters",
  "verbatimModuleSyntax",
].flatMap((option) => {
  const [name, value = "true"] = option.split("=");
  return [`--${name}`, value];
});

/** The TypeScript compiler and npx are what takes the time, on a machine that has more to do. */
const TIMEOUT_MS = 600_000;

const FILES = ["tsconfig.json", "connects.bpf.c", "connects.ts"];

requires({ notInVm: true, cgroup2: true, mapType: "ringbuf" }).describe("the guide", () => {
  let user: Installation;

  beforeAll(() => {
    user = new Installation();
    user.init(...command("npm init").join(" ").split(" && "));
    expect(command("npm install ebpf")).toEqual(["npm", "install", "ebpf"]);
    user.install();
    expect(command("npm install --save-dev").slice(3).map(unversioned)).toEqual(["typescript", "@types/node"]);
    user.installTypeScript();
    for (const name of FILES) writeFileSync(join(user.folder, name), file(name));
  }, TIMEOUT_MS);
  afterAll(() => user[Symbol.dispose]());

  test("has no cast in its TypeScript", () => {
    expect(file("connects.ts")).not.toMatch(/\bas\b|\bany\b|\w!|@ts-/);
    expect(JSON.parse(file("tsconfig.json"))).toMatchObject({ compilerOptions: { strict: true } });
  });

  test("builds, compiles and runs", { timeout: TIMEOUT_MS }, async () => {
    const [npx = "", ...build] = command("npx ebpf build");
    expect(user.run(npx, ...build)).toMatchObject({ status: 0, stderr: "" });
    const [, ...compile] = command("npx tsc");
    expect(user.run(npx, ...compile)).toMatchObject({ status: 0, stdout: "" });

    await using cgroup = new TestCgroup();
    const server = cgroup.node(`
      import { createServer } from "node:net";
      const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1", () => console.log(server.address().port));
    `);
    const port = await until("a server", () => Number(server.stdout) || undefined);

    const [, node, script] = command("sudo node");
    expect([node, script]).toEqual(["node", "connects.js"]);
    const tool = new Child(process.execPath, [join(user.folder, "connects.js"), cgroup.path, String(port)]);
    try {
      await until("the tool to watch", () => tool.stdout.includes("watching") || tool.process.exitCode !== null);
      const client = cgroup.node(
        `
        import { connect } from "node:net";
        const to = (port) => new Promise((done) => connect(port, "127.0.0.1").on("error", done).on("close", done).resume());
        const port = Number(process.argv[1]);
        for (let i = 0; i < 3; i++) await to(port);
        await to(port === 9 ? 10 : 9);
        console.log(process.pid);
        `,
        String(port),
      );
      const pid = Number(await client.output());
      const line = `${nodeComm()} (${pid}) TCP 127.0.0.1:${port}\n`;
      await until("three lines of output", () => tool.stdout.split(line).length === 4);
      tool.process.kill("SIGINT");
      const { code, stdout, stderr } = await tool.finished;
      expect(stderr).toBe("");
      expect(code).toBe(0);
      expect(stdout).toContain(`\n127.0.0.1:${port}  3 times\n`);
      expect(stdout).toContain("\n3 seen, 1 passed over, 0 lost\n");
    } finally {
      tool.process.kill("SIGKILL");
    }

    expect(user.run(process.execPath, "connects.js")).toMatchObject({
      status: 2,
      stderr: "usage: node connects.js CGROUP [PORT]\n",
    });
  });

  requires({ notInVm: true }).test(
    "compiles under whatever else a user may have switched on",
    () => {
      expect(user.run("npx", "tsc", "--noEmit", ...STRICTEST)).toMatchObject({ status: 0, stdout: "" });
    },
    TIMEOUT_MS,
  );
});
