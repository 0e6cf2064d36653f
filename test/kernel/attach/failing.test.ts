/** Attaching that fails, of every tracing kind: the kernel has nothing of it afterwards, by its own account. */
import type { Link, Program } from "ebpf";
import { describe } from "vitest";
import { type FixtureName, ProbedChild } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { leavesNothing } from "../support/failing.js";
import { Debugfs, Tracefs } from "../support/mounted.js";
import { type Requirements, requires } from "../support/requires.js";

nothingStaysOpen();

interface Row {
  readonly kind: string;
  readonly program: readonly [fixture: FixtureName, name: string];
  readonly needs: Requirements;
  /** Each fails, some of them half way. */
  readonly attempts: readonly ((program: Program, child: ProbedChild) => Link)[];
}

const NOWHERE = "ebpf_no_such_function";
const NOBODY = 0x3fffffff;
const kernel = { vm: true, kprobes: true } as const;
const user = { uprobes: true } as const;
const modes = ["link", "perf", "legacy"] as const;
const hasModes = requires({ libbpf: "kprobe_attach_mode", kernel: ">=5.15" }).reason === undefined;

const ROWS: readonly Row[] = [
  {
    kind: "kprobe",
    program: ["attach_multi", "on_kprobe"],
    needs: kernel,
    attempts: [
      (program) => program.attachKprobe(NOWHERE),
      // The instruction at the start of every function has four bytes at least.
      (program) => program.attachKprobe("generic_read_dir", { offset: 1 }),
      (program) => program.attachKprobe("generic_read_dir", { offset: 0x7fff_ffff }),
      (program) => program.attachKprobe("exc_int3"),
      ...(hasModes ? modes.map((mode) => (program: Program) => program.attachKprobe(NOWHERE, { mode })) : []),
      ...(hasModes ? modes.map((mode) => (program: Program) => program.attachKprobe("exc_int3", { mode })) : []),
      // One by one: the first is attached when the second fails.
      (program) => program.attachKprobeMulti(["generic_read_dir", NOWHERE]),
      (program) => program.attachKprobeMulti(["generic_read_dir", "exc_int3"]),
      (program) => program.attachKsyscall("no_such_call"),
    ],
  },
  {
    kind: "kretprobe",
    program: ["attach_multi", "on_kretprobe"],
    needs: kernel,
    attempts: [
      (program) => program.attachKretprobe(NOWHERE),
      (program) => program.attachKretprobe(NOWHERE, { maxActive: 4 }),
      (program) => program.attachKretprobe("exc_int3", { maxActive: 4 }),
      (program) => program.attachKretsyscall("no_such_call"),
    ],
  },
  {
    kind: "kprobe.multi",
    program: ["attach_section", "by_kprobe_multi"],
    needs: { vm: true, attachType: "traceKprobeMulti" },
    attempts: [
      (program) => program.attachKprobeMulti(["generic_read_dir", NOWHERE]),
      (program) => program.attachKprobeMulti(["generic_read_dir", "exc_int3"]),
      (program) => program.attachKprobeMulti("ebpf_no_such_*"),
    ],
  },
  {
    kind: "uprobe",
    program: ["attach_user", "on_uprobe"],
    needs: user,
    attempts: [
      (program, { binary }) => program.attachUprobe(binary, NOWHERE),
      (program, { binary }) => program.attachUretprobe(binary, NOWHERE),
      (program, { binary }) => program.attachUprobe(binary, "probe_add", { pid: NOBODY }),
      // Beyond the end of the file.
      (program, { binary }) => program.attachUprobe(binary, undefined, { offset: 2 ** 40 }),
      // A counter in what is no segment that can be written to.
      (program, { binary, pid }) => program.attachUprobe(binary, "probe_add", { pid, refCounterOffset: 2 ** 62 }),
      (program) => program.attachUprobe("/proc/self/status", undefined, { offset: 0 }),
    ],
  },
  {
    kind: "uprobe.multi",
    program: ["attach_section", "by_uprobe_multi"],
    needs: { attachType: "traceUprobeMulti" },
    attempts: [
      (program, { binary }) => program.attachUprobeMulti(binary, ["probe_add", NOWHERE]),
      (program, { binary }) => program.attachUprobeMulti(binary, ["probe_add"], { pid: NOBODY }),
      (program, { binary }) => program.attachUprobeMulti(binary, ["probe_add"], { at: "session" }),
    ],
  },
  {
    kind: "usdt",
    program: ["attach_usdt", "on_usdt"],
    needs: user,
    attempts: [
      (program, { binary, pid }) => program.attachUsdt(binary, "ebpf_test", "tock", { pid }),
      (program, { binary }) => program.attachUsdt(binary, "ebpf_test", "tick", { pid: NOBODY }),
    ],
  },
  {
    kind: "tracepoint",
    program: ["attach_user", "on_tracepoint"],
    needs: {},
    attempts: [
      (program) => program.attachTracepoint("syscalls", "sys_enter_nowhere"),
      (program) => program.attachTracepoint("nowhere", "sys_enter_kill"),
    ],
  },
  {
    kind: "raw_tp",
    program: ["attach_user", "on_raw_tp_plain"],
    needs: {},
    attempts: [(program) => program.attachRawTracepoint("no_such_tracepoint")],
  },
  {
    kind: "perf_event",
    program: ["attach_user", "on_perf_event"],
    needs: {},
    attempts: [
      (program) => program.attachPerfEvent({ type: 4711, config: 0 }),
      (program) => program.attachPerfEvent("cpu-clock", { pid: NOBODY }),
      // There is such a software event, and it takes no such period.
      (program, { pid }) => program.attachPerfEvent("cpu-clock", { pid, period: 1n << 63n }),
      (program, { pid }) => program.attachPerfEvent("cpu-clock", { pid, cpu: 0xffff }),
    ],
  },
  {
    kind: "iter",
    program: ["attach_trace", "tp_plain"],
    needs: { attachType: "traceRawTp" },
    attempts: [(program) => program.attachIter()],
  },
];

describe("nothing is left attached", () => {
  for (const { kind, program, needs, attempts } of ROWS) {
    requires(needs).test(kind, async () => {
      using _tracefs = new Tracefs();
      using _debugfs = new Debugfs();
      await using child = await ProbedChild.start();
      await leavesNothing(
        ...program,
        () => undefined,
        (loaded) => attempts.map((attempt) => [undefined, () => attempt(loaded, child)]),
      );
    });
  }
});
