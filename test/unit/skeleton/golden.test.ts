/**
 * Skeletons, whole: for each C file in cases/ the module that is made of it lies beside it. After a wanted change,
 * `npx vitest run --project unit test/unit/skeleton -u` writes them anew; read what changed.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { casePath, skeletonOfCase } from "./support/generate.js";

const CASES = ["traps", "names", "sections", "maps", "rings", "bare"] as const;
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

describe("a skeleton is what it was", () => {
  test.for(CASES)("%s", { timeout: 60_000 }, async (name) => {
    await expect(await skeletonOfCase(name)).toMatchFileSnapshot(casePath(`${name}.bpf.ts`));
  });
});

describe("the skeletons beside the C files", () => {
  test.for(CASES)("%s is formatted and lints", { timeout: 60_000 }, (name) => {
    const text = readFileSync(casePath(`${name}.bpf.ts`), "utf8");
    const biome = `${ROOT}/node_modules/.bin/biome`;
    const checked = spawnSync(
      biome,
      ["check", "--write", "--error-on-warnings", "--stdin-file-path=lib/skeleton/golden.ts"],
      { cwd: ROOT, input: text, encoding: "utf8" },
    );
    expect(checked.stderr).toBe("");
    expect(checked.stdout).toBe(text);
    expect(checked.status).toBe(0);
  });

  test("compile under the strictest options there are", { timeout: 120_000 }, () => {
    const program = ts.createProgram(
      CASES.map((name) => casePath(`${name}.bpf.ts`)),
      {
        target: ts.ScriptTarget.ES2023,
        lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
        module: ts.ModuleKind.NodeNext,
        types: ["node"],
        noEmit: true,
        declaration: true,
        skipLibCheck: true,
        strict: true,
        allowUnreachableCode: false,
        allowUnusedLabels: false,
        erasableSyntaxOnly: true,
        exactOptionalPropertyTypes: true,
        isolatedDeclarations: true,
        isolatedModules: true,
        noFallthroughCasesInSwitch: true,
        noImplicitOverride: true,
        noImplicitReturns: true,
        noPropertyAccessFromIndexSignature: true,
        noUncheckedIndexedAccess: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
        verbatimModuleSyntax: true,
        paths: { ebpf: [`${ROOT}/lib/index.ts`], "ebpf/skeleton": [`${ROOT}/lib/skeleton/index.ts`] },
      },
    );
    // The library is compiled by its own options, which are less: its declarations need not be isolated.
    const diagnostics = CASES.flatMap((name) => {
      const file = program.getSourceFile(casePath(`${name}.bpf.ts`));
      return [
        ...program.getSyntacticDiagnostics(file),
        ...program.getSemanticDiagnostics(file),
        ...program.getDeclarationDiagnostics(file),
      ];
    });
    expect(
      diagnostics.map(
        ({ file, start, messageText }) =>
          `${file?.fileName}:${start}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
      ),
    ).toEqual([]);
    expect(program.getGlobalDiagnostics()).toEqual([]);
  });
});
