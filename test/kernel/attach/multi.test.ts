import { kernelSymbols, type MultiLink } from "ebpf";
import { describe, expect } from "vitest";
import { kernelFunctions } from "../../../lib/kernel/functions.js";
import { ProbedChild, runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { Tracefs } from "../support/mounted.js";
import { readDirectory } from "../support/read_directory.js";
import { requires } from "../support/requires.js";
import { run } from "../support/run.js";

nothingStaysOpen();

const cookies = requires({ kernel: ">=5.15" }).reason === undefined;

const load = (program: string, tgid = process.pid) =>
  Watched.load(program.endsWith("syscall") ? "attach_ksyscall" : "attach_multi", [program], (opened) => {
    opened.rodata["only_tgid"] = tgid;
  });

/** Calls generic_read_dir(), which says EISDIR, and then security_task_kill(), which lets it be. */
function callBoth(): void {
  readDirectory(33);
  process.kill(process.pid, 0);
}

/** Of these ktime_get_boot_fast_ns() is notrace, since tracers take their time from it. */
const PARTLY = "ktime_get_*_ns";

function expectPartly(link: MultiLink): void {
  const { matched, functions, skipped } = link;
  expect(functions).toContain("ktime_get_resolution_ns");
  expect(skipped.map(({ name }) => name)).toContain("ktime_get_boot_fast_ns");
  for (const { name, reason } of skipped) expect(reason, name).toMatch(/ftrace cannot trace it|functions of that name/);
  expect(matched).toBe(functions.length + skipped.length);
  const all = new Set(kernelFunctions((name) => /^ktime_get_.*_ns$/.test(name)));
  expect(new Set([...functions, ...skipped.map(({ name }) => name)])).toEqual(all);
}

describe("attach type", () => {
  requires({ vm: true, attachType: "traceKprobeMulti" }).test("trace_kprobe_multi", async () => {
    using watched = await load("on_kprobe_multi");
    const program = watched.object.program("on_kprobe_multi");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => program.attachKprobeMulti(["generic_read_dir", "security_task_kill"], { cookies: [11, 22n] }),
        cause: callBoth,
        expected: { what: 1, b: 33n, cookie: 11n },
      },
      (attached) => {
        const info = attached.info();
        expect(info).toMatchObject({ type: "kprobe_multi", count: 2, return: false, missed: 0n });
        if (info.type !== "kprobe_multi" || requires({ kernel: ">=6.6" }).reason !== undefined) return;
        // In the order of the addresses, which is the kernel's.
        const named = info.addresses.map((address) => kernelSymbols().find(address)?.name);
        expect(named.toSorted()).toEqual(["generic_read_dir", "security_task_kill"]);
        if (requires({ kernel: ">=6.9" }).reason !== undefined) return;
        expect(info.cookies.map((cookie, i) => [named[i], cookie]).toSorted()).toEqual([
          ["generic_read_dir", 11n],
          ["security_task_kill", 22n],
        ]);
      },
    );
    expect(link).toMatchObject({
      kind: "kprobe.multi",
      matched: 2,
      functions: ["generic_read_dir", "security_task_kill"],
      skipped: [],
    });
    // Each with its own cookie, and where it was.
    const called = watched.seen.map(({ a, cookie }) => [kernelSymbols().find(a)?.name, cookie]);
    expect(called).toEqual([
      ["generic_read_dir", 11n],
      ["security_task_kill", 22n],
    ]);
    const from = watched.produced;
    using glob = program.attachKprobeMulti("generic_read_d?r", { cookies: 7 });
    expect(glob).toMatchObject({ matched: 1, functions: ["generic_read_dir"], skipped: [] });
    callBoth();
    expect((await watched.settled()).slice(from)).toMatchObject([{ what: 1, b: 33n, cookie: 7n }]);
    const many = await errorOf(() => program.attachKprobeMulti("vfs_*", { limit: 3 }));
    expect(many.message).toMatch(/matches \d+ functions, more than the limit of 3/);
    const none = await errorOf(() => program.attachKprobeMulti("no_such_function_*"));
    expect(none).toMatchObject({ code: "NOT_FOUND" });
    const unknown = await errorOf(() => program.attachKprobeMulti(["generic_read_dri"]));
    expect(unknown.message).toContain('did you mean "generic_read_dir"?');
    const cookies = await errorOf(() => program.attachKprobeMulti("vfs_*", { cookies: [1, 2] }));
    expect(cookies.message).toContain("a list of cookies goes with a list of functions");
  });

  requires({ vm: true, attachType: "traceKprobeMulti" }).test("trace_kprobe_multi, at return", async () => {
    using watched = await load("on_kretprobe_multi");
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object
          .program("on_kretprobe_multi")
          .attachKprobeMulti(["security_task_kill", "generic_read_dir"], { at: "return", cookies: [1n << 60n, 2] }),
      cause: callBoth,
      expected: { what: 2, result: 0n, cookie: 1n << 60n },
    });
    expect(watched.seen.map(({ result, cookie }) => [result, cookie])).toEqual([
      [-21n, 2n],
      [0n, 1n << 60n],
    ]);
  });

  requires({ vm: true, attachType: "traceKprobeSession" }).test("trace_kprobe_session", async () => {
    using watched = await load("on_kprobe_session");
    const program = watched.object.program("on_kprobe_session");
    await runsOnlyWhileAttached(watched, {
      attach: () => program.attachKprobeMulti("generic_read_dir", { at: "session", cookies: 5 }),
      cause: () => readDirectory(35),
      expected: { what: 3, a: 1n, result: -21n, cookie: 5n },
    });
    expect(watched.seen.map(({ a }) => a)).toEqual([0n, 1n]);
    const plain = await errorOf(() => program.attachKprobeMulti("generic_read_dir"));
    expect(plain.message).toContain('at "session" goes with section kprobe.session');
  });

  requires({ vm: true, kprobes: true }).test("kprobes at many functions, one each", async () => {
    using watched = await load("on_kprobe");
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_kprobe").attachKprobeMulti("generic_read_*"),
      cause: () => readDirectory(36),
      expected: { what: 7, b: 36n },
    });
    expect(link).toMatchObject({ kind: "kprobe", functions: expect.arrayContaining(["generic_read_dir"]) });
  });

  requires({ vm: true, kprobes: true }).test("ksyscall", async () => {
    using watched = await load("on_ksyscall");
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_ksyscall").attachKsyscall("kill", cookies ? { cookie: 31 } : {}),
      cause: () => process.kill(process.pid, 0),
      expected: { what: 8, a: BigInt(process.pid), b: 0n, cookie: cookies ? 31n : 0n },
    });
    const unknown = await errorOf(() => watched.object.program("on_ksyscall").attachKsyscall("no_such_call"));
    expect(unknown.code).toBe("NOT_FOUND");
  });

  requires({ vm: true, kprobes: true }).test("kretsyscall", async () => {
    using watched = await load("on_kretsyscall");
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_kretsyscall").attachKretsyscall("kill", cookies ? { cookie: 32 } : {}),
      cause: () => {
        process.kill(process.pid, 0);
        // Nobody has this number.
        expect(() => process.kill(0x3fffffff, 0)).toThrow("ESRCH");
      },
      expected: { what: 9, result: -3n, cookie: cookies ? 32n : 0n },
    });
    expect(watched.seen.map(({ result }) => result)).toEqual([0n, -3n]);
  });

  requires({ attachType: "traceUprobeMulti" }).test("trace_uprobe_multi", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe_multi", child.pid);
    const program = watched.object.program("on_uprobe_multi");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () =>
          program.attachUprobeMulti(child.binary, ["probe_add", "probe_multiply"], { pid: child.pid, cookies: [1, 2] }),
        cause: () => child.call(8),
        expected: { what: 4, a: 8n, b: 3n, cookie: 2n },
      },
      (attached) => {
        const info = attached.info();
        expect(info).toMatchObject({ type: "uprobe_multi", path: child.binary, count: 2, return: false });
        if (info.type !== "uprobe_multi" || requires({ kernel: ">=6.9" }).reason !== undefined) return;
        expect(info).toMatchObject({ pid: child.pid, cookies: [1n, 2n] });
        // Where nm(1) has the functions, give or take the segment that they are in.
        const [add = 0n, multiply = 0n] = info.offsets;
        const address = (name: string) =>
          BigInt(`0x${new RegExp(`^(\\w+) T ${name}$`, "m").exec(run("nm", child.binary))?.[1]}`);
        expect(multiply - add).toBe(address("probe_multiply") - address("probe_add"));
        expect(add & 0xfffn).toBe(address("probe_add") & 0xfffn);
      },
    );
    expect(link).toMatchObject({ kind: "uprobe.multi", matched: 2 });
    using glob = program.attachUprobeMulti(child.binary, "probe_*", { pid: child.pid });
    expect(glob.functions.toSorted()).toEqual(["probe_add", "probe_multiply"]);
    const unknown = await errorOf(() => program.attachUprobeMulti(child.binary, ["probe_ad"]));
    expect(unknown.message).toContain('did you mean "probe_add"?');
  });

  requires({ attachType: "traceUprobeMulti" }).test("trace_uprobe_multi, at return", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uretprobe_multi", child.pid);
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object
          .program("on_uretprobe_multi")
          .attachUprobeMulti(child.binary, "probe_multiply", { at: "return" }),
      cause: () => child.call(9),
      expected: { what: 5, result: 27n },
    });
  });

  requires({ kernel: ">=6.13", attachType: "traceUprobeSession" }).test("trace_uprobe_session", async () => {
    await using child = await ProbedChild.start();
    using watched = await load("on_uprobe_session", child.pid);
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object
          .program("on_uprobe_session")
          .attachUprobeMulti(child.binary, "probe_multiply", { at: "session" }),
      cause: () => child.call(10),
      expected: { what: 6, a: 1n, result: 30n },
    });
  });
});

describe("globs", () => {
  requires({ vm: true, kprobes: true }).test(
    "what a glob matches and what is attached, and why not the rest",
    async () => {
      using _tracefs = new Tracefs();
      using watched = await load("on_kprobe");
      using each = watched.object.program("on_kprobe").attachKprobeMulti(PARTLY);
      expectPartly(each);
      if (requires({ attachType: "traceKprobeMulti" }).reason !== undefined) return;
      using many = await load("on_kprobe_multi");
      using together = many.object.program("on_kprobe_multi").attachKprobeMulti(PARTLY);
      expectPartly(together);
      expect(together.info()).toMatchObject({ count: together.functions.length });
    },
  );
});
