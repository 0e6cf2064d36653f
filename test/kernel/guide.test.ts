/** docs/guide.md, followed to the letter: its files, its commands, in an empty folder. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCgroup } from "./support/cgroup.js";
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

const FILES = ["tsconfig.json", "connects.bpf.c", "connects.ts"];

requires({ cgroup2: true, mapType: "ringbuf" }).describe("the guide", () => {
  let folder: string;

  function inFolder(program: string, ...args: string[]) {
    return spawnSync(program, args, { cwd: folder, encoding: "utf8" });
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ebpf-guide-"));
    writeFileSync(join(folder, "package.json"), '{ "name": "guide", "type": "module" }\n');
    for (const name of FILES) writeFileSync(join(folder, name), file(name));
    // What `npm install` would put there.
    mkdirSync(join(folder, "node_modules/@types"), { recursive: true });
    symlinkSync(ROOT, join(folder, "node_modules/ebpf"));
    symlinkSync(join(ROOT, "node_modules/@types/node"), join(folder, "node_modules/@types/node"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("has no cast in its TypeScript", () => {
    expect(file("connects.ts")).not.toMatch(/\bas\b|\bany\b|\w!|@ts-/);
    expect(JSON.parse(file("tsconfig.json"))).toMatchObject({ compilerOptions: { strict: true } });
  });

  test("builds, compiles and runs", async () => {
    const [npx, ebpf, ...args] = command("npx ebpf build");
    expect([npx, ebpf]).toEqual(["npx", "ebpf"]);
    expect(inFolder(process.execPath, join(ROOT, "dist/cli/main.js"), ...args)).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect(command("npx tsc")).toEqual(["npx", "tsc"]);
    expect(inFolder(process.execPath, join(ROOT, "node_modules/typescript/bin/tsc"))).toMatchObject({
      status: 0,
      stdout: "",
    });

    await using cgroup = new TestCgroup();
    const server = cgroup.node(`
      import { createServer } from "node:net";
      const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1", () => console.log(server.address().port));
    `);
    const port = await until("a server", () => Number(server.stdout) || undefined);

    const [, node, script] = command("sudo node");
    expect([node, script]).toEqual(["node", "connects.js"]);
    const tool = new Child(process.execPath, [join(folder, "connects.js"), cgroup.path, String(port)]);
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
      const line = `node (${pid}) TCP 127.0.0.1:${port}\n`;
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

    expect(inFolder(process.execPath, "connects.js")).toMatchObject({
      status: 2,
      stderr: "usage: node connects.js CGROUP [PORT]\n",
    });
  });
});
