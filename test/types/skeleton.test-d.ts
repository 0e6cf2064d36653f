/** What the compiler knows of an object by its skeleton, and what it refuses. */
import {
  type ArrayMap,
  BpfObject,
  type Globals,
  type HashMap,
  type Link,
  type LoadedObject,
  type LruPerCpuHashMap,
  type ObjectMap,
  type OpenedMap,
  type OpenedObject,
  type OpenedProgram,
  type OpenedRing,
  type PerCpuArrayMap,
  type PerCpuHashMap,
  type PerfBuffer,
  type PerfEventArrayMap,
  type PerfRecorder,
  type Program,
  type ReaderChoice,
  type RingBuffer,
  type RingBuffers,
  snapshot,
  type UserRingBuffer,
} from "ebpf";
import type { ObjectShape, ProgramOf } from "ebpf/skeleton";
import { describe, expectTypeOf, test } from "vitest";
import type { NamedMethod } from "../../lib/program/method_for.js";
import type { EventsRingMaps, record } from "../fixtures/events_ring_maps.bpf.js";
import type { command, EventsUserRing } from "../fixtures/events_user_ring.bpf.js";
import type { Bare, BareObject } from "../unit/skeleton/cases/bare.bpf.js";
import {
  type closed,
  type either_input,
  type event,
  event_kind,
  type line,
  type opened,
  type Rings,
  type tenant,
} from "../unit/skeleton/cases/rings.bpf.js";
import { type limits, Sections, type SectionsObject } from "../unit/skeleton/cases/sections.bpf.js";
import {
  type connection,
  type endpoint,
  type enums,
  large_enum,
  Traps,
  unsigned_enum,
} from "../unit/skeleton/cases/traps.bpf.js";

// Never called: vitest only compiles this file. The functions are where awaiting and assigning is allowed.
declare const sections: Sections;
declare const openedSections: OpenedObject<SectionsObject, Sections>;
declare const openedRings: ReturnType<typeof Rings.open>;
declare const rings: Rings;
declare const bare: Bare;

describe("phases", () => {
  test("open gives an opened object, load the skeleton's class", () => {
    expectTypeOf(Sections.open).returns.toEqualTypeOf<OpenedObject<SectionsObject, Sections>>();
    expectTypeOf(Sections.load).returns.resolves.toEqualTypeOf<Sections>();
    expectTypeOf(openedSections.load).returns.resolves.toEqualTypeOf<Sections>();
    expectTypeOf<Sections>().toExtend<LoadedObject<SectionsObject>>();
    expectTypeOf<Sections>().toExtend<Disposable>();
  });

  test("constants are set before load only", () => {
    openedSections.rodata.only_pid = 1;
    openedSections.rodata.verbose = false;
    openedSections.rodata.limits = { packets: 1, bytes: [1n, 2n] };
    openedSections.rodata.limits.bytes[0] = 5n;
    openedSections.section(".rodata.tuning").tuning = 6;
    expectTypeOf(sections.rodata.only_pid).toEqualTypeOf<number>();
    expectTypeOf(sections.rodata.device).toEqualTypeOf<string>();
    // @ts-expect-error it is constant from load on
    sections.rodata.only_pid = 1;
    // @ts-expect-error and so is every part of it
    sections.rodata.limits.packets = 1;
    // @ts-expect-error elements included
    sections.rodata.limits.bytes[0] = 5n;
    // @ts-expect-error in every constant section
    sections.section(".rodata.tuning").tuning = 6;
    // @ts-expect-error the kernel's configuration too
    sections.section(".kconfig").CONFIG_BPF = true;
  });

  test("variables are set before load and after", () => {
    openedSections.data.port = 443;
    sections.data.port = 443;
    sections.bss.seen = 0n;
    sections.bss.used.bytes[1] = 7n;
    sections.bss.used = { packets: 0, bytes: [0n, 0n] };
    sections.section(".data.config").threshold = 1n;
    sections.section(".bss.more").per_cpu[3]?.bytes.fill(0n);
    expectTypeOf(sections.bss.seen).toEqualTypeOf<bigint>();
    expectTypeOf(sections.bss.used).toEqualTypeOf<limits>();
    expectTypeOf(sections.section(".bss.more").per_cpu).toEqualTypeOf<limits[]>();
    expectTypeOf(snapshot(sections.bss.used)).toEqualTypeOf<limits>();
    // @ts-expect-error of its own type
    sections.bss.seen = 0;
    // @ts-expect-error by its own name
    sections.bss.saw = 0n;
    // @ts-expect-error where there is no such section there is nothing in it
    sections.section(".data.nothing");
    // @ts-expect-error an object without variables has none
    rings.bss.seen;
  });

  test("maps are sized before load, and read after it", () => {
    expectTypeOf(openedSections.maps.hash).toEqualTypeOf<OpenedMap>();
    openedSections.maps.hash.maxEntries = 1 << 16;
    // @ts-expect-error there is no map yet
    openedSections.maps.hash.get(1n);
    // @ts-expect-error its size is settled
    sections.maps.hash.maxEntries = 5;
    // @ts-expect-error no such map
    openedSections.maps.hsah;
    // @ts-expect-error no such map
    sections.maps.hsah;
  });

  test("programs are chosen before load, and attached after it", () => {
    expectTypeOf(openedSections.programs.on_kill).toEqualTypeOf<OpenedProgram>();
    openedSections.programs.on_kill.autoload = false;
    // @ts-expect-error not in the kernel yet
    openedSections.programs.on_kill.attach();
    // @ts-expect-error too late
    sections.programs.on_kill.autoload = false;
    // @ts-expect-error no such program
    sections.programs.on_klil;
  });
});

