/**
 * The project's own objects: a skeleton of every one compiles, and those that are in use are of today's objects.
 * After a change in BPF C, `npx vitest run --project unit test/unit/skeleton -u` writes them anew.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateSkeleton } from "../../../lib/skeleton/index.js";
import { describeBytes } from "./support/generate.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const FOLDERS = ["bpf", "test/fixtures"];

/** Sources, without those that are there to be wrong. */
const objects = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".bpf.c") && !name.startsWith("no_btf"))
    .map((name) => join(ROOT, folder, name.replace(/\.c$/, ".o"))),
);

/** Skeletons in use, each with its object: the module says where that is. */
const inUse = ["lib/net", "test/fixtures", "examples"].flatMap((folder) => {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".bpf.ts"))
    .map((name) => join(ROOT, folder, name));
});

test("every object is built", () => {
  expect(
    objects.filter((object) => !existsSync(object)),
    "npm run build:bpf makes them",
  ).toEqual([]);
});

describe("skeletons in use are of today's objects", () => {
  test.for(inUse.map((path) => relative(ROOT, path)))("%s", async (name) => {
    const path = join(ROOT, name);
    const text = readFileSync(path, "utf8");
    const [, from] = /new URL\("(.*)", import\.meta\.url\)/.exec(text) ?? [];
    const [, className] = /^export class (\w+) extends LoadedObject/m.exec(text) ?? [];
    expect(from && className, "made by ebpf gen").toBeTruthy();
    const object = join(dirname(path), from as string);
    const made = generateSkeleton(describeBytes(readFileSync(object)), {
      file: basename(object),
      path: from,
      className,
    });
    await expect(made).toMatchFileSnapshot(path);
  });
});

describe("a skeleton of every object", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ebpf-skeletons-"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("compiles under strict", { timeout: 120_000 }, () => {
    const files = objects.map((object) => {
      const name = basename(object);
      const path = join(folder, name.replace(/\.o$/, ".ts"));
      writeFileSync(path, generateSkeleton(describeBytes(readFileSync(object)), { file: name }));
      return path;
    });
    expect(files.length).toBeGreaterThan(5);
    const program = ts.createProgram(files, {
      target: ts.ScriptTarget.ES2023,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      module: ts.ModuleKind.NodeNext,
      typeRoots: [join(ROOT, "node_modules/@types")],
      types: ["node"],
      noEmit: true,
      skipLibCheck: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      noPropertyAccessFromIndexSignature: true,
      noUncheckedIndexedAccess: true,
      paths: { ebpf: [`${ROOT}/lib/index.ts`], "ebpf/skeleton": [`${ROOT}/lib/skeleton/index.ts`] },
    });
    const diagnostics = files.flatMap((path) => {
      const file = program.getSourceFile(path);
      return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    });
    expect(
      diagnostics.map(
        ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
      ),
    ).toEqual([]);
  });
});
