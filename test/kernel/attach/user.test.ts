import { copyFileSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfObject, type Link, type Program } from "ebpf";
import { build } from "ebpf/build";
import { describe, expect } from "vitest";
import { cpuList } from "../../../lib/program/attach/perf_event.js";
import {
  childBinary,
  type FixtureName,
  ProbedChild,
  runsOnlyWhileAttached,
  type Seen,
  Watched,
} from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nodeComm } from "../support/comm.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { Tracefs } from "../support/mounted.js";
import { PageToucher } from "../support/page_toucher.js";
import { type Requirements, requires } from "../support/requires.js";
import { Child, run } from "../support/run.js";
import { until } from "../support/until.js";

const cookies = requires({ kernel: ">=5.15" }).reason === undefined;

nothingStaysOpen();

const load = (program: string, tgid: number) =>
  Watched.load("attach_user", [program], (opened) => {
    opened.rodata["only_tgid"] = tgid;
  });

interface Disassembled {
  readonly address: number;
  /** Bytes from the function's start to its return instruction. */
  readonly ret: number;
}

/** Where a function of a binary is, and where it returns. */
function disassembled(binary: string, name: string): Disassembled {
  const lines = run("objdump", "-d", "--no-show-raw-insn", `--disassemble=${name}`, binary).split("\n");
  const at = (pattern: RegExp) => {
    const found = lines.map((line) => pattern.exec(line)?.[1]).find((address) => address !== undefined);
    if (found === undefined) throw new Error(`objdump shows no ${pattern} in ${name}`);
    return Number.parseInt(found, 16);
  };
  const address = at(new RegExp(`^([0-9a-f]+) <${name}>:`));
  return { address, ret: at(/^ *([0-9a-f]+):\s+ret/) - address };
}

function addressOf(binary: string, symbol: string): number {
  const [, address] = new RegExp(`^([0-9a-f]+) \\w ${symbol}$`, "m").exec(run("nm", binary)) ?? [];
  if (address === undefined) throw new Error(`nm shows no ${symbol}`);
  return Number.parseInt(address, 16);
}

/** From an address to where it is in the file, by the segments that the loader maps. */
function inFile(binary: string, address: number): number {
  for (const line of run("readelf", "--segments", "--wide", binary).split("\n")) {
    const [type, offset = 0, virtual = 0, , size = 0] = line
      .trim()
      .split(/\s+/)
      .map((word, i) => (i === 0 ? word : Number(word))) as [string, ...number[]];
    if (type === "LOAD" && address >= virtual && address < virtual + size) return address - virtual + offset;
  }
  throw new Error(`no segment of ${binary} has ${address.toString(16)}`);
}

/** The CPUs that this process may run on. */
function availableCpus(): number[] {
  return cpuList(/^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "");
}

/** What the kernel says of one perf event, as far as it says it. */
function infoIs(
  link: Link,
  said: {
    readonly event: string;
    readonly name: string;
    readonly offset?: number;
    readonly address?: bigint;
    readonly cookie: bigint;
  },
): void {
  const { cookie, ...rest } = said;
  if (requires({ kernel: ">=5.15" }).reason !== undefined) return;
  const info = link.info();
  expect(info).toMatchObject({ type: "perf_event" });
  if (requires({ kernel: ">=6.6" }).reason === undefined) expect(info).toMatchObject(rest);
  if (requires({ kernel: ">=6.9" }).reason === undefined) expect(info).toMatchObject({ cookie });
}

