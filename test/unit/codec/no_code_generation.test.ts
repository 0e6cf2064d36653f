import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import { afterAll, expect, test } from "vitest";
import { BtfBuilder } from "../btf/support/builder.js";

const lib = fileURLToPath(new URL("../../../lib", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "ebpf-unit-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The sources as JavaScript, for a process of its own. */
function transpile(): void {
  const files = [
    "errors.ts",
    "nearest.ts",
    "options.ts",
    "kernel/ip_address.ts",
    ...["btf", "codec"].flatMap((room) =>
      readdirSync(join(lib, room), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts"))
        .map((file) => join(room, file)),
    ),
  ];
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  for (const file of files) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    const { outputText } = ts.transpileModule(readFileSync(join(lib, file), "utf8"), { compilerOptions: options });
    writeFileSync(join(directory, file.replace(/\.ts$/, ".js")), outputText);
  }
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
}

test("codecs work where code may not be made from text", () => {
  transpile();
  const builder = new BtfBuilder();
  const u32 = builder.int("u32", 4);
  const char = builder.int("char", 1);
  builder.struct("event", 20, [
    ["pid", u32, 0],
    ["comm", builder.array(char, 16), 32],
  ]);
  writeFileSync(join(directory, "event.btf"), builder.bytes());
  const module = (path: string): string => JSON.stringify(pathToFileURL(join(directory, path)).href);
  const program = `
    import { fileBtf } from ${module("btf/sources.js")};
    import { compileCodec } from ${module("codec/codec.js")};
    import { Memory } from ${module("codec/memory.js")};
    import { compileReader } from ${module("codec/reader.js")};
    import { canGenerate } from ${module("codec/source.js")};
    const btf = fileBtf(${JSON.stringify(join(directory, "event.btf"))});
    const codec = compileCodec(btf, btf.get("event", "struct"));
    const memory = Memory.allocate(codec.size);
    codec.encode(memory, 0, { pid: 7, comm: "node" });
    const reader = compileReader(btf, btf.get("event", "struct"))(memory);
    console.log(JSON.stringify([canGenerate(), codec.decode(memory, 0), reader.at(0).comm]));
  `;
  for (const flags of [["--disallow-code-generation-from-strings"], []]) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, "--input-type=module", "-e", program], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual([flags.length === 0, { pid: 7, comm: "node" }, "node"]);
  }
});
