/** The same tracing program at the same place, twice: the kernel lets it run twice, or refuses the second. */
import type { Link, LoadedObject, Program } from "ebpf";
import { describe, expect } from "vitest";
import { type FixtureName, openOnly, ProbedChild, Watched } from "../support/attach.js";
import { attached } from "../support/attached.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { Debugfs, Tracefs } from "../support/mounted.js";
import { PageToucher } from "../support/page_toucher.js";
import { readDirectory } from "../support/read_directory.js";
import { type Requirements, requires } from "../support/requires.js";
import { attachTwice, type Refusal } from "../support/twice.js";

nothingStaysOpen();

/** What the events of the tests come from. */
interface Places {
  readonly child: ProbedChild;
  readonly toucher: PageToucher;
}

interface Row {
  readonly kind: string;
  readonly program: readonly [fixture: FixtureName, name: string];
  readonly needs: Requirements;
  readonly attach: (program: Program, places: Places) => Link;
  readonly cause: (places: Places) => unknown;
  /** Records of one event, by one link. */
  readonly records?: number;
  /** What the second is refused with, on this kernel; undefined where both run. */
  readonly refused?: Refusal | undefined;
}

const before = (kernel: `>=${number}.${number}`) => requires({ kernel }).reason !== undefined;
const read = () => readDirectory(71);
const kill = () => void process.kill(process.pid, 0);
const forbiddenKill = () => {
  try {
    kill();
  } catch {
    // By the program.
  }
};
const wink = () => void process.kill(process.pid, "SIGWINCH");
const call = ({ child }: Places) => child.call(5);
const user = { uprobes: true } as const;
const kernel = { vm: true, kprobes: true } as const;

/** A trampoline has a program once. Before 5.13 a program was attached once in its life. */
const ONCE: Refusal | undefined = before(">=5.13")
  ? { code: "KERNEL_UNSUPPORTED", text: /attaches a loaded tracing or LSM program once \(until 5\.13\)/ }
  : { code: "BUSY", text: /is attached here already/ };
/** And still so where it is for a BPF program, which the kernel then says in another way. */
const ONCE_IN_LIFE: Refusal | undefined = before(">=5.13")
  ? ONCE
  : { code: "INVALID_STATE", text: /a program for another BPF program is attached once in its life/ };