describe("attach type", () => {
  requires({ uprobes: true }).test("uprobe", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe", child.pid);
    const program = watched.object.program("on_uprobe");
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => program.attachUprobe(child.binary, "probe_add"),
      cause: () => child.call(40),
      expected: { what: 1, a: 40n, b: 2n, tgid: child.pid, comm: "attach_child", cookie: 0n },
    });
    expect(link).toMatchObject({ kind: "uprobe", target: `${child.binary}:probe_add` });
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () =>
          program.attachUprobe(child.binary, "probe_multiply", { pid: child.pid, ...(cookies ? { cookie: 7n } : {}) }),
        cause: () => child.call(41),
        expected: { a: 41n, b: 3n, cookie: cookies ? 7n : 0n },
      },
      (attached) =>
        infoIs(attached, {
          event: "uprobe",
          name: child.binary,
          offset: inFile(child.binary, addressOf(child.binary, "probe_multiply")),
          cookie: 7n,
        }),
    );
  });

  requires({ uprobes: true }).test("uretprobe", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uretprobe", child.pid);
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () =>
          watched.object
            .program("on_uretprobe")
            .attachUretprobe(child.binary, "probe_multiply", cookies ? { cookie: 1n << 40n } : {}),
        cause: () => child.call(14),
        expected: { what: 2, result: 42n, cookie: cookies ? 1n << 40n : 0n },
      },
      (attached) =>
        infoIs(attached, {
          event: "uretprobe",
          name: child.binary,
          offset: inFile(child.binary, addressOf(child.binary, "probe_multiply")),
          cookie: 1n << 40n,
        }),
    );
  });

  requires({ uprobes: true }).test("uprobe at an offset, within a function and within the file", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe_at", child.pid);
    const program = watched.object.program("on_uprobe_at");
    const { address, ret } = disassembled(child.binary, "probe_multiply");
    const fileOffset = inFile(child.binary, address + ret);
    for (const [attach, target] of [
      [() => program.attachUprobe(child.binary, "probe_multiply", { offset: ret }), `:probe_multiply+${ret}`],
      [() => program.attachUprobe(child.binary, undefined, { offset: fileOffset }), `:+${fileOffset}`],
    ] as const) {
      const link = await runsOnlyWhileAttached(watched, {
        attach,
        cause: () => child.call(7),
        // At the very end of the function its result is where results are.
        expected: { what: 6, result: 21n },
      });
      expect(link.target).toBe(`${child.binary}${target}`);
      expect(Number((watched.seen.at(-1)?.a ?? 0n) & 0xfffn)).toBe((address + ret) & 0xfff);
    }
    const inside = await errorOf(() => program.attachUprobe(child.binary, "probe_multiply", { offset: 2 ** 40 }));
    expect(inside.code).toMatch(/INVALID_ARGUMENT|NOT_FOUND/);
    expect(watched.object.links).toEqual([]);
  });

  requires({ uprobes: true, kernel: ">=4.20" }).test("uprobe with a reference counter", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe", child.pid);
    const refCounterOffset = inFile(child.binary, addressOf(child.binary, "ebpf_test_tick_semaphore"));
    const counts: number[] = [];
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object
          .program("on_uprobe")
          .attachUprobe(child.binary, "probe_add", { pid: child.pid, refCounterOffset }),
      cause: async () => counts.push((await child.call(3)).semaphore),
      expected: { what: 1, a: 3n },
    });
    // The kernel raises it while somebody watches, and the process can see that.
    expect(counts).toEqual([0, 1, 0]);
    const nowhere = await errorOf(() =>
      watched.object.program("on_uprobe").attachUprobe(child.binary, "probe_add", { refCounterOffset: -1 }),
    );
    expect(nowhere.message).toContain('option "refCounterOffset" must be a whole number from 0');
    expect(watched.object.links).toEqual([]);
  });

  requires({ uprobes: true }).test("usdt", async () => {
    await using child = await ProbedChild.start();
    using watched = await Watched.load("attach_usdt", ["on_usdt"], (opened) => {
      opened.rodata["only_tgid"] = child.pid;
    });
    expect((await child.call(1)).semaphore).toBe(0);
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () =>
          watched.object
            .program("on_usdt")
            .attachUsdt(child.binary, "ebpf_test", "tick", { pid: child.pid, cookie: 99 }),
        cause: () => child.call(5),
        expected: { what: 3, a: 5n, b: BigInt.asUintN(64, -5n), cookie: 99n },
      },
      async (attached) => {
        // The program can see that somebody watches, and only then make what it reports.
        expect((await child.call(6)).semaphore).toBe(1);
        // Libbpf calls it descriptor 0, which is somebody else's.
        for (const use of [() => attached.fd, () => attached.info(), () => attached.pin("/sys/fs/bpf/ebpf-test")]) {
          const error = await errorOf(use);
          expect(error).toMatchObject({ code: "INVALID_STATE" });
          expect(error.message).toContain("a uprobe for each place that the binary has of it");
        }
        for (const use of [() => attached.update(watched.object.program("on_usdt")), () => attached.detach()])
          expect(await errorOf(use)).toMatchObject({ code: "KERNEL_UNSUPPORTED", errno: undefined });
      },
    );
    expect(link.target).toBe(`${child.binary}:ebpf_test:tick`);
    expect((await child.call(7)).semaphore).toBe(0);
  });

  for (const [kind, fixture, program, needs, attach] of [
    ["uprobe", "attach_user", "on_uprobe", {}, (p, { binary, pid }) => p.attachUprobe(binary, "probe_add", { pid })],
    [
      "uprobe.multi",
      "attach_multi",
      "on_uprobe_multi",
      { attachType: "traceUprobeMulti" },
      (p, { binary, pid }) => p.attachUprobeMulti(binary, ["probe_add"], { pid }),
    ],
    ["usdt", "attach_usdt", "on_usdt", {}, (p, { binary, pid }) => p.attachUsdt(binary, "ebpf_test", "tick", { pid })],
  ] as const satisfies readonly (readonly [
    string,
    FixtureName,
    string,
    Requirements,
    (program: Program, child: ProbedChild) => Link,
  ])[]) {
    requires({ uprobes: true, ...needs }).test(`${kind} of one process, of two that run the same`, async () => {
      await using one = await ProbedChild.start();
      await using other = await ProbedChild.start();
      // The program does not tell them apart.
      using watched = await Watched.load(fixture, [program]);
      using _link = attach(watched.object.program(program), one);
      await other.call(1);
      await one.call(2);
      await other.call(3);
      expect((await watched.settled()).map(({ tgid, a }) => [tgid, a])).toEqual([[one.pid, 2n]]);
    });
  }

  requires({}).test("perf_event", async () => {
    // A process of the test's own, busy for as long as it lives.
    await using cgroup = new TestCgroup();
    const busy = cgroup.node("for (;;) ;");
    // The program takes whatever comes.
    using watched = await load("on_perf_event", 0);
    const program = watched.object.program("on_perf_event");
    const link = program.attachPerfEvent("cpu-clock", {
      frequency: 500,
      pid: busy.pid,
      ...(cookies ? { cookie: 3 } : {}),
    });
    expect(link).toMatchObject({ kind: "perf_event", target: "cpu-clock" });
    // A clock has a fixed rate, and so the period that goes with 500 Hz.
    await watched.saw({ what: 4, a: 2_000_000n, tgid: busy.pid, comm: nodeComm(), cookie: cookies ? 3n : 0n });
    expect((await watched.settled()).filter(({ a }) => a !== 2_000_000n)).toEqual([]);
    link.close();
    const { produced } = watched;
    // By a period of its own, on every CPU, of the cgroup's processes: one link for all CPUs.
    const all = program.attachPerfEvent("cpu-clock", { period: 1_000_000, cgroup: cgroup.path });
    await until("samples of the cgroup", () => watched.produced > produced);
    expect((await watched.settled()).at(-1)).toMatchObject({ a: 1_000_000n });
    all.close();
    const after = watched.produced;
    // The same process goes on, and is seen to go on: nothing comes of it any more.
    const counted = program.attachPerfEvent("cpu-clock", { period: 3_000_000, pid: busy.pid });
    await until("samples of another period", () => watched.seen.some(({ a }) => a === 3_000_000n));
    counted.close();
    expect(watched.seen.every(({ tgid }) => tgid === busy.pid)).toBe(true);
    // One event: the kernel says of it what it counts.
    using one = program.attachPerfEvent("page-faults", {
      period: 10,
      cpu: 0,
      cgroup: cgroup.path,
      ...(cookies ? { cookie: 4 } : {}),
    });
    infoIs(one, { event: "event", name: "", address: 2n, cookie: 4n });
    expect(watched.seen.slice(after).filter(({ a }) => a === 1_000_000n)).toEqual([]);
  });

  requires({}).test("perf_event, each page fault of a process, and of a cgroup", async () => {
    await using cgroup = new TestCgroup();
    await using inside = await PageToucher.start(cgroup);
    await using outside = await PageToucher.start();
    const page = BigInt(run("getconf", "PAGESIZE"));
    using watched = await load("on_perf_event", 0);
    const program = watched.object.program("on_perf_event");
    const whose = { [inside.pid]: inside, [outside.pid]: outside };
    for (const [options, pid, other] of [
      [{ pid: outside.pid }, outside.pid, inside],
      [{ cgroup: cgroup.path }, inside.pid, outside],
    ] as const) {
      const toucher = whose[pid] as PageToucher;
      for (const [period, count, seen] of [
        [1, 61, 61],
        // Each tenth of them.
        [10, 95, 9],
      ] as const) {
        const from = watched.produced;
        const link = program.attachPerfEvent("page-faults", { ...options, period });
        await other.touch(7);
        const start = await toucher.touch(count);
        const told = (await watched.settled()).slice(from);
        expect(told).toHaveLength(seen);
        for (const record of told) expect(record).toMatchObject({ what: 4, tgid: pid, a: BigInt(period) });
        const offsets = told.map(({ result }) => BigInt.asUintN(64, result) - start);
        expect(offsets).toEqual(Array.from({ length: seen }, (_, i) => page * BigInt((i + 1) * period - 1)));
        link.close();
        await toucher.touch(5);
        expect(watched.produced).toBe(from + seen);
      }
    }
  });

  requires({}).test("perf_event of a cgroup, on every CPU and on one", async () => {
    await using cgroup = new TestCgroup();
    const busy = availableCpus().map((cpu) =>
      cgroup.spawn("taskset", ["--cpu-list", String(cpu), "sh", "-c", "while :; do :; done"]),
    );
    using watched = await load("on_perf_event", 0);
    const program = watched.object.program("on_perf_event");
    const tgids = () => new Set(watched.seen.map(({ tgid }) => tgid));
    const all = program.attachPerfEvent("cpu-clock", { frequency: 200, cgroup: cgroup.path });
    await until("samples of all", () => tgids().size === busy.length);
    all.close();
    // Nobody else's.
    expect([...tgids()].toSorted()).toEqual(busy.map(({ pid }) => pid).toSorted());
    const from = (await watched.settled()).length;
    using _one = program.attachPerfEvent("cpu-clock", {
      frequency: 200,
      cgroup: cgroup.path,
      cpu: availableCpus()[0],
    });
    // Before 5.15 there is no link, and an event that was closed goes on until the kernel has a moment for it: a second's samples.
    await until("samples of one CPU alone", () => {
      const last = watched.seen.slice(from).slice(-200);
      return last.length === 200 && last.every(({ tgid }) => tgid === busy[0]?.pid);
    });
  });

  requires({}).test("perf_event of a process, in whichever thread it runs", async () => {
    // Its main thread waits while another works; another one yet comes when it is told.
    const child = new Child(process.execPath, [
      "--eval",
      `const { Worker } = require("node:worker_threads");
       const start = () => new Worker("for (;;);", { eval: true }).once("online", () => console.log("busy"));
       process.stdin.on("data", start);
       start();`,
    ]);
    try {
      const threads = () => readdirSync(`/proc/${child.pid}/task`).map((tid) => BigInt(tid));
      const busy = (count: number) =>
        until(
          `${count} busy threads`,
          () => child.stdout === "busy\n".repeat(count) || child.process.exitCode !== null,
        );
      await busy(1);
      // Of all processes, as far as the program cares: there is but this one to be seen.
      using watched = await load("on_perf_event", 0);
      const link = watched.object
        .program("on_perf_event")
        .attachPerfEvent("cpu-clock", { frequency: 500, pid: child.pid });
      const isWorker = (known: readonly bigint[]) => (record: Seen) =>
        record.tgid === child.pid &&
        record.b !== BigInt(child.pid) &&
        !known.includes(record.b) &&
        threads().includes(record.b);
      await until("samples of the thread that works", () => watched.seen.some(isWorker([])));
      if (requires({ kernel: ">=5.13" }).reason === undefined) {
        const known = threads();
        child.process.stdin?.write("\n");
        await busy(2);
        await until("samples of a thread that came later", () => watched.seen.some(isWorker(known)));
      }
      expect((await watched.settled()).every(({ tgid }) => tgid === child.pid)).toBe(true);
      expect((await errorOf(() => link.info())).message).toMatch(/it is \d+ links of the kernel's/);
      link.close();
      expect(watched.object.links).toEqual([]);
    } finally {
      child.process.kill("SIGKILL");
      await child.finished;
    }
  });

  requires({ hardwareEvents: true }).test("perf_event of the processor's own counters", async () => {
    await using cgroup = new TestCgroup();
    const busy = cgroup.node("for (;;) ;");
    using watched = await load("on_perf_event", busy.pid);
    const program = watched.object.program("on_perf_event");
    for (const options of [{ period: 10_000_000 }, { frequency: 200 }]) {
      using link = program.attachPerfEvent("cycles", { ...options, pid: busy.pid });
      expect(link).toMatchObject({ kind: "perf_event", target: "cycles" });
      const { produced } = watched;
      await until("samples", () => watched.produced > produced);
      expect((await watched.settled()).at(-1)).toMatchObject({ what: 4, tgid: busy.pid, comm: nodeComm() });
    }
  });

  requires({ kernel: ">=6.10", libbpf: "raw_tp_cookie" }).test("raw tracepoint with a cookie", async () => {
    using watched = await load("on_raw_tp", process.pid);
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_raw_tp").attachRawTracepoint("signal_generate", { cookie: 1n << 63n }),
        cause: () => process.kill(process.pid, "SIGWINCH"),
        expected: { what: 7, a: 28n, cookie: 1n << 63n },
      },
      (attached) =>
        expect(attached.info()).toMatchObject({
          type: "raw_tracepoint",
          name: "signal_generate",
          cookie: requires({ kernel: ">=6.16" }).reason === undefined ? 1n << 63n : 0n,
        }),
    );
  });

  requires({ kernel: ">=5.15" }).test("tracepoint with a cookie", async () => {
    using _tracefs = new Tracefs();
    using watched = await load("on_tracepoint", process.pid);
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () =>
          watched.object
            .program("on_tracepoint")
            .attachTracepoint("syscalls", "sys_enter_kill", { cookie: 0xffff_ffff_ffff_ffffn }),
        cause: () => process.kill(process.pid, 0),
        expected: { what: 5, cookie: 0xffff_ffff_ffff_ffffn },
      },
      (attached) => infoIs(attached, { event: "tracepoint", name: "sys_enter_kill", cookie: 0xffff_ffff_ffff_ffffn }),
    );
  });
});

