/** What the kernel says of its functions: for explaining why a probe could not be attached. */
import { existsSync, readFileSync } from "node:fs";
import { nearest } from "../nearest.js";
import { errno } from "./errno.js";
import type { Meaning } from "./explain.js";
import { byPerfEvent } from "./rights.js";

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
  const text = readFileSync("/proc/kallsyms", "latin1");
  const found: string[] = [];
  for (let start = 0; start < text.length; ) {
    // "ffffffff81000000 T name\t[module]"
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const type = text.charAt(start + 17);
    if (type === "t" || type === "T" || type === "w" || type === "W") {
      // Within the line: the kernel's own symbols have no tab, and a search for one would run to the modules at the end.
      const symbol = text.slice(start + 19, end);
      const tab = symbol.indexOf("\t");
      const name = tab < 0 ? symbol : symbol.slice(0, tab);
      if (accept(name)) found.push(name);
    }
    start = end + 1;
  }
  return found;
}

/** Why no probe can be put on a function, as far as the kernel tells. */
export function explainFunction(name: string): Meaning {
  if (!hasKprobes()) {
    return {
      code: "KERNEL_UNSUPPORTED",
      text: "this kernel was built without kprobes (CONFIG_KPROBES); a tracepoint or raw tracepoint may tell the same",
    };
  }
  // One pass over some 200,000 lines gathers all that the answer may need.
  const similar = kernelFunctions(
    (symbol) =>
      symbol === name ||
      symbol.startsWith(`${name}.`) ||
      (Math.abs(symbol.length - name.length) <= 2 && sharesStart(symbol, name)),
  );
  const exact = similar.filter((symbol) => symbol === name).length;
  if (exact > 1) {
    return {
      code: "INVALID_ARGUMENT",
      text: `the kernel has ${exact} functions named ${name}, and will not choose; probe a caller, or one of them by address`,
    };
  }
  if (exact === 1) {
    return {
      code: "KERNEL_UNSUPPORTED",
      text: `${name} exists, but no probe may be put there: it is notrace or on the kprobes blacklist`,
    };
  }
  const clones = similar.filter((symbol) => symbol.startsWith(`${name}.`));
  if (clones.length > 0) {
    return {
      code: "NOT_FOUND",
      text: `this kernel has no function ${name}, but its compiler made ${clones.join(", ")} of it`,
    };
  }
  const near = nearest(name, similar);
  const meant = near === undefined ? "" : ` (did you mean "${near}"?)`;
  return {
    code: "NOT_FOUND",
    text: `this kernel has no function ${name}${meant}: it may be inlined, or of another version; see /proc/kallsyms`,
  };
}

/** Names with a misprint share their beginning or their end; it saves a distance for each of 200,000. */
function sharesStart(symbol: string, name: string): boolean {
  const third = Math.max(2, Math.floor(name.length / 3));
  return symbol.startsWith(name.slice(0, third)) || symbol.endsWith(name.slice(-third));
}

/** The meanings of a failed attach to a kernel function. Read only on failure: /proc/kallsyms has some 200,000 lines. */
export function functionMeanings(name: string, offset = 0): Readonly<Record<number, Meaning>> {
  const meaning = explainFunction(name);
  return {
    ...byPerfEvent(),
    [errno.ENOENT]: meaning,
    [errno.EINVAL]: meaning,
    [errno.EADDRNOTAVAIL]: meaning,
    // arch_prepare_kprobe(): no instruction begins there; or there is that of ftrace, which is its own.
    [errno.EILSEQ]:
      offset === 0
        ? meaning
        : { code: "INVALID_ARGUMENT", text: `offset ${offset} is inside an instruction of ${name}, not at its start` },
    [errno.EOPNOTSUPP]: meaning,
  };
}
