import { readFileSync } from "node:fs";
import { release, version } from "node:os";

/**
 * Whether a task can be preempted anywhere in this kernel (preemption "full" or "lazy"), as far as it tells.
 *
 * It matters to BPF trampolines: while a task is preempted inside a program, the kernel skips that program for every other call on
 * that CPU (the per-CPU `active` counter of kernel/bpf/trampoline.c).
 */
export function isPreemptible(): boolean {
  try {
    // "none voluntary (full) lazy": needs debugfs, which not everyone mounts.
    return /\((full|lazy)\)/.test(readFileSync("/sys/kernel/debug/sched/preempt", "utf8"));
  } catch {
    const built = version();
    if (/PREEMPT_DYNAMIC/.test(built)) {
      // Chosen at boot, by default as configured: distributions took "voluntary", which 7.0 no longer has.
      const chosen = /(?:^|\s)preempt=(\w+)/.exec(readFileSync("/proc/cmdline", "utf8"))?.[1];
      return chosen === undefined ? Number.parseInt(release(), 10) >= 7 : chosen === "full" || chosen === "lazy";
    }
    return /PREEMPT/.test(built);
  }
}
