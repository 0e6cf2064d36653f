import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { importProblems } from "../../scripts/lint/imports.mjs";

let library: string;
beforeEach(() => {
  library = mkdtempSync(join(tmpdir(), "ebpf-lint-"));
});
afterEach(() => rmSync(library, { recursive: true }));

function write(files: Record<string, string>): void {
  for (const [name, source] of Object.entries(files)) {
    mkdirSync(dirname(join(library, name)), { recursive: true });
    writeFileSync(join(library, name), source);
  }
}

describe("import directions", () => {
  test("hold in the library", () => {
    expect(importProblems(fileURLToPath(new URL("../../lib", import.meta.url)))).toEqual([]);
  });

  test("down, sideways and to the common files are allowed", () => {
    write({
      "errors.ts": "",
      "btf/btf.ts": 'import { x } from "../errors.js";',
      "link/link.ts": "",
      "program/program.ts": 'import { link } from "../link/link.js";\nimport { btf } from "../btf/btf.js";',
      "index.ts": 'export { a } from "./program/program.js";',
    });
    expect(importProblems(library)).toEqual([]);
  });

  test.each([
    ["codec/a.ts", 'import { x } from "../object/x.js";', "codec must not import from object"],
    ["btf/a.ts", 'import {\n  x,\n  y,\n} from "../codec/x.js";', "btf must not import from codec"],
    ["map/a.ts", 'import type { X } from "../skeleton/x.js";', "map must not import from skeleton"],
    ["map/a.ts", 'export * from "../index.js";', "map must not import from index"],
    ["errors.ts", 'const x = await import("./map/map.js");', "errors must not import from map"],
    ["map/a.ts", 'import bindings from "bindings";', "only lib/native.ts loads the addon"],
    ["map/a.ts", 'import "../../scripts/x.js";', "outside of lib/"],
    ["map/a.ts", 'import { x } from "./x";', "must end in .js"],
    ["attic/a.ts", "", "no room of this name"],
  ])("%s with %j is refused", (file, source, problem) => {
    write({ [file]: source });
    expect(importProblems(library).join("\n")).toContain(problem);
  });

  test("files that import each other are refused, types included", () => {
    write({ "map/a.ts": 'import { b } from "./b.js";', "map/b.ts": 'const a = await import("./a.js");' });
    expect(importProblems(library)).toEqual([]);
    write({ "map/b.ts": 'import type { A } from "./a.js";' });
    expect(importProblems(library)).toEqual(["lib/: files that import each other: map/a.ts -> map/b.ts -> map/a.ts"]);
    write({ "map/b.ts": 'import { c } from "./c.js";', "map/c.ts": 'export { a } from "./a.js";' });
    expect(importProblems(library)).toEqual([
      "lib/: files that import each other: map/a.ts -> map/b.ts -> map/c.ts -> map/a.ts",
    ]);
  });
});
