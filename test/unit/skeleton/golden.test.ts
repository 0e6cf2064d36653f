/**
 * Skeletons, whole: for each C file in cases/ the module that is made of it lies beside it. After a wanted change,
 * `npx vitest run --project unit test/unit/skeleton -u` writes them anew; read what changed.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { casePath, diagnosticsOf, skeletonOfCase } from "./support/generate.js";

const CASES = ["traps", "names", "sections", "maps", "arena", "rings", "bare"] as const;
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
    expect(diagnosticsOf(CASES.map((name) => casePath(`${name}.bpf.ts`)))).toEqual([]);
  });
});
