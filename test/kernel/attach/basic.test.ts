import { BpfObject, createMap, type Link, mapByFd, type Program, type VariantSpec, VerifierError } from "ebpf";
import { describe, expect, test } from "vitest";
import { Probes, type sighting } from "../../fixtures/probes.bpf.js";
import { UnknownFunc } from "../../fixtures/unknown_func.bpf.js";
import { type read_dir, Variants, type VariantsObject } from "../../fixtures/variants.bpf.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { fixture } from "../support/fixture.js";
import { Tracefs } from "../support/mounted.js";
import { NetNamespace } from "../support/namespace.js";
import { readDirectory } from "../support/read_directory.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const EISDIR = -21n;

nothingStaysOpen();

/** Loads the fixture with only these programs, for events of this process. */
async function load(...programs: string[]): Promise<Probes> {
  const opened = Probes.open();
  opened.rodata.only_tgid = process.pid;
  for (const program of Object.values(opened.programs)) program.autoload = programs.includes(program.name);
  return opened.load();
}

/**
 * Attaches, causes the event, checks what the program saw, closes the link, causes it again: the program is silent then,
 * as the records are in order and the next one is another program's or none.
 */
async function seesOnlyWhileAttached(
  object: Probes,
  attach: (program: Program) => Link,
  program: string,
  cause: (nth: number) => void,
  expected: (nth: number) => Partial<sighting>,
): Promise<Link> {
  const seen: sighting[] = [];
  const ring = object.ringBuffer("sightings");
  ring.on("event", (sighting) => seen.push(sighting));
  cause(1);
  const link = attach(object.program(program));
  cause(2);
  await until("the event", () => seen.length > 0);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ ...expected(2), tgid: process.pid });
  expect(seen[0]?.pid).toBe(process.pid);
  link.close();
  cause(3);
  if (["fentry", "fexit"].includes(link.kind) && requires({ kernel: ">=5.13" }).reason !== undefined) {
    expect(ring.totals.produced).toBe(1);
    const error = await errorOf(() => attach(object.program(program)));
    expect(error).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
    expect(error.message).toContain("attaches a loaded tracing or LSM program once (until 5.13)");
    return link;
  }
  // A second link proves that the ring is still read, and that the third event is not merely late.
  using again = attach(object.program(program));
  cause(4);
  await until("the event after attaching again", () => seen.length > 1);
  expect(seen).toHaveLength(2);
  expect(seen[1]).toMatchObject(expected(4));
  expect(object.links).toEqual([again]);
  return link;
}

const SIGWINCH = 28;
const wink = (): void => void process.kill(process.pid, "SIGWINCH");

