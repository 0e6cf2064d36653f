/** The package: what is in it, and that it works where nothing else of this project is. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Installation } from "./support/installed.js";
import { requires } from "./support/requires.js";
import { run } from "./support/run.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What prebuilt addons may ask for: that of Ubuntu 22.04 and RHEL 9. */
const NEWEST = { GLIBC: "2.34", GLIBCXX: "3.4.29" };

requires({ notInVm: true }).describe("the package", () => {
  let user: Installation;
  let installed: string;
  beforeAll(() => {
    user = new Installation();
    user.install();
    installed = join(user.folder, "node_modules/ebpf");
  }, 600_000);
  afterAll(() => user[Symbol.dispose]());

  /** Evaluates an expression in a module, or a CommonJS script, of the user's. */
  function evaluate<T>(expression: string, type: "module" | "commonjs" = "module"): T {
    const code = `console.log(JSON.stringify(${expression}))`;
    return JSON.parse(user.output(process.execPath, `--input-type=${type}`, "-e", code)) as T;
  }

  test("what it promises in its package.json is there", async () => {
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as Record<string, unknown>;
    const { messages } = await publint({ pkgDir: installed, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, manifest))).toEqual([]);
  });

  test("each of its modules is imported, and required", () => {
    const names = evaluate<string[]>(
      `Object.keys((await import("ebpf/package.json", { with: { type: "json" } })).default.exports)`,
    );
    const modules = names.filter((name) => name !== "./package.json").map((name) => name.replace(/^\./, "ebpf"));
    expect(modules).toEqual(["ebpf", "ebpf/net", "ebpf/build", "ebpf/skeleton"]);
    for (const name of modules) {
      const imported = evaluate<string[]>(`Object.keys(await import("${name}"))`);
      expect(imported.length).toBeGreaterThan(0);
      expect(evaluate<string[]>(`Object.keys(require("${name}"))`, "commonjs")).toEqual(
        expect.arrayContaining(imported),
      );
    }
  });

  test("its addon is there for this platform, and loads", () => {
    const loaded = evaluate<string[]>(
      `(await import("ebpf")).features() && process.report.getReport().sharedObjects.filter((name) => name.endsWith("/ebpf.node"))`,
    );
    expect(loaded).toEqual([join(installed, `prebuilds/linux-${process.arch}/ebpf.node`)]);
  });

  test("its addon asks for no newer C library than it says", () => {
    const addon = join(installed, `prebuilds/linux-${process.arch}/ebpf.node`);
    const needed = [...run("readelf", "--wide", "--version-info", addon).matchAll(/Name: (GLIBC|GLIBCXX)_([\d.]+) /g)];
    expect(needed.length).toBeGreaterThan(0);
    for (const [name, library, version = ""] of needed) {
      const newest = NEWEST[library as keyof typeof NEWEST];
      expect(version.localeCompare(newest, "en", { numeric: true }), name).toBeLessThanOrEqual(0);
    }
  });

  test("the command runs", () => {
    const help = user.output("npx", "ebpf", "--help");
    expect(help).toContain("Usage: ebpf ");
  });

  test("nothing in it names a folder of the machine that made it", () => {
    const files = readdirSync(installed, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(100);
    const naming = files
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => readFileSync(path).includes(ROOT.replace(/\/$/, "")));
    expect(naming).toEqual([]);
  });

  test("what is for those who work on it is not in it", () => {
    const top = readdirSync(installed).sort();
    expect(top).toEqual(
      [
        "CHANGELOG.md",
        "LICENSE",
        "NOTICE",
        "README.md",
        "bpf",
        "dist",
        "docs",
        "lib",
        "native",
        "package.json",
        "prebuilds",
        "scripts",
      ].sort(),
    );
  });
});
