/** Probes that tracefs defines by lines of text (Documentation/trace/kprobetrace.rst): they outlive who wrote them, and run nothing then. */
import { existsSync, readFileSync } from "node:fs";

const TRACEFS = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/** Where tracefs is mounted; undefined where it is not. */
export function tracefs(): string | undefined {
  return TRACEFS.find((path) => existsSync(`${path}/events`));
}

/** The group that our events are in. */
export const GROUP = "ebpf";

/** libbpf, too, defines events where the kernel has no other way (before 4.17, or told to). */
const OURS = new RegExp(`^${GROUP}/|^[ku]probes/libbpf_\\d+_`);

export interface DefinedProbe {
  /** `kprobe_events` or `uprobe_events`, with its path. */
  readonly file: string;
  /** `group/event`. */
  readonly event: string;
  readonly kind: "kprobe" | "kretprobe" | "uprobe" | "uretprobe";
  /** The function, or the file and the offset. */
  readonly place: string;
}

/** Those of this library and of libbpf, of every process; nothing where tracefs is not mounted, or not ours to read. */
export function definedProbes(): DefinedProbe[] {
  const root = tracefs();
  if (root === undefined) return [];
  return (["kprobe", "uprobe"] as const).flatMap((what) => {
    const file = `${root}/${what}_events`;
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      return [];
    }
    // "r4:ebpf/do_exit_12_1 do_exit"
    return text.split("\n").flatMap((line) => {
      const [, way, event = "", place = ""] = /^([pr])\d*:(\S+) (\S+)/.exec(line) ?? [];
      if (way === undefined || !OURS.test(event)) return [];
      const kind = `${what[0] as "k" | "u"}${way === "r" ? "ret" : ""}probe` as const;
      return [{ file, event, kind, place }];
    });
  });
}
