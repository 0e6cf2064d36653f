/**
 * Skeletons, whole: for each C file in cases/ the module that is made of it lies beside it. After a wanted change,
 * `npx vitest run --project unit test/unit/skeleton -u` writes them anew; read what changed.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { build } from "../../../lib/build/index.js";
import { generateSkeleton } from "../../../lib/skeleton/index.js";
import { casePath, describeBytes, diagnosticsOf, skeletonOfCase } from "./support/generate.js";

const CASES = ["traps", "names", "sections", "maps", "arena", "rings", "bare"] as const;
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

describe("a skeleton is what it was", () => {
  test.for(CASES)("%s", { timeout: 60_000 }, async (name) => {
    await expect(await skeletonOfCase(name)).toMatchFileSnapshot(casePath(`${name}.bpf.ts`));
  });
});

test("with the object in it", { timeout: 60_000 }, async () => {
  // Any bytes: an object's own are the compiler's, and differ between its versions.
  const embed = Uint8Array.from({ length: 200 }, (_, i) => i);
  await expect(await skeletonOfCase("bare", { embed })).toMatchFileSnapshot(casePath("embedded.bpf.ts"));
});

test("the same source gives the same text, wherever it lies", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ebpf-golden-"));
  try {
    copyFileSync(casePath("traps.bpf.c"), join(folder, "traps.bpf.c"));
    const { object } = await build({ file: join(folder, "traps.bpf.c") });
    expect(generateSkeleton(describeBytes(object), { file: "traps.bpf.o" })).toBe(await skeletonOfCase("traps"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("the skeletons beside the C files", () => {
  test.for([...CASES, "embedded"])("%s is formatted and lints", { timeout: 60_000 }, (name) => {
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
    expect(diagnosticsOf([...CASES, "embedded"].map((name) => casePath(`${name}.bpf.ts`)))).toEqual([]);
  });
});