describe("maps", () => {
  test("are of their class, with their key and value", () => {
    expectTypeOf(sections.maps.hash).toEqualTypeOf<HashMap<bigint, limits>>();
    expectTypeOf(sections.maps.array).toEqualTypeOf<ArrayMap<limits>>();
    expectTypeOf(sections.maps.percpu_hash).toEqualTypeOf<PerCpuHashMap<number, limits>>();
    expectTypeOf(sections.maps.percpu_array).toEqualTypeOf<PerCpuArrayMap<bigint>>();
    expectTypeOf(sections.maps.lru_percpu_hash).toEqualTypeOf<LruPerCpuHashMap<number, bigint>>();
    expectTypeOf(sections.maps.percpu_hash.get(1)).toEqualTypeOf<limits[] | undefined>();
    expectTypeOf(sections.maps.untyped.get(new Uint8Array(6))).toEqualTypeOf<Uint8Array | undefined>();
    for (const [key, value] of sections.maps.hash) {
      expectTypeOf(key).toEqualTypeOf<bigint>();
      expectTypeOf(value).toEqualTypeOf<limits>();
    }
    // @ts-expect-error the key is a u64
    sections.maps.hash.get("1");
    // @ts-expect-error the value is a struct
    sections.maps.hash.set(1n, 5);
    // @ts-expect-error an array's entries are always there
    sections.maps.array.delete(0);
  });

  test("a union is read with all its members, and written with one", () => {
    const traps = {} as Traps;
    const { connections, endpoints } = traps.maps;
    const end = { family: 2, port: 443, v4: 0x7f000001 };
    endpoints.has(end);
    endpoints.set(end, [{ ends: [end, { family: 10, port: 1, v6: new Uint8Array(16) }] }]);
    endpoints.delete(end);
    connections.set(1, { ends: [end, end] }).set(2, { ends: [end, end] });
    expectTypeOf(connections.get(1)).toEqualTypeOf<connection | undefined>();
    expectTypeOf(endpoints.get(end)).toEqualTypeOf<connection[] | undefined>();
    for (const [key] of endpoints) expectTypeOf(key).toEqualTypeOf<endpoint>();
    traps.bss.latest = end;
    expectTypeOf(traps.bss.latest).toEqualTypeOf<endpoint>();
    expectTypeOf(traps.bss.latest.v6).toEqualTypeOf<Uint8Array>();
    const [first] = traps.bss.seen;
    if (first !== undefined) {
      first.now = { ends: [end, end] };
      expectTypeOf(first.now.ends).toEqualTypeOf<endpoint[]>();
      // @ts-expect-error TypeScript's arrays take what they give
      first.now.ends[0] = end;
    }
    traps.bss.seen = Array.from({ length: 2 }, () => ({ now: { ends: [end, end] }, count: 1 }));
    const { known, peers, sockets, waiting } = traps.maps;
    waiting.push(end).push(end, { replaceOldest: true });
    expectTypeOf(waiting.pop()).toEqualTypeOf<endpoint | undefined>();
    known.add(end);
    known.mightContain(end);
    peers.set(process.pid, end, { only: "create" });
    expectTypeOf(peers.get(process.pid)).toEqualTypeOf<endpoint | undefined>();
    sockets.set(end, 3);
    sockets.getCookie(end);
    endpoints.getAndDelete(end);
    endpoints.getInto(end, new Uint8Array(8));
    // @ts-expect-error what is in no union must be there
    waiting.push({ family: 2, v4: 0 });
    // @ts-expect-error what is in no union must be there
    endpoints.has({ family: 2, v4: 0 });
    // @ts-expect-error of its own type
    endpoints.has({ family: 2, port: 1, v4: "127.0.0.1" });
  });

  test("64 bits that C declared to be a number are one", () => {
    const { maps, bss } = {} as Traps;
    expectTypeOf(maps.small_counts).toEqualTypeOf<HashMap<number, number>>();
    expectTypeOf(bss.total).toEqualTypeOf<number>();
  });

  test("rings stream their record", async () => {
    expectTypeOf(openedRings.maps.lines.reader).toEqualTypeOf<ReaderChoice>();
    expectTypeOf(openedRings.maps).not.toHaveProperty("line");
    for (const opened of [openedRings.maps.tenants, openedRings.maps.slots])
      expectTypeOf(opened).toEqualTypeOf<OpenedRing>();
    expectTypeOf<typeof openedRings.maps.scratch>().not.toHaveProperty("reader");
    () => {
      openedRings.maps.tenants.wakeup = { records: 64, milliseconds: 5 };
      // @ts-expect-error: there is no such wake-up
      openedRings.maps.tenants.wakeup = { record: 64 };
      // @ts-expect-error: chosen before load
      rings.maps.tenants.wakeup = "adaptive";
      openedRings.maps.lines.reader = { thread: { bytes: 1 << 20 } };
      // @ts-expect-error: there is no such way to read
      openedRings.maps.lines.reader = "threads";
      // @ts-expect-error: chosen before load
      rings.maps.lines.reader = "thread";
    };
    expectTypeOf(rings.maps.lines).toEqualTypeOf<RingBuffer<{ time_ns: bigint; length: number; text: string }>>();
    expectTypeOf(rings.maps.numbers).toEqualTypeOf<RingBuffer<bigint>>();
    expectTypeOf(rings.maps.plain).toEqualTypeOf<RingBuffer<Uint8Array>>();
    rings.maps.lines.on("event", (line) => expectTypeOf(line.text).toEqualTypeOf<string>());
    for await (const number of rings.maps.numbers) expectTypeOf(number).toEqualTypeOf<bigint>();
  });

  test("perf buffers stream their record, as declared or as one of the skeleton's structs", () => {
    expectTypeOf(rings.maps.packets).toEqualTypeOf<PerfBuffer<line>>();
    expectTypeOf(rings.maps.samples).toEqualTypeOf<PerfBuffer<event>>();
    expectTypeOf(rings.maps.unknown).toEqualTypeOf<PerfEventArrayMap>();
    for (const opened of [openedRings.maps.packets, openedRings.maps.unknown])
      expectTypeOf(opened).toEqualTypeOf<OpenedRing>();
    expectTypeOf(rings.perfBuffer("packets")).toEqualTypeOf<PerfBuffer<line>>();
    expectTypeOf(rings.perfBuffer("packets", { pages: 8, wakeup: { records: 4 } })).toEqualTypeOf<PerfBuffer<line>>();
    const texts = rings.perfBuffer("packets", { convert: (record) => record.text });
    expectTypeOf(texts).toEqualTypeOf<PerfBuffer<string>>();
    expectTypeOf(rings.perfBuffer("unknown")).toEqualTypeOf<PerfBuffer<Uint8Array>>();
    expectTypeOf(rings.perfBuffer("unknown", { type: "struct tenant" })).toEqualTypeOf<PerfBuffer<tenant>>();
    const zones = rings.perfBuffer("unknown", { type: "struct tenant", convert: (record) => record.zone });
    expectTypeOf(zones).toEqualTypeOf<PerfBuffer<number>>();
    const lengths = rings.perfBuffer("unknown", { convert: (record) => record.length });
    expectTypeOf(lengths).toEqualTypeOf<PerfBuffer<number>>();
    expectTypeOf(rings.perfRecorder("samples")).toEqualTypeOf<PerfRecorder<event>>();
    expectTypeOf(rings.perfRecorder("unknown", { type: "struct line", pages: 2 })).toEqualTypeOf<PerfRecorder<line>>();
    rings.perfBuffer("samples").on("event", (record) => {
      // @ts-expect-error not before it is known which it is
      record.path;
      if (record.kind === event_kind.EVENT_OPEN) expectTypeOf(record).toEqualTypeOf<opened>();
    });
    // @ts-expect-error the caller's word is not needed, and not taken
    rings.perfBuffer<tenant>("packets");
    // @ts-expect-error nor where nobody knows better
    rings.perfBuffer<tenant>("unknown", { type: "struct tenant" });
    // @ts-expect-error its declaration says it
    rings.perfBuffer("packets", { type: "struct tenant" });
    // @ts-expect-error no such struct
    rings.perfBuffer("unknown", { type: "struct tennant" });
    // @ts-expect-error no such option
    rings.perfBuffer("packets", { page: 8, pages: 8 });
    // @ts-expect-error a ring
    rings.perfBuffer("lines");
    // @ts-expect-error no such array
    rings.perfRecorder("sampels");
    // @ts-expect-error of this skeleton nothing has a perf event array's name
    bare.perfBuffer("unknown");
  });

  test("rings by name stream what the skeleton knows their records to be", () => {
    expectTypeOf(rings.ringBuffer("lines")).toEqualTypeOf<RingBuffer<line>>();
    expectTypeOf(rings.ringBuffer("events", { reader: "thread" })).toEqualTypeOf<RingBuffer<event>>();
    expectTypeOf(rings.ringBuffer("numbers", {})).toEqualTypeOf<RingBuffer<bigint>>();
    expectTypeOf(rings.ringBuffer("lines", { convert: (record) => record.text })).toEqualTypeOf<RingBuffer<string>>();
    expectTypeOf(rings.ringBuffer("plain")).toEqualTypeOf<RingBuffer<Uint8Array>>();
    expectTypeOf(rings.ringBuffer("plain", { type: "struct tenant" })).toEqualTypeOf<RingBuffer<tenant>>();
    const zones = rings.ringBuffer("plain", { type: "struct tenant", convert: (record) => record.zone });
    expectTypeOf(zones).toEqualTypeOf<RingBuffer<number>>();
    expectTypeOf(rings.ringBuffers("tenants")).toEqualTypeOf<RingBuffers<tenant, event>>();
    expectTypeOf(rings.ringBuffers("slots", { exclusive: false })).toEqualTypeOf<RingBuffers<number, line>>();
    const texts = rings.ringBuffers("slots", { convert: (record) => record.text });
    expectTypeOf(texts).toEqualTypeOf<RingBuffers<number, string>>();
    expectTypeOf(rings.userRingBuffer("commands")).toEqualTypeOf<UserRingBuffer<event>>();
    expectTypeOf(rings.userRingBuffer("choices")).toEqualTypeOf<UserRingBuffer<either_input>>();
    const { ringMaps, userRings } = {} as { ringMaps: EventsRingMaps; userRings: EventsUserRing };
    expectTypeOf(ringMaps.ringBuffers("plain")).toEqualTypeOf<RingBuffers<number, Uint8Array>>();
    const records = ringMaps.ringBuffers("plain", { type: "struct record" });
    expectTypeOf(records).toEqualTypeOf<RingBuffers<number, record>>();
    expectTypeOf(userRings.userRingBuffer("plain")).toEqualTypeOf<UserRingBuffer<Uint8Array>>();
    const commands = userRings.userRingBuffer("plain", { type: "struct command" });
    expectTypeOf(commands).toEqualTypeOf<UserRingBuffer<command>>();
  });

  test("rings by name take no other's word for it", () => {
    // @ts-expect-error no such ring
    rings.ringBuffer("linez");
    // @ts-expect-error nor has this skeleton any
    bare.ringBuffer("lines");
    // @ts-expect-error a perf event array
    rings.ringBuffer("packets");
    // @ts-expect-error a map of rings
    rings.ringBuffer("tenants");
    // @ts-expect-error a ring
    rings.ringBuffers("lines");
    // @ts-expect-error a ring that programs write
    rings.userRingBuffer("lines");
    // @ts-expect-error the caller's word is not needed, and not taken
    rings.ringBuffer<line>("lines");
    // @ts-expect-error nor by way of what it is assigned to
    const tenants: RingBuffer<tenant> = rings.ringBuffer("lines");
    expectTypeOf(tenants).toEqualTypeOf<RingBuffer<tenant>>();
    // @ts-expect-error nor of maps of rings
    rings.ringBuffers<tenant, event>("tenants");
    // @ts-expect-error nor where records are written
    rings.userRingBuffer<event>("commands");
    // @ts-expect-error its declaration says it
    rings.ringBuffer("lines", { type: "struct tenant" });
    // @ts-expect-error no such struct
    rings.ringBuffer("plain", { type: "struct tennant" });
    // @ts-expect-error no such member
    rings.ringBuffer("lines", { convert: (record) => record.pid });
    // @ts-expect-error records that are written are not converted
    rings.userRingBuffer("commands", { convert: (record: event) => record });
  });

  test("several records on one ring are told apart by their tag", () => {
    expectTypeOf(rings.maps.events).toEqualTypeOf<RingBuffer<event>>();
    expectTypeOf(rings.maps.tenants).toEqualTypeOf<RingBuffers<tenant, event>>();
    expectTypeOf(rings.maps.slots).toEqualTypeOf<RingBuffers<number, line>>();
    expectTypeOf(rings.maps.commands).toEqualTypeOf<UserRingBuffer<event>>();
    // @ts-expect-error an event of no kind
    rings.maps.commands.write({ pid: 1, path: "" });
    expectTypeOf(rings.maps.choices).toEqualTypeOf<UserRingBuffer<either_input>>();
    rings.maps.events.on("event", (record) => {
      // @ts-expect-error not before it is known which it is
      record.path;
      switch (record.kind) {
        case event_kind.EVENT_OPEN:
          expectTypeOf(record).toEqualTypeOf<opened>();
          return record.path;
        case event_kind.EVENT_CLOSE:
          expectTypeOf(record).toEqualTypeOf<closed>();
          return record.bytes;
        default:
          return record satisfies never;
      }
    });
  });
});