/** Tracepoints knew a program, and not a link, until 6.10. */
const ONCE_AT_TRACEPOINT: Refusal | undefined = before(">=6.10")
  ? { code: "EXISTS", text: /the tracepoint has this program already \(until 6\.10/ }
  : undefined;

const ROWS: readonly Row[] = [
  {
    kind: "kprobe",
    program: ["attach_multi", "on_kprobe"],
    needs: kernel,
    attach: (program) => program.attachKprobe("generic_read_dir"),
    cause: read,
  },
  {
    kind: "kretprobe",
    program: ["attach_multi", "on_kretprobe"],
    needs: kernel,
    attach: (program) => program.attachKretprobe("generic_read_dir"),
    cause: read,
  },
  {
    kind: "kretprobe, maxActive",
    program: ["attach_multi", "on_kretprobe"],
    needs: kernel,
    attach: (program) => program.attachKretprobe("generic_read_dir", { maxActive: 8 }),
    cause: read,
  },
  {
    kind: "kprobe.multi",
    program: ["attach_section", "by_kprobe_multi"],
    needs: { vm: true, attachType: "traceKprobeMulti" },
    attach: (program) => program.attachKprobeMulti(["generic_read_dir"]),
    cause: read,
  },
  {
    kind: "kprobe.session",
    program: ["attach_section", "by_kprobe_session"],
    needs: { vm: true, attachType: "traceKprobeSession" },
    attach: (program) => program.attachKprobeMulti(["generic_read_dir"], { at: "session" }),
    cause: read,
    records: 2,
  },
  {
    kind: "kretprobe.multi",
    program: ["attach_section", "by_kretprobe_multi"],
    needs: { vm: true, attachType: "traceKprobeMulti" },
    attach: (program) => program.attachKprobeMulti(["generic_read_dir"], { at: "return" }),
    cause: read,
  },
  {
    kind: "kretsyscall",
    program: ["attach_section", "by_kretsyscall"],
    needs: kernel,
    attach: (program) => program.attachKretsyscall("kill"),
    cause: kill,
  },
  {
    kind: "ksyscall",
    program: ["attach_section", "by_ksyscall"],
    needs: kernel,
    attach: (program) => program.attachKsyscall("kill"),
    cause: kill,
  },
  {
    kind: "uprobe",
    program: ["attach_user", "on_uprobe"],
    needs: user,
    attach: (program, { child }) => program.attachUprobe(child.binary, "probe_add", { pid: child.pid }),
    cause: call,
  },
  {
    kind: "uretprobe",
    program: ["attach_user", "on_uretprobe"],
    needs: user,
    attach: (program, { child }) => program.attachUretprobe(child.binary, "probe_add", { pid: child.pid }),
    cause: call,
  },
  {
    kind: "uprobe.multi",
    program: ["attach_section", "by_uprobe_multi"],
    needs: { attachType: "traceUprobeMulti" },
    attach: (program, { child }) => program.attachUprobeMulti(child.binary, ["probe_add"], { pid: child.pid }),
    cause: call,
  },
  {
    kind: "uretprobe.multi",
    program: ["attach_section", "by_uretprobe_multi"],
    needs: { attachType: "traceUprobeMulti" },
    attach: (program, { child }) =>
      program.attachUprobeMulti(child.binary, ["probe_add"], { pid: child.pid, at: "return" }),
    cause: call,
  },
  {
    kind: "uprobe.session",
    program: ["attach_section", "by_uprobe_session"],
    needs: { attachType: "traceUprobeSession" },
    attach: (program, { child }) =>
      program.attachUprobeMulti(child.binary, ["probe_add"], { pid: child.pid, at: "session" }),
    cause: call,
    records: 2,
  },
  {
    kind: "usdt",
    program: ["attach_usdt", "on_usdt"],
    needs: user,
    attach: (program, { child }) => program.attachUsdt(child.binary, "ebpf_test", "tick", { pid: child.pid }),
    cause: call,
    // Libbpf finds a probe by its address there, in a map of the object's.
    refused: before(">=5.15") ? { code: "EXISTS", text: /at this probe already.*before 5\.15/ } : undefined,
  },
  {
    kind: "tracepoint",
    program: ["attach_user", "on_tracepoint"],
    needs: {},
    attach: (program) => program.attachTracepoint("syscalls", "sys_enter_kill"),
    cause: kill,
    refused: { code: "EXISTS", text: /this program is attached to it already/ },
  },
  {
    kind: "raw_tp",
    program: ["attach_user", "on_raw_tp_plain"],
    needs: {},
    attach: (program) => program.attachRawTracepoint("signal_generate"),
    cause: wink,
    refused: ONCE_AT_TRACEPOINT,
  },
  {
    kind: "tp_btf",
    program: ["attach_trace", "tp_plain"],
    needs: { attachType: "traceRawTp" },
    attach: (program) => program.attachTrace(),
    cause: wink,
    refused: ONCE_AT_TRACEPOINT,
  },
  {
    kind: "fentry",
    program: ["attach_trace", "with_cookie"],
    needs: { tracing: true },
    attach: (program) => program.attachTrace(),
    cause: read,
    refused: ONCE,
  },
  {
    kind: "fexit",
    program: ["attach_trace", "exit_with_cookie"],
    needs: { tracing: true },
    attach: (program) => program.attachTrace(),
    cause: read,
    refused: ONCE,
  },
  {
    kind: "fmod_ret",
    program: ["attach_trace", "on_fmod_ret"],
    needs: { vm: true, tracing: true, kernel: ">=5.7" },
    attach: (program) => program.attachTrace(),
    cause: forbiddenKill,
    refused: ONCE,
  },
  {
    kind: "perf_event",
    program: ["attach_user", "on_perf_event"],
    needs: {},
    attach: (program, { toucher }) => program.attachPerfEvent("page-faults", { period: 1, pid: toucher.pid }),
    cause: ({ toucher }) => toucher.touch(3),
    records: 3,
  },
];

/** Whose events the programs tell of: the child's or this process's; those of the page faults are told apart by their link. */
function tgidOf({ kind, cause }: Row, { child }: Places): number {
  return cause === call ? child.pid : kind === "perf_event" ? 0 : process.pid;
}

describe("attached twice", () => {
  for (const row of ROWS) {
    requires(row.needs).test(row.kind, async () => {
      const { program, attach, cause, records = 1, refused } = row;
      using _tracefs = new Tracefs();
      using _debugfs = new Debugfs();
      await using child = await ProbedChild.start();
      await using toucher = await PageToucher.start();
      const places = { child, toucher };
      const [fixture, name] = program;
      using watched = await Watched.load(fixture, [name], (opened) => {
        const rodata = opened.rodata as { only_tgid: number; refuse_tgid?: number };
        rodata.only_tgid = tgidOf(row, places);
        if (fixture === "attach_trace") rodata.refuse_tgid = process.pid;
      });
      await attachTwice({
        watched,
        programs: [name],
        attach: () => attach((watched.object as unknown as LoadedObject).program(name), places),
        cause: () => cause(places),
        records,
        refused,
      });
    });
  }

  requires({ vm: true, programType: "lsm", kernel: ">=5.7" }).test("lsm", async () => {
    // It need not run: bpf may not be among the active security modules.
    using watched = await Watched.load("attach_trace", ["on_lsm"]);
    const program = watched.object.program("on_lsm");
    const { id } = program.info();
    const link = program.attachLsm();
    const once = attached([id]);
    const error = await errorOf(() => program.attachLsm());
    expect(error, error.message).toMatchObject({ code: ONCE?.code });
    expect(error.message).toMatch(ONCE?.text ?? /never/);
    expect(watched.object.links).toEqual([link]);
    expect(attached([id])).toEqual(once);
  });

  for (const [name, what] of [
    ["on_entry", "fentry"],
    ["on_exit", "fexit"],
    ["replacement", "freplace"],
  ] as const) {
    requires({ tracing: true, programType: "ext", kernel: ">=5.10" }).test(`${what}, of a BPF program`, async () => {
      using object = await openOnly("attach_trace", ["target"]).load();
      const target = object.program("target");
      using watched = await Watched.load("attach_ext", [name], (opened) => {
        opened.program(name).setAttachTarget(what === "freplace" ? "replaceable" : "target", target);
      });
      await attachTwice({
        watched,
        programs: [name],
        attach: () =>
          what === "freplace"
            ? watched.object.program(name).attachFreplace(target, "replaceable")
            : watched.object.program(name).attachTrace(),
        cause: () => target.testRun({ data: new Uint8Array(64) }),
        records: 1,
        refused: what === "freplace" ? { code: "BUSY", text: /target:replaceable is replaced already/ } : ONCE_IN_LIFE,
      });
    });
  }

  requires({ attachType: "traceIter" }).test("iter: each is read by itself", async () => {
    using object = await openOnly("attach_iter", ["dump_text"]).load();
    const program = object.program("dump_text");
    using one = program.attachIter();
    using other = program.attachIter();
    for (const link of [one, other]) expect((await link.text()).split("\n")).toContain(`${process.pid} ${process.pid}`);
    one.close();
    expect(await other.text()).not.toBe("");
  });
});
