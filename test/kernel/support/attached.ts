/** What is attached, as the kernel tells it: not what the library believes. */
import { readFileSync } from "node:fs";
import { listLinks } from "ebpf";
import { bpfDescriptors } from "./descriptors.js";

/** Of a virtual machine everything counts; on the machine itself what bears this process's number, as others attach there too. */
const whole = process.env["EBPF_VM"] !== undefined;

function lines(path: string, ours: (line: string) => boolean = () => true): string[] {
  try {
    return readFileSync(path, "latin1")
      .split("\n")
      .filter((line) => line !== "" && (whole || ours(line)));
  } catch {
    // A kernel without it, or the file system is not mounted.
    return [];
  }
}

const named = (line: string) => line.includes(`_${process.pid}_`);

export interface Attached {
  /** Links by id, of programs of these ids; in a virtual machine all. */
  readonly links: readonly number[];
  /** Links, programs and perf events that this process holds. */
  readonly descriptors: readonly string[];
  readonly kprobeEvents: readonly string[];
  readonly uprobeEvents: readonly string[];
  /** Functions with a breakpoint, and functions that ftrace calls somebody for: fentry, fexit, fprobes. */
  readonly kprobes: readonly string[];
  readonly traced: readonly string[];
}

/** Tracefs and debugfs are to be mounted, where their files are to count. */
export function attached(programs: readonly number[]): Attached {
  return {
    links: listLinks()
      .filter(({ programId }) => whole || programs.includes(programId))
      .map(({ id }) => id),
    descriptors: bpfDescriptors(),
    kprobeEvents: lines("/sys/kernel/tracing/kprobe_events", named),
    uprobeEvents: lines("/sys/kernel/tracing/uprobe_events", named),
    kprobes: lines("/sys/kernel/debug/kprobes/list", () => false),
    traced: lines("/sys/kernel/tracing/enabled_functions", () => false),
  };
}