describe("enums", () => {
  test("have their values, and may hold others", () => {
    expectTypeOf(unsigned_enum.UNSIGNED_MAX).toEqualTypeOf<4294967295>();
    expectTypeOf(large_enum.LARGE).toEqualTypeOf<9223372036854775808n>();
    const value: enums["u"] = 12345;
    expectTypeOf(value).toExtend<number>();
    const large: enums["large"] = 12345n;
    expectTypeOf(large).toExtend<bigint>();
    // @ts-expect-error not another type
    const wrong: enums["u"] = "UNSIGNED_MAX";
    expectTypeOf(wrong).toEqualTypeOf<enums["u"]>();
    expectTypeOf(Traps).toHaveProperty("open");
  });
});

describe("programs, by their section", () => {
  test("the methods that errors name are there", () => {
    expectTypeOf<NamedMethod>().toExtend<keyof Program>();
  });

  test("sockops need a cgroup", () => {
    expectTypeOf(bare.programs.flows.attach).parameters.toEqualTypeOf<[options: { readonly cgroup: string }]>();
    expectTypeOf(bare.programs.flows.attachCgroup).returns.toEqualTypeOf<Link>();
    bare.programs.flows.attach({ cgroup: "/sys/fs/cgroup" });
    // @ts-expect-error which cgroup?
    bare.programs.flows.attach();
    // @ts-expect-error not a probe
    bare.programs.flows.attachKprobe("tcp_connect");
  });

  test("a kprobe takes no cgroup", () => {
    bare.programs.connect.attach();
    bare.programs.connect.attachKprobe("tcp_v4_connect", { offset: 4 });
    // @ts-expect-error it attaches to a function
    bare.programs.connect.attach({ cgroup: "/sys/fs/cgroup" });
    // @ts-expect-error it is no tracepoint
    bare.programs.connect.attachTracepoint("syscalls", "sys_enter_kill");
  });

  test("a section without a target cannot say where to attach", () => {
    bare.programs.anywhere.attachKprobe("tcp_connect");
    // @ts-expect-error a kprobe on what?
    bare.programs.anywhere.attach();
  });

  test("the whole object attaches with what its programs need", () => {
    expectTypeOf(sections.attach).parameters.toEqualTypeOf<[]>();
    expectTypeOf<BareObject["programs"]["connect"]>().toEqualTypeOf<ProgramOf<"kprobe/tcp_connect">>();
  });

  test("what a section leaves open is an option, and all of an object's together", () => {
    type Parameters_<Section extends string> =
      ProgramOf<Section> extends { attach: (...options: infer O) => unknown } ? O : "none";
    expectTypeOf<Parameters_<"xdp.frags">>().toEqualTypeOf<
      [options: { readonly device: string | number; readonly netns?: string | undefined }]
    >();
    expectTypeOf<Parameters_<"sk_lookup">>().toEqualTypeOf<[options: { readonly netns: string }]>();
    expectTypeOf<Parameters_<"tcx/ingress">>().toEqualTypeOf<Parameters_<"xdp">>();
    expectTypeOf<Parameters_<"usdt/libc.so.6:libc:setjmp">>().toEqualTypeOf<[]>();
    type Methodical = {
      [Section in
        | "xdp/devmap"
        | "perf_event"
        | "tc"
        | "freplace/x"
        | "uprobe"
        | "syscall"
        | "socket"
        | "sk_msg"]: Parameters_<Section>;
    };
    expectTypeOf<Methodical[keyof Methodical]>().toEqualTypeOf<"none">();
    interface Both extends ObjectShape {
      readonly programs: {
        readonly a: ProgramOf<"xdp">;
        readonly b: ProgramOf<"sockops">;
        readonly c: ProgramOf<"kprobe/x">;
      };
    }
    const both = {} as LoadedObject<Both>;
    both.attach({ cgroup: "/sys/fs/cgroup", device: "lo" });
    // @ts-expect-error the device is missing
    both.attach({ cgroup: "/sys/fs/cgroup" });
    // @ts-expect-error both are
    both.attach();
  });

  test("what only an optional program needs is optional", () => {
    expectTypeOf(bare.programs.flows).toEqualTypeOf<ProgramOf<"?sockops">>();
    expectTypeOf(bare.programs.flows.section).toEqualTypeOf<"sockops">();
    expectTypeOf(bare.programs.flows.optional).toEqualTypeOf<true>();
    expectTypeOf(bare.programs.connect.optional).toEqualTypeOf<false>();
    expectTypeOf(bare.programs.flows.attach).parameters.toEqualTypeOf<[options: { readonly cgroup: string }]>();
    interface Optional extends ObjectShape {
      readonly programs: Pick<BareObject["programs"], "flows" | "connect">;
    }
    const optional = {} as LoadedObject<Optional>;
    optional.attach();
    optional.attach({ cgroup: "/sys/fs/cgroup" });
    // @ts-expect-error no program of it is for a device
    optional.attach({ device: "lo" });
    interface Mixed extends ObjectShape {
      readonly programs: {
        readonly a: ProgramOf<"?tcx/ingress">;
        readonly b: ProgramOf<"?sk_lookup">;
        readonly c: ProgramOf<"sockops">;
        readonly d: ProgramOf<"?cgroup_skb/egress">;
      };
    }
    const mixed = {} as LoadedObject<Mixed>;
    mixed.attach({ cgroup: "/sys/fs/cgroup" });
    mixed.attach({ cgroup: "/sys/fs/cgroup", device: "lo", netns: "/run/netns/x" });
    // @ts-expect-error the sockops program is always loaded
    mixed.attach({ device: "lo" });
  });

  test("an object does not attach as a whole where a program's section cannot say to what", () => {
    // @ts-expect-error accept_all is a socket filter, and anywhere a kprobe: on what?
    bare.attach();
    // @ts-expect-error nor does a cgroup say it
    bare.attach({ cgroup: "/sys/fs/cgroup" });
    type Attach<Section extends string> = Parameters<
      LoadedObject<{
        readonly programs: { readonly a: ProgramOf<Section> };
        readonly maps: object;
        readonly sections: object;
      }>["attach"]
    >;
    type Refused = {
      [Section in "socket" | "perf_event" | "tc" | "sk_msg" | "xdp/devmap" | "freplace/x"]: Attach<Section>;
    };
    expectTypeOf<Refused[keyof Refused]>().toEqualTypeOf<
      [attachTheseByTheirMethods: { readonly programs: "a"; readonly never: never }]
    >();
    // Loaded on request only; registered by their map; run, and not attached.
    type Fine = { [Section in "?socket" | "struct_ops/init" | "syscall"]: Attach<Section> };
    expectTypeOf<Fine[keyof Fine]>().toEqualTypeOf<[]>();
  });

  test("a sleepable or optional section is of the same kind", () => {
    expectTypeOf<ProgramOf<"?fentry.s/do_exit">["attachTrace"]>().toEqualTypeOf<Program["attachTrace"]>();
    expectTypeOf<ProgramOf<"cgroup/connect4">["attach"]>().parameters.toEqualTypeOf<
      [options: { readonly cgroup: string }]
    >();
    expectTypeOf<ProgramOf<"tp_btf/sched_switch">["section"]>().toEqualTypeOf<"tp_btf/sched_switch">();
  });
});

