import { readdirSync, readFileSync } from "node:fs";
import { BpfError } from "../../errors.js";
import { ProgramType } from "../../kernel/abi.js";
import { withCgroup } from "../../kernel/cgroup.js";
import { errno } from "../../kernel/errno.js";
import { isNativeFailure } from "../../kernel/explain.js";
import { byPerfEvent } from "../../kernel/rights.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import type { NativeLink } from "../../native.js";
import { suggestion } from "../../nearest.js";
import { checkOptions, integer, invalid, shown, u64 } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { type CookieOptions, cookieOf } from "./cookie.js";

/** PERF_COUNT_SW_* and PERF_COUNT_HW_* of include/uapi/linux/perf_event.h: [type, config]. */
const EVENTS = {
  "cpu-clock": [1, 0],
  "task-clock": [1, 1],
  "page-faults": [1, 2],
  "context-switches": [1, 3],
  "cpu-migrations": [1, 4],
  "minor-faults": [1, 5],
  "major-faults": [1, 6],
  "alignment-faults": [1, 7],
  "emulation-faults": [1, 8],
  "cgroup-switches": [1, 11],
  cycles: [0, 0],
  instructions: [0, 1],
  "cache-references": [0, 2],
  "cache-misses": [0, 3],
  "branch-instructions": [0, 4],
  "branch-misses": [0, 5],
  "bus-cycles": [0, 6],
  "stalled-cycles-frontend": [0, 7],
  "stalled-cycles-backend": [0, 8],
  "ref-cycles": [0, 9],
} as const satisfies Record<string, readonly [number, number]>;

/** A software or hardware event, by the name that perf(1) has for it. */
export type PerfEventName = keyof typeof EVENTS;

/** Any other event: the PMU's number (/sys/bus/event_source/devices/<pmu>/type) and its config. */
export interface RawPerfEvent {
  readonly type: number;
  readonly config: number | bigint;
}

export interface PerfEventOptions extends CookieOptions {
  /** The program runs this many times a second, on each CPU, or for each thread of `pid`. Either this or `period`. */
  readonly frequency?: number | undefined;
  /** The program runs each time that so many events have been counted; 1 by default for software events. For clocks: nanoseconds. */
  readonly period?: number | bigint | undefined;
  /**
   * Only while this process runs, in any of its threads; by default all of them. Threads that come later are seen from kernel 5.13 on, and before
   * with `inherit`. The kernel counts for each thread apart.
   */
  readonly pid?: number | undefined;
  /** With `pid`: also its children that come later, and theirs. */
  readonly inherit?: boolean | undefined;
  /** Only while a process of this cgroup runs: path of a cgroup v2 directory. */
  readonly cgroup?: string | undefined;
  /** Only on this CPU; by default on every one that is on line. */
  readonly cpu?: number | undefined;
}

/** `0-3,7` -> 0, 1, 2, 3, 7. */
export function cpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

function resolveEvent(
  operation: string,
  event: PerfEventName | RawPerfEvent,
): { type: number; config: bigint; name: string } {
  if (typeof event === "string") {
    const known = Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined;
    if (known === undefined)
      throw invalid(`${operation}: there is no perf event ${shown(event)}${suggestion(event, Object.keys(EVENTS))}`);
    return { type: known[0], config: BigInt(known[1]), name: event };
  }
  if (typeof event !== "object" || event === null)
    throw invalid(`${operation}: event must be a name or { type, config }, got ${shown(event)}`);
  checkOptions(operation, event, { type: integer(0, 0xffffffff), config: u64 });
  return { type: event.type, config: BigInt(event.config), name: `type ${event.type} config ${event.config}` };
}

