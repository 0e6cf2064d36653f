/** The examples of the documentation compile: those in docstrings of the library, in README.md and in docs/. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Example {
  readonly file: string;
  readonly line: number;
  readonly code: string;
}

/** Fenced blocks of TypeScript, in Markdown or behind the stars of a comment. */
function examplesOf(file: string): Example[] {
  const found: Example[] = [];
  let block: { line: number; prefix: string; code: string[] } | undefined;
  readFileSync(file, "utf8")
    .split("\n")
    .forEach((text, i) => {
      const [, prefix = "", fence] = /^(\s*(?:\*\s?)?)(```\w*)/.exec(text) ?? [];
      if (block === undefined) {
        if (fence === "```ts") block = { line: i + 2, prefix: prefix.trim(), code: [] };
      } else if (fence === "```") {
        found.push({ file: relative(root, file), line: block.line, code: block.code.join("\n") });
        block = undefined;
      } else {
        block.code.push(block.prefix === "*" ? text.replace(/^\s*\*\s?/, "") : text);
      }
    });
  return found;
}

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(root, folder, name));
}

// docs/guide.md builds a tool of its own, with a skeleton made by the command; its own test follows it step by step.
const markdown = [join(root, "README.md"), ...filesBelow("docs", ".md")].filter((file) => !file.endsWith("guide.md"));
const examples = [...filesBelow("lib", ".ts"), ...markdown].flatMap(examplesOf);

const folder = mkdtempSync(join(tmpdir(), "ebpf-examples-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the documentation's examples", () => {
  test("are found", () => {
    expect(examples.length).toBeGreaterThan(10);
    expect(examples.some(({ file }) => file === "README.md")).toBe(true);
  });

  test("compile under the strict options of the project, each by itself", { timeout: 120_000 }, () => {
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    const names = examples.map(({ code }, i) => {
      const name = join(folder, `example-${i}.ts`);
      // `export {}` makes a module of an example without imports: it may await at its top level.
      writeFileSync(name, `${code}\nexport {};\n`);
      return name;
    });
    const program = ts.createProgram(names, {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      types: ["node"],
      typeRoots: [join(root, "node_modules/@types")],
      skipLibCheck: true,
      noEmit: true,
      paths: {
        ebpf: [join(root, "lib/index.ts")],
        "ebpf/net": [join(root, "lib/net/index.ts")],
        "ebpf/build": [join(root, "lib/build/index.ts")],
        "ebpf/skeleton": [join(root, "lib/skeleton/index.ts")],
      },
    });
    const wrong = ts.getPreEmitDiagnostics(program).flatMap(({ file, start, messageText }) => {
      const at = file === undefined ? -1 : names.indexOf(file.fileName);
      const example = examples[at];
      if (file === undefined || example === undefined) return [];
      const { line } = file.getLineAndCharacterOfPosition(start ?? 0);
      return [`${example.file}:${example.line + line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`];
    });
    expect(wrong).toEqual([]);
  });
});
