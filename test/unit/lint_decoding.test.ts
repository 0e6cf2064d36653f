import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodingProblems } from "../../scripts/lint/decoding.mjs";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ebpf-lint-"));
  for (const folder of ["lib", "examples", "test/kernel", "bench"]) mkdirSync(join(root, folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

function write(name: string, source: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), source);
}

describe("nothing is decoded by hand", () => {
  test("in this project, but for what is named with its reason", () => {
    expect(decodingProblems(fileURLToPath(new URL("../..", import.meta.url)))).toEqual([]);
  });

  test.each([
    ["lib/net/a.ts", "const port = record.readUInt16BE(4);"],
    ["lib/events/a.ts", "const view = new DataView(slab);"],
    ["lib/map/a.ts", "return view.getBigUint64(8, true);"],
    ["examples/demo/a.ts", "new Uint32Array(bytes.buffer, 4)"],
    ["test/kernel/a.test.ts", "bytes.writeBigInt64LE(5n, 8);"],
    ["bench/a.mjs", "buffer.readDoubleLE(0)"],
  ])("%s: %s", (file, source) => {
    write(file, `// first\n${source}\n`);
    expect(decodingProblems(root, {})).toEqual([expect.stringContaining(`${file}:2: bytes at offsets`)]);
    expect(decodingProblems(root, { [file]: "a reason" })).toEqual([]);
    expect(decodingProblems(root, { [`${dirname(file)}/`]: "a reason" })).toEqual([]);
  });

  test("what is allowed and not there any more", () => {
    write("lib/a.ts", "const total = first + second;");
    expect(decodingProblems(root, { "lib/a.ts": "a reason" })).toEqual([
      expect.stringContaining("lib/a.ts is allowed"),
    ]);
  });

  test("arrays of numbers are not bytes", () => {
    write("lib/a.ts", "const word = new BigUint64Array(1); const widths = new Uint32Array(columns);");
    expect(decodingProblems(root, {})).toEqual([]);
  });
});
