import { mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.js";

/** Why a test of what `lsm` programs do cannot run. */
export const NO_BPF_LSM = "bpf is not among the active security modules (lsm=...,bpf on the kernel's command line)";

/** The active security modules, which securityfs tells: `lsm` programs run where `bpf` is one of them. */
export function bpfIsAnLsm(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "ebpf-securityfs-"));
  try {
    run("mount", "-t", "securityfs", "securityfs", folder);
    try {
      return readFileSync(join(folder, "lsm"), "utf8").split(",").includes("bpf");
    } finally {
      run("umount", folder);
    }
  } catch {
    // No security modules at all.
    return false;
  } finally {
    rmdirSync(folder);
  }
}
