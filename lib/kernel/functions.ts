/** What the kernel says of its functions: for explaining why a probe could not be attached. */
import { existsSync, readFileSync } from "node:fs";
import { nearest } from "../nearest.js";
import type { Meaning } from "./explain.js";
import { errno } from "./errno.js";

/** Whether this kernel has kprobes at all (CONFIG_KPROBES): as a perf event source (4.17), or through tracefs before that. */
export function hasKprobes(): boolean {
  return (
    existsSync("/sys/bus/event_source/devices/kprobe/type") ||
    existsSync("/sys/kernel/tracing/kprobe_events") ||
    existsSync("/sys/kernel/debug/tracing/kprobe_events")
  );
}

/** Every text symbol of /proc/kallsyms that the test accepts; `name.suffix` (compiler clones) included. */
export function kernelFunctions(accept: (name: string) => boolean): string[] {
  const found: string[] = [];
  for (const line of readFileSync("/proc/kallsyms", "latin1").split("\n")) {
    // "ffffffff81000000 T name\t[module]"
    const type = line.charAt(17);
    if (type !== "t" && type !== "T" && type !== "w" && type !== "W") continue;
    const end = line.indexOf("\t", 19);
    const name = end < 0 ? line.slice(19) : line.slice(19, end);
    if (accept(name)) found.push(name);
  }
  return found;
}

/** Why no probe can be put on a function, as far as the kernel tells. */
export function explainFunction(name: string): Meaning | undefined {
  if (!hasKprobes()) {
    return {
      code: "KERNEL_UNSUPPORTED",
      text: "this kernel was built without kprobes (CONFIG_KPROBES); a tracepoint or raw tracepoint may tell the same",
    };
  }
  const exact = kernelFunctions((symbol) => symbol === name);
  if (exact.length > 1) {
    return {
      code: "INVALID_ARGUMENT",
      text: `the kernel has ${exact.length} functions named ${name}, and will not choose; probe a caller, or one of them by address`,
    };
  }
  if (exact.length === 1) {
    return {
      code: "KERNEL_UNSUPPORTED",
      text: `${name} exists, but no probe may be put there: it is notrace or on the kprobes blacklist, or the offset is not at the start of an instruction`,
    };
  }
  const clones = kernelFunctions((symbol) => symbol.startsWith(`${name}.`));
  if (clones.length > 0) {
    return { code: "NOT_FOUND", text: `this kernel has no function ${name}, but its compiler made ${clones.join(", ")} of it` };
  }
  const near = nearest(name, kernelFunctions((symbol) => Math.abs(symbol.length - name.length) <= 3));
  const meant = near === undefined ? "" : ` (did you mean "${near}"?)`;
  return { code: "NOT_FOUND", text: `this kernel has no function ${name}${meant}: it may be inlined, or of another version; see /proc/kallsyms` };
}

/** The meanings of a failed attach to a kernel function. Read only on failure: /proc/kallsyms has some 200,000 lines. */
export function functionMeanings(name: string): Readonly<Record<number, Meaning>> {
  const meaning = explainFunction(name);
  if (meaning === undefined) return {};
  return { [errno.ENOENT]: meaning, [errno.EINVAL]: meaning, [errno.EADDRNOTAVAIL]: meaning, [errno.EILSEQ]: meaning, [errno.EOPNOTSUPP]: meaning };
}