describe("attach type", () => {
  requires({ kprobes: true }).test("kprobe", async () => {
    using object = await load("on_kprobe");
    const expected = (nth: number) => ({ probe: 1, argument: BigInt(1000 + nth), result: 0n });
    const cause = (nth: number) => readDirectory(1000 + nth);
    const link = await seesOnlyWhileAttached(object, (program) => program.attach(), "on_kprobe", cause, expected);
    expect({ kind: link.kind, target: link.target, program: link.program, closed: link.closed }).toEqual({
      kind: "kprobe",
      target: "generic_read_dir",
      program: "on_kprobe",
      closed: true,
    });
    using again = await load("on_kprobe");
    await seesOnlyWhileAttached(
      again,
      (program) => program.attachKprobe("generic_read_dir"),
      "on_kprobe",
      cause,
      expected,
    );
  });

  requires({ kprobes: true }).test("kretprobe", async () => {
    using object = await load("on_kretprobe");
    const expected = () => ({ probe: 2, result: EISDIR });
    await seesOnlyWhileAttached(
      object,
      (program) => program.attach(),
      "on_kretprobe",
      (nth) => readDirectory(nth),
      expected,
    );
    using again = await load("on_kretprobe");
    await seesOnlyWhileAttached(
      again,
      (program) => program.attachKretprobe("generic_read_dir"),
      "on_kretprobe",
      (nth) => readDirectory(nth),
      expected,
    );
  });

  requires({ tracing: true }).test("fentry", async () => {
    using object = await load("on_fentry");
    await seesOnlyWhileAttached(
      object,
      (program) => program.attach(),
      "on_fentry",
      (nth) => readDirectory(nth),
      (nth) => ({ probe: 3, argument: BigInt(nth), result: 0n }),
    );
  });

  requires({ tracing: true }).test("fexit: arguments and return value", async () => {
    using object = await load("on_fexit");
    await seesOnlyWhileAttached(
      object,
      (program) => program.attachTrace(),
      "on_fexit",
      (nth) => readDirectory(nth),
      (nth) => ({ probe: 4, argument: BigInt(nth), result: EISDIR }),
    );
  });

  requires({ attachType: "traceRawTp" }).test("tp_btf", async () => {
    using object = await load("on_tp_btf");
    await seesOnlyWhileAttached(
      object,
      (program) => program.attach(),
      "on_tp_btf",
      wink,
      () => ({ probe: 5, argument: BigInt(SIGWINCH), result: BigInt(process.pid) }),
    );
  });

  requires({}).test("tracepoint", async () => {
    using _tracefs = new Tracefs();
    using object = await load("on_tracepoint", "on_syscall_tracepoint");
    const link = await seesOnlyWhileAttached(
      object,
      (program) => program.attach(),
      "on_tracepoint",
      wink,
      () => ({ probe: 6, argument: BigInt(SIGWINCH), result: BigInt(process.pid) }),
    );
    expect(link).toMatchObject({ kind: "tracepoint", target: "signal/signal_generate" });
  });

  requires({}).test("tracepoint of a system call", async () => {
    using _tracefs = new Tracefs();
    using object = await load("on_syscall_tracepoint");
    // Signal 0 generates no signal: only the system call is seen.
    const attach = (program: Program) => program.attachTracepoint("syscalls", "sys_enter_kill");
    await seesOnlyWhileAttached(
      object,
      attach,
      "on_syscall_tracepoint",
      () => process.kill(process.pid, 0),
      () => ({ probe: 7, argument: 0n, result: BigInt(process.pid) }),
    );
  });

  requires({}).test("raw tracepoint", async () => {
    using object = await load("on_raw_tp");
    const expected = () => ({ probe: 8, argument: BigInt(SIGWINCH), result: BigInt(process.pid) });
    await seesOnlyWhileAttached(object, (program) => program.attach(), "on_raw_tp", wink, expected);
    using again = await load("on_raw_tp");
    await seesOnlyWhileAttached(
      again,
      (program) => program.attachRawTracepoint("signal_generate"),
      "on_raw_tp",
      wink,
      expected,
    );
  });
});

describe("attaching a whole object", () => {
  requires({}).test("object.attach() attaches all that is loaded, and close() closes all links", async () => {
    using _tracefs = new Tracefs();
    const object = await load("on_raw_tp", "on_syscall_tracepoint");
    const seen: sighting[] = [];
    object.ringBuffer("sightings").on("event", (sighting) => seen.push(sighting));
    const links = object.attach();
    expect(links.map(({ program }) => program).sort()).toEqual(["on_raw_tp", "on_syscall_tracepoint"]);
    expect(object.links).toEqual(links);
    wink();
    await until("both", () => seen.length >= 2);
    expect(seen.map(({ probe }) => probe).sort()).toEqual([7, 8]);
    object.close();
    expect(links.map(({ closed }) => closed)).toEqual([true, true]);
  });

  requires({}).test("when one of an object's programs cannot be attached, none stays attached", async () => {
    using tracefs = new Tracefs();
    using object = await load("on_raw_tp", "on_syscall_tracepoint", "on_kprobe");
    const failing = object.program("on_kprobe");
    const original = failing.attach;
    if (requires({ kprobes: true }).reason === undefined)
      failing.attach = () => failing.attachKprobe("ebpf_no_such_function");
    await errorOf(() => object.attach());
    expect(object.links).toEqual([]);
    failing.attach = original;
    void tracefs;
  });
});