function meanings(name: string): Meanings {
  const none = {
    code: "KERNEL_UNSUPPORTED",
    text: `this machine does not count ${name}: virtual machines often have no hardware events; "cpu-clock" always works`,
  } as const;
  return {
    [errno.ENOENT]: none,
    [errno.ENODEV]: none,
    [errno.EOPNOTSUPP]: none,
    [errno.ESRCH]: { code: "NOT_FOUND", text: "there is no such process" },
    ...byPerfEvent(),
    [errno.EINVAL]: {
      code: "INVALID_ARGUMENT",
      text: "the event, its period, or a cookie (kernel 5.15) is not what this kernel takes",
    },
    [errno.EMFILE]: { code: "FULL", text: "too many open files: an event needs one per CPU" },
  };
}

/** The kernel's events are of threads. Where /proc does not tell, it is left to the kernel to say why. */
function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [pid];
  }
}

/** `inherit` alone is of threads and processes, and all that kernels before 5.13 have. */
function inheritance({ pid, inherit = false }: PerfEventOptions): { inherit: boolean; inheritThread: boolean } {
  const inheritThread = pid !== undefined && !inherit && kernelAtLeast("5.13");
  return { inherit: inherit || inheritThread, inheritThread };
}

export function attachPerfEvent(
  attacher: Attacher,
  event: PerfEventName | RawPerfEvent,
  options: PerfEventOptions,
): Link {
  const operation = `${attacher.name}.attachPerfEvent`;
  checkOptions(operation, options, {
    cookie: u64,
    frequency: integer(1, 1_000_000),
    period: u64,
    pid: integer(1, 0x7fffffff),
    inherit: "boolean",
    cgroup: "string",
    cpu: integer(0, 0xffff),
  });
  attacher.mustBe(operation, [ProgramType.perfEvent], "perf_event");
  const { type, config, name } = resolveEvent(operation, event);
  if (options.frequency !== undefined && options.period !== undefined)
    throw invalid(`${operation}: say frequency or period, not both`);
  if (options.pid !== undefined && options.cgroup !== undefined)
    throw invalid(`${operation}: say pid or cgroup, not both`);
  if (cookieOf(options) !== 0n && !kernelAtLeast("5.15")) {
    throw new BpfError({ code: "KERNEL_UNSUPPORTED", message: `${operation}: a cookie needs kernel 5.15` });
  }
  if (options.inherit && options.pid === undefined) throw invalid(`${operation}: inherit goes with pid`);
  // An event of a thread follows it over all CPUs; the whole system and a cgroup have one per CPU.
  const cpus =
    options.cpu !== undefined
      ? [options.cpu]
      : options.pid !== undefined
        ? [-1]
        : cpuList(readFileSync("/sys/devices/system/cpu/online", "utf8"));
  const settings = {
    type,
    config,
    period: BigInt(options.period ?? (options.frequency === undefined ? 1 : 0)),
    frequency: BigInt(options.frequency ?? 0),
    ...inheritance(options),
  };
  const open = (whose: readonly number[], cgroup: boolean) =>
    attacher.attach(
      { kind: "perf_event", target: name },
      (native) => {
        const links: NativeLink[] = [];
        const gone: unknown[] = [];
        try {
          for (const [pid, cpu] of whose.flatMap((pid) => cpus.map((cpu) => [pid, cpu] as const))) {
            try {
              const fd = attacher.addon.perfEventOpen({ ...settings, pid, cpu, cgroup });
              links.push(native.attachPerfEvent(fd, cookieOf(options)));
            } catch (error) {
              if (!isNativeFailure(error) || error.errno !== errno.ESRCH) throw error;
              // A thread that has ended since; that of the last one would be the end of the process.
              gone.push(error);
            }
          }
          if (links.length === 0) throw gone[0];
          return { links };
        } catch (error) {
          for (const link of links) link.close();
          throw error;
        }
      },
      meanings(name),
    );
  attacher.loaded("attach");
  if (options.cgroup !== undefined) return withCgroup(operation, options.cgroup, (fd) => open([fd], true));
  return open(options.pid === undefined ? [-1] : threadsOf(options.pid), false);
}