describe("without a skeleton", () => {
  test("everything is known at run time only", async () => {
    const opened = BpfObject.open("x.bpf.o");
    expectTypeOf(opened.rodata).toEqualTypeOf<Globals>();
    expectTypeOf(opened.maps).toEqualTypeOf<{ readonly [x: string]: OpenedMap }>();
    const object = await opened.load();
    expectTypeOf(object).toEqualTypeOf<LoadedObject>();
    expectTypeOf(object.maps).toEqualTypeOf<Readonly<Record<string, ObjectMap>>>();
    expectTypeOf(object.programs).toEqualTypeOf<Readonly<Record<string, Program>>>();
    object.attach();
    object.attach({ cgroup: "/sys/fs/cgroup" });
    object.section(".data.anything")["value"] = 1;
    const opens = object.perfBuffer<{ pid: number }>("opens", { type: "struct open" });
    expectTypeOf(opens).toEqualTypeOf<PerfBuffer<{ pid: number }>>();
    const pids = object.perfBuffer("opens", { convert: (open: { pid: number }) => open.pid });
    expectTypeOf(pids).toEqualTypeOf<PerfBuffer<number>>();
    expectTypeOf(object.perfRecorder<{ pid: number }>("opens")).toEqualTypeOf<PerfRecorder<{ pid: number }>>();
    expectTypeOf(object.ringBuffer("opens")).toEqualTypeOf<RingBuffer<unknown>>();
    const ring = object.ringBuffer<{ pid: number }>("opens", { type: "struct open" });
    expectTypeOf(ring).toEqualTypeOf<RingBuffer<{ pid: number }>>();
    const numbers = object.ringBuffer("opens", { convert: (open: { pid: number }) => open.pid });
    expectTypeOf(numbers).toEqualTypeOf<RingBuffer<number>>();
    expectTypeOf(object.ringBuffers<number, string>("opens")).toEqualTypeOf<RingBuffers<number, string>>();
    expectTypeOf(object.userRingBuffer<{ pid: number }>("asks")).toEqualTypeOf<UserRingBuffer<{ pid: number }>>();
  });
});