describe("what cannot be attached says why", () => {
  requires({ kprobes: true }).test("a kprobe on an unknown function loads, and fails to attach", async () => {
    const opened = UnknownFunc.open();
    opened.program("on_fentry").autoload = false;
    using object = await opened.load();
    const error = await errorOf(() => object.attach());
    expect(error).toMatchObject({ code: "NOT_FOUND" });
    expect(error.message).toContain(
      "cannot attach on_kprobe to kprobe ebpf_no_such_function: this kernel has no function ebpf_no_such_function",
    );
    const near = await errorOf(() => object.program("on_kprobe").attachKprobe("generic_read_dri"));
    expect(near.message).toContain('did you mean "generic_read_dir"?');
    expect(object.links).toEqual([]);
  });

  requires({ tracing: true }).test("an fentry on an unknown function fails to load", async () => {
    const opened = UnknownFunc.open();
    opened.program("on_kprobe").autoload = false;
    const error = await errorOf(() => opened.load());
    expect(error.code).toBe("NOT_FOUND");
    expect(error.message).toContain("ebpf_no_such_function");
  });

  requires({ kprobes: true }).test(
    "a function that may not be probed, and an offset inside an instruction",
    async () => {
      using object = await load("on_kprobe");
      const blacklisted = await errorOf(() => object.program("on_kprobe").attachKprobe("exc_int3"));
      expect(blacklisted.message).toMatch(/exc_int3/);
      expect(["KERNEL_UNSUPPORTED", "NOT_FOUND"]).toContain(blacklisted.code);
      const inside = await errorOf(() => object.program("on_kprobe").attachKprobe("generic_read_dir", { offset: 1 }));
      expect(inside.message).toContain("generic_read_dir");
      expect(object.links).toEqual([]);
    },
  );

  test("kprobes on a kernel without them", async ({ skip }) => {
    if (requires({ kprobes: true }).reason === undefined) skip("this kernel has kprobes");
    using object = await load("on_kprobe");
    const error = await errorOf(() => object.attach());
    expect(error).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
    expect(error.message).toContain("CONFIG_KPROBES");
  });

  test("a program type that the kernel refuses", async ({ skip }) => {
    if (requires({ tracing: true }).reason === undefined) skip("this kernel accepts programs of type tracing");
    const error = await errorOf(() => load("on_fentry"));
    expect(error).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(error.message).toContain("on_fentry");
    expect(error.message).toContain("tracing");
  });

  test("a tracepoint that does not exist, and one whose tracefs is not mounted", async () => {
    using object = await load("on_tracepoint", "on_raw_tp");
    {
      using _tracefs = new Tracefs();
      const error = await errorOf(() => object.program("on_tracepoint").attachTracepoint("signal", "signal_genrate"));
      expect(error).toMatchObject({ code: "NOT_FOUND" });
      expect(error.message).toContain("no tracepoint signal:signal_genrate");
      expect(error.message).toContain('did you mean "signal:signal_generate"?');
    }
    const raw = await errorOf(() => object.program("on_raw_tp").attachRawTracepoint("signal_genrate"));
    expect(raw).toMatchObject({ code: "NOT_FOUND" });
  });

  test("another type than the method's, a misspelt option, a program that was not loaded", async () => {
    using object = await load("on_raw_tp");
    const program = object.program("on_raw_tp");
    const wrong = await errorOf(() => program.attachKprobe("generic_read_dir"));
    expect(wrong).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(wrong.message).toContain("on_raw_tp is a raw_tracepoint program");
    const misspelt = await errorOf(() => program.attachRawTracepoint("signal_generate", { coookie: 1 } as object));
    expect(misspelt.message).toContain('unknown option "coookie" (did you mean "cookie"?)');
    expect(await errorOf(() => object.program("on_kprobe").attach())).toMatchObject({ code: "INVALID_STATE" });
    expect(object.links).toEqual([]);
  });
});