describe("bad input of probes of user space", () => {
  requires({ uprobes: true }).test("files, functions and processes that are not there", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe", child.pid);
    const program = watched.object.program("on_uprobe");
    expect((await errorOf(() => program.attachUprobe("/nowhere/x", "f"))).message).toContain(
      "there is no file /nowhere/x",
    );
    const misspelt = await errorOf(() => program.attachUprobe(child.binary, "probe_ad"));
    expect(misspelt).toMatchObject({ code: "NOT_FOUND" });
    expect(misspelt.message).toContain('has no function probe_ad (did you mean "probe_add"?)');
    const library = await errorOf(() => program.attachUprobe("libcc.so.6", "malloc"));
    expect(library.message).toContain('did you mean "libc.so.6"?');
    const unmapped = await errorOf(() => program.attachUprobe("libssl", "SSL_read", { pid: child.pid }));
    expect(unmapped.message).toContain(`among what process ${child.pid} has mapped`);
    const nobody = await errorOf(() => program.attachUprobe(child.binary, "probe_add", { pid: 0x3fffffff }));
    expect(nobody).toMatchObject({ code: "NOT_FOUND" });
    const nowhere = await errorOf(() => program.attachUprobe(child.binary, undefined));
    expect(nowhere.message).toContain("the name of a function, or option offset");
    expect(watched.object.links).toEqual([]);
  });

  requires({ uprobes: true }).test("a library, found as the loader does, by name and by process", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe", child.pid);
    const program = watched.object.program("on_uprobe");
    for (const [name, options] of [
      ["libc.so.6", {}],
      ["libc", {}],
      ["libc.so.6", { pid: child.pid }],
    ] as const) {
      const from = watched.produced;
      const link = await runsOnlyWhileAttached(watched, {
        attach: () => program.attachUprobe(name, "printf", options),
        cause: () => child.call(1),
        expected: { what: 1, tgid: child.pid },
      });
      expect(watched.produced).toBe(from + 1);
      expect(link.target).toMatch(/libc.*\.so.*:printf$/);
    }
  });

  requires({ uprobes: true }).test("a library in LD_LIBRARY_PATH, and a program in PATH, by name", async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "ebpf-path-")));
    const { LD_LIBRARY_PATH, PATH } = process.env;
    try {
      for (const [variable, name, file] of [
        ["LD_LIBRARY_PATH", "libebpf_test", "libebpf_test.so"],
        ["LD_LIBRARY_PATH", "libebpf_test.so.3", "libebpf_test.so.3"],
        ["PATH", "ebpf_test_program", "ebpf_test_program"],
      ] as const) {
        const path = join(folder, file);
        copyFileSync(childBinary(), path);
        process.env[variable] = `/nowhere:${folder}:${process.env[variable] ?? ""}`;
        await using child = await ProbedChild.start(path);
        using watched = await load("on_uprobe", child.pid);
        const link = await runsOnlyWhileAttached(watched, {
          attach: () => watched.object.program("on_uprobe").attachUprobe(name, "probe_add"),
          cause: () => child.call(6),
          expected: { what: 1, a: 6n },
        });
        expect(link.target).toBe(`${path}:probe_add`);
      }
    } finally {
      Object.assign(process.env, { PATH });
      if (LD_LIBRARY_PATH === undefined) delete process.env["LD_LIBRARY_PATH"];
      else process.env["LD_LIBRARY_PATH"] = LD_LIBRARY_PATH;
      rmSync(folder, { recursive: true });
    }
  });

  requires({ uprobes: true }).test("a file of a container, and a deleted one, as /proc has them", async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "ebpf-container-")));
    // Another file of that name outside, with the same functions.
    const path = join(folder, "attach_child");
    copyFileSync(childBinary(), path);
    const script = 'mount -t tmpfs none "$1" && cp "$2" "$3" && exec "$3"';
    try {
      await using contained = await ProbedChild.start(path, [
        ...(["unshare", "-m", "sh", "-c", script, "sh", folder, childBinary(), path] as const),
      ]);
      await using deleted = await ProbedChild.start(path);
      rmSync(path);
      copyFileSync(childBinary(), path);
      for (const [child, binary, options, found] of [
        [contained, `/proc/${contained.pid}/root${path}`, {}, undefined],
        [contained, `/proc/${contained.pid}/exe`, {}, undefined],
        [contained, "attach_child", { pid: contained.pid }, `/proc/${contained.pid}/root${path}`],
        [deleted, `/proc/${deleted.pid}/exe`, {}, undefined],
        [deleted, "attach_child", { pid: deleted.pid }, expect.stringContaining(`/proc/${deleted.pid}/map_files/`)],
      ] as const) {
        using watched = await load("on_uprobe", child.pid);
        const link = await runsOnlyWhileAttached(watched, {
          attach: () => watched.object.program("on_uprobe").attachUprobe(binary, "probe_add", options),
          cause: () => child.call(6),
          expected: { what: 1, a: 6n },
        });
        expect(link.target.replace(/:probe_add$/, "")).toEqual(found ?? binary);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  requires({ uprobes: true }).test("a USDT probe that is not there", async () => {
    await using child = await ProbedChild.start();
    using watched = await Watched.load("attach_usdt", ["on_usdt"]);
    const error = await errorOf(() =>
      watched.object.program("on_usdt").attachUsdt(child.binary, "ebpf_test", "tock", { pid: child.pid }),
    );
    expect(error).toMatchObject({ code: "NOT_FOUND" });
    expect(error.message).toContain("has no USDT probe ebpf_test:tock");
  });

  // No matter of the kernel, and clang takes long where it is emulated.
  requires({ uprobes: true, notInVm: true }).test("a section whose offset is none", async () => {
    await using child = await ProbedChild.start();
    const { object } = await build({
      code: `
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        SEC("uprobe/${child.binary}:probe_add+zz") int no_number(void *ctx) { return 0; }
        SEC("uretprobe/${child.binary}:probe_add+0x") int no_digits(void *ctx) { return 0; }
        SEC("uprobe/${child.binary}:probe_add+0x0") int at_start(void *ctx) { return 0; }
        char _license[] SEC("license") = "GPL";`,
    });
    using loaded = await BpfObject.load(object);
    for (const [name, text] of [
      ["no_number", "zz"],
      ["no_digits", "0x"],
    ] as const) {
      const error = await errorOf(() => loaded.program(name).attach());
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(error.message).toContain(`has an offset that is no number: "${text}"`);
    }
    expect(loaded.program("at_start").attach().target).toBe(`${child.binary}:probe_add+0`);
  });

  requires({}).test("perf events that are not there, or not clear", async () => {
    using watched = await load("on_perf_event", process.pid);
    const program = watched.object.program("on_perf_event");
    const misspelt = await errorOf(() => program.attachPerfEvent("cpu-clok" as "cpu-clock"));
    expect(misspelt.message).toContain('did you mean "cpu-clock"?');
    const whose = await errorOf(() => program.attachPerfEvent("cpu-clock", { inherit: true }));
    expect(whose.message).toContain("inherit goes with pid");
    const both = await errorOf(() => program.attachPerfEvent("cpu-clock", { frequency: 1, period: 1 }));
    expect(both.message).toContain("say frequency or period, not both");
    expect(await errorOf(() => program.attachPerfEvent("cpu-clock", { pid: 0x3fffffff }))).toMatchObject({
      code: "NOT_FOUND",
    });
    expect(await errorOf(() => program.attachPerfEvent({ type: 4711, config: 0 }))).toMatchObject({
      code: "KERNEL_UNSUPPORTED",
    });
    if (requires({ hardwareEvents: true }).reason !== undefined) {
      const uncounted = await errorOf(() => program.attachPerfEvent("cycles"));
      expect(uncounted).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
      expect(uncounted.message).toContain("this machine does not count cycles");
    }
    expect(watched.object.links).toEqual([]);
  });
});
