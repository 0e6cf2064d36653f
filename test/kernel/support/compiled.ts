import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A program of test/fixtures, compiled on first use; by its text, as another checkout on this machine may have another. */
export function compiled(name: string): string {
  const source = fileURLToPath(new URL(`../../fixtures/${name}.c`, import.meta.url));
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), "ebpf-test-bin", hash);
  const binary = join(folder, name);
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const made = `${binary}.${process.pid}`;
  const { status, stderr } = spawnSync("cc", ["-O2", "-g", "-o", made, source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`cc: ${stderr}`);
  renameSync(made, binary);
  return binary;
}