describe("variants of one probe", () => {
  type Candidates = VariantSpec<keyof VariantsObject["programs"]>[string];
  const candidates: Candidates = ["read_dir_fexit", ["read_dir_kprobe", "read_dir_kretprobe"], "xdp_only"];
  const open = (read_dir: Candidates = candidates) => {
    const opened = Variants.open({ variants: { read_dir } });
    opened.rodata.only_tgid = process.pid;
    return opened;
  };

  requires({ tracing: true }).test("the first that loads is used, the rest are not loaded", async () => {
    using object = await open().load();
    expect(object.variants["read_dir"]).toEqual({ chosen: ["read_dir_fexit"], rejected: [] });
    expect(object.programs.read_dir_kprobe.loaded).toBe(false);
    const seen: read_dir[] = [];
    object.maps.reads.on("event", (event) => seen.push(event));
    object.attach();
    readDirectory(77);
    await until("the event", () => seen.length > 0);
    expect(seen).toMatchObject([{ size: 77n, retval: EISDIR, variant: 1 }]);
  });

  requires({ kprobes: true, tracing: true }).test(
    "kprobe and kretprobe where fexit does not load, and the reason is there to read",
    async () => {
      using opened = open();
      // A function without arguments: there is no fifth for the program to read, so on every kernel it is rejected.
      opened.programs.read_dir_fexit.setAttachTarget("schedule");
      using object = await opened.load();
      const choice = object.variants["read_dir"];
      expect(choice?.chosen).toEqual(["read_dir_kprobe", "read_dir_kretprobe"]);
      expect(choice?.rejected.map(({ programs }) => programs)).toEqual([["read_dir_fexit"]]);
      expect(choice?.rejected[0]?.reason.message).toMatch(
        /schedule|doesn't have 5-th argument|invalid bpf_context access/,
      );
      const seen: read_dir[] = [];
      object.maps.reads.on("event", (event) => seen.push(event));
      object.attach();
      readDirectory(78);
      await until("the event", () => seen.length > 0);
      expect(seen).toMatchObject([{ size: 78n, retval: EISDIR, variant: 2 }]);
    },
  );

  test("what was set holds for the variant that is used in the end, maps of other names too", async () => {
    const cell = () => createMap({ type: "lru_hash", name: "elsewhere", key: "u64", value: "u64", maxEntries: 1024 });
    using first = cell();
    using shared = cell();
    using opened = open(["read_dir_fexit", "xdp_only"]);
    // Not on any kernel, as above.
    if (requires({ tracing: true }).reason === undefined) opened.programs.read_dir_fexit.setAttachTarget("schedule");
    for (const name of ["read_dir_kprobe", "read_dir_kretprobe"] as const) opened.programs[name].autoload = false;
    opened.maps.sizes.reuse(first);
    first.close();
    opened.maps.sizes.reuse(shared);
    expect(opened.maps.sizes.name).toBe("sizes");
    opened.maps.reads.maxEntries = 8192;
    using object = await opened.load();
    expect(object.variants["read_dir"]).toMatchObject({
      chosen: ["xdp_only"],
      rejected: [{ programs: ["read_dir_fexit"] }],
    });
    expect(object.maps.sizes.info().id).toBe(shared.info().id);
    object.maps.sizes.set(1n, 2n);
    expect(shared.get(1n)).toBe(2n);
    expect(object.map("sizes")).toBe(object.maps.sizes);
    using reads = mapByFd(object.maps.reads.fd);
    expect(reads.maxEntries).toBe(8192);
  });

  test("where neither works, the last is used, with the reasons of both", async ({ skip }) => {
    if (requires({ tracing: true }).reason === undefined) skip("this kernel runs the first variant");
    using object = await open([...candidates.slice(0, 2), []]).load();
    expect(object.attach()).toEqual([]);
    const choice = object.variants["read_dir"];
    expect(choice?.chosen).toEqual([]);
    expect(choice?.rejected.map(({ programs }) => programs)).toEqual([
      ["read_dir_fexit"],
      ["read_dir_kprobe", "read_dir_kretprobe"],
    ]);
    expect(choice?.rejected[0]?.reason).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(choice?.rejected[1]?.reason).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
  });

  test("where nothing works, the error has every reason", async ({ skip }) => {
    if (requires({ tracing: true }).reason === undefined) skip("this kernel runs the first variant");
    using object = await open(candidates.slice(0, 2)).load();
    const error = await errorOf(() => object.attach());
    expect(error.message).toContain('no variant of "read_dir" works on this kernel:');
    expect(error.message).toContain("read_dir_fexit: cannot load");
    expect(error.message).toContain("read_dir_kprobe + read_dir_kretprobe: cannot attach");
    expect(object.links).toEqual([]);
  });

  requires({}).test("what loads and cannot be attached gives way to the next, which is loaded then", async () => {
    using opened = open(["read_dir_nowhere", "signal_instead"]);
    for (const name of ["read_dir_fexit", "read_dir_kprobe", "read_dir_kretprobe"] as const)
      opened.programs[name].autoload = false;
    using object = await opened.load();
    expect(object.programs.read_dir_nowhere.loaded).toBe(true);
    expect(object.programs.signal_instead.loaded).toBe(false);
    const seen: read_dir[] = [];
    object.maps.reads.on("event", (event) => seen.push(event));
    const [link] = object.attach();
    expect(link).toMatchObject({ kind: "raw_tp", target: "signal_generate" });
    const choice = object.variants["read_dir"];
    expect(choice?.chosen).toEqual(["signal_instead"]);
    expect(choice?.rejected.map(({ programs }) => programs)).toEqual([["read_dir_nowhere"]]);
    expect(choice?.rejected[0]?.reason.message).toContain("ebpf_no_such_function");
    // It has the maps of the others, and the variables as they were set.
    wink();
    await until("the event", () => seen.length > 0);
    expect(seen).toMatchObject([{ variant: 3, tgid: process.pid }]);
    link?.close();
    wink();
    expect(object.maps.reads.totals.produced).toBe(1);
  });

  requires({}).test("one that no kernel verifies does not take the object down, where we can do without", async () => {
    using object = await BpfObject.load(fixture("reject"), { variants: { luxury: ["rejected", []] } });
    const choice = object.variant("luxury");
    expect(object.variants).toEqual({ luxury: choice });
    expect((await errorOf(() => object.variant("luxry"))).message).toContain('did you mean "luxury"?');
    expect(choice.chosen).toEqual([]);
    expect(choice.rejected).toMatchObject([{ programs: ["rejected"], reason: expect.any(VerifierError) }]);
    expect(object.program("accepted").testRun({ data: new Uint8Array(64) }).returnValue).toBe(2);
    expect(object.program("rejected").loaded).toBe(false);
  });

  test("a specification that the object does not fit", async () => {
    // @ts-expect-error the compiler knows the programs, too
    const misnamed = await errorOf(() => Variants.open({ variants: { x: ["read_dir_fexti"] } }));
    expect(misnamed.message).toContain('did you mean "read_dir_fexit"?');
    const twice = await errorOf(() => Variants.open({ variants: { x: ["xdp_only"], y: ["xdp_only"] } }));
    expect(twice.message).toContain('"xdp_only" is in "x" and again in "y"');
  });

  requires({ netns: true }).test("what only the last candidate needs is asked for when that is chosen", async () => {
    using namespace = new NetNamespace();
    const opened = open(["xdp_only"]);
    for (const name of ["read_dir_fexit", "read_dir_kprobe", "read_dir_kretprobe"] as const)
      opened.programs[name].autoload = false;
    using object = await opened.load();
    expect((await errorOf(() => object.attach())).message).toContain('say which, attach({ device: "eth0" })');
    const [link] = object.attach({ device: "lo", netns: namespace.path });
    expect(link).toMatchObject({ kind: "xdp", program: "xdp_only" });
    expect(object.programs.xdp_only).toMatchObject({ section: "xdp", optional: true, loaded: true });
    expect(object.programs.read_dir_fexit).toMatchObject({ optional: false, loaded: false });
  });
});
