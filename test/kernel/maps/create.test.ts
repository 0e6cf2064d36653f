import { closeSync, existsSync } from "node:fs";
import { join } from "node:path";
import {
  ArrayMap,
  Btf,
  type CreateMapOptions,
  createMap,
  cType,
  HashMap,
  kernelBtf,
  LpmTrieMap,
  mapByFd,
  mapById,
  openMap,
  PerfEventArrayMap,
  QueueMap,
} from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BtfBuilder } from "../../../lib/map/btf_builder.js";
import { native } from "../../../lib/native.js";
import { type flow_key, type flow_value, Maps } from "../../fixtures/maps.bpf.js";
import { MapsSpecial } from "../../fixtures/maps_special.bpf.js";
import { BpfFs } from "../support/bpffs.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { requires } from "../support/requires.js";

let before: string[];
beforeEach(() => {
  before = bpfDescriptors();
});
afterEach(() => {
  expect(bpfDescriptors()).toEqual(before);
});

describe("maps without an object", () => {
  test("integers, text, bytes: each what it is in JavaScript", () => {
    using ports = createMap({ type: "hash", name: "ports", key: "u16", value: "s64", maxEntries: 1024 });
    ports.set(443, -5n);
    const got: bigint | undefined = ports.get(443);
    expect(got).toBe(-5n);
    expect(() => ports.set(65536, 0n)).toThrowError("ports key: expected a whole number from 0 to 65535, got 65536");
    using names = createMap({ type: "lru_hash", key: "char[8]", value: 3, maxEntries: 4 });
    names.set("lo", Uint8Array.of(1, 2, 3));
    expect([...names]).toEqual([["lo", Uint8Array.of(1, 2, 3)]]);
    expect(() => names.set("eth0", Uint8Array.of(1))).toThrowError("lru_hash value: expected 3 bytes, got 1");
    using cpu = createMap({ type: "percpu_array", value: "u32", maxEntries: 2 });
    cpu.set(0, new Array(native().possibleCpus()).fill(3));
    expect(cpu.get(0)?.[0]).toBe(3);
    using queue = createMap({ type: "queue", value: "u64", maxEntries: 2 });
    expect(queue).toBeInstanceOf(QueueMap);
    expect(queue.push(1n).pop()).toBe(1n);
    using routes = createMap({ type: "lpm_trie", key: "ipv6", value: "char[16]", maxEntries: 64 });
    routes.set("2001:db8::/32", "documentation");
    expect(routes.get("2001:db8::1")).toBe("documentation");
  });

  // BTF has had double since 5.13; an older kernel gets none, and only that.
  requires({ kernel: ">=5.13" }).test("C types, from any BTF", () => {
    using object = Maps.open();
    const key: flow_key = { saddr: 1, daddr: 2, sport: 3, zone: 4, protocol: 5, device: "lo" };
    using map = createMap({
      type: "hash",
      name: "flows2",
      key: cType<flow_key>("struct flow_key", object.btf),
      value: cType<flow_value>("struct flow_value", object.btf),
      maxEntries: 8,
    });
    expect(map.keySize).toBe(24);
    expect(map.get(key)).toBeUndefined();
    expect(map.info().btfId).toBeGreaterThan(0);
    using timespec = createMap({
      type: "array",
      value: cType<{ tv_sec: bigint; tv_nsec: bigint }>("struct timespec64", kernelBtf()),
      maxEntries: 1,
    });
    expect(timespec.set(0, { tv_sec: -1n, tv_nsec: 5n }).get(0)).toEqual({ tv_sec: -1n, tv_nsec: 5n });
    expect(() => cType("struct nonesuch", kernelBtf())).toThrowError(
      expect.objectContaining({ code: "BTF_NOT_FOUND" }),
    );
  });

  requires({ kernel: ">=5.13" }).test(
    "the kernel keeps the types: another handle sees them, bit-fields, unions and enums included",
    () => {
      using object = Maps.open();
      using map = createMap({
        type: "hash",
        name: "typed",
        key: cType<{ device: string }>("struct flow_key", object.btf),
        value: cType<flow_value>("struct flow_value", object.btf),
        maxEntries: 8,
      });
      using other = mapById(map.info().id, HashMap<Record<string, unknown>, Record<string, unknown>>);
      const key = { saddr: 1, daddr: 2, sport: 3, zone: 4, protocol: 5, device: "lo" };
      other.set(key, sample());
      expect(map.get(key)).toEqual(sample());
      map.set(key, { ...sample(), negative: 15, color: 2 });
      expect([...other]).toEqual([[key, { ...sample(), negative: 15, color: 2 }]]);
    },
  );

  test.each<[CreateMapOptions | object, string]>([
    [{ type: "hsh" }, 'createMap: unknown map type "hsh" (did you mean "hash"?)'],
    [{ type: "hash", key: "u32", value: "u32" }, "createMap: a map of type hash needs maxEntries"],
    [{ type: "hash", key: "u32", maxEntries: 1 }, "createMap: a map of type hash needs the value's type"],
    [
      { type: "hash", key: "u32", value: "u32", maxEntries: 0 },
      'createMap: option "maxEntries" must be at least 1 for type hash',
    ],
    [
      { type: "hash", key: "u33", value: "u32", maxEntries: 1 },
      "createMap: key must be one of u8, u16, u32, u64, s8, s16, s32, s64",
    ],
    [{ type: "queue", key: "u32", value: "u32", maxEntries: 1 }, "createMap: a map of type queue has no key"],
    [
      { type: "hash", key: "u32", value: "u32", maxEntries: 1, flags: ["noprealloc"] },
      'createMap: unknown flag "noprealloc" (did you mean "no_prealloc"?)',
    ],
    [
      { type: "hash", key: "u32", value: "u32", maxEntries: 1, name: "a name with spaces" },
      'createMap: option "name" must be up to 15 letters, digits, _ and .',
    ],
    [
      { type: "lpm_trie", key: 8, value: "u32", maxEntries: 1 },
      'createMap: the key of a trie must be "ipv4", "ipv6" or a cType()',
    ],
    [{ type: "hash", key: "u32", value: "u32", maxEntries: 1, size: 4 }, 'createMap: unknown option "size"'],
  ])("%j is refused: %s", (options, message) => {
    expect(() => createMap(options as CreateMapOptions)).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) }),
    );
  });

  test("what the kernel refuses says what it may be", () => {
    expect(() =>
      createMap({ type: "lru_hash", key: "u32", value: "u32", maxEntries: 8, flags: ["no_prealloc"] }),
    ).toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(/^cannot create a map of type lru_hash: /),
      }),
    );
    expect(() => createMap({ type: "array_of_maps", maxEntries: 1 })).toThrowError(
      'createMap: a map of type array_of_maps needs the option "inner", a map like those that it is to hold',
    );
    using inner = createMap({ type: "array", value: "u64", maxEntries: 1 });
    expect(() => createMap({ type: "array", value: "u64", maxEntries: 1, inner })).toThrowError(
      'createMap: option "inner" is for maps of maps, and a map of type array is none',
    );
  });

  test("a flexible end has the room that is left in the value, and none in the next one", () => {
    const builder = new BtfBuilder();
    const byte = builder.integer("unsigned char", 1, false);
    const members = [
      ["start", builder.integer("__u64", 8, false)],
      ["length", byte, 8],
      ["rest", builder.array(byte, 0), 9],
    ] as const;
    builder.struct("flexible", 16, members);
    const btf = Btf.parse(builder.bytes(), { name: "flexible" });
    const value = cType<{ start: bigint; length: number; rest: Uint8Array }>("struct flexible", btf);
    const of = (...rest: number[]) => ({ start: 1n, length: rest.length, rest: Uint8Array.from(rest) });
    const tooLong = of(1, 2, 3, 4, 5, 6, 7, 8);
    using map = createMap({ type: "array", value, maxEntries: 2 });
    map.setMany([
      [0, of(1, 2, 3, 4, 5, 6, 7)],
      [1, of()],
    ]);
    expect(map.get(0)).toEqual(of(1, 2, 3, 4, 5, 6, 7));
    const tooMany: [number, typeof tooLong][] = [
      [0, tooLong],
      [1, of()],
    ];
    expect(() => map.setMany(tooMany)).toThrowError(/\.rest: 8 bytes do not fit: there is room for 7/);
    using perCpu = createMap({ type: "percpu_array", value, maxEntries: 1 });
    const values = [tooLong, ...Array.from({ length: native().possibleCpus() }, () => of())].slice(0, -1);
    expect(() => perCpu.set(0, values)).toThrowError(/\.rest: 8 bytes do not fit: there is room for 7/);
  });

  test("maps of maps, by the example of one", () => {
    using inner = createMap({ type: "array", value: "u64", maxEntries: 4 });
    using outer = createMap({ type: "hash_of_maps", key: "char[8]", maxEntries: 4, inner });
    outer.set("first", inner);
    inner.set(2, 7n);
    using got = outer.get("first", ArrayMap<bigint>);
    expect(got?.get(2)).toBe(7n);
    expect([...outer.keys()]).toEqual(["first"]);
  });

  test("ids and descriptors", () => {
    using map = createMap({ type: "hash", name: "found", key: "u32", value: "u32", maxEntries: 1 });
    map.set(1, 2);
    using byId = mapById(map.info().id, HashMap<number, number>);
    expect([...byId]).toEqual([[1, 2]]);
    expect(byId.name).toBe("found");
    using byFd = mapByFd(map.fd);
    expect(byFd).toBeInstanceOf(HashMap);
    expect(byFd.fd).not.toBe(map.fd);
    expect(() => mapById(0xfffffff0)).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    expect(() => mapById(-1)).toThrowError("mapById: id must be a whole number from 0 to 4294967295, got -1");
    expect(() => mapByFd(0)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => mapById(map.info().id, LpmTrieMap<string, number>)).toThrowError(
      `mapById(${map.info().id}): the map is a HashMap (hash), not a LpmTrieMap`,
    );
  });
});

describe("pins", () => {
  let files: BpfFs;
  let folder: string;
  let pinned: string;
  beforeEach(() => {
    files = new BpfFs();
    folder = files.path;
    pinned = join(folder, "map");
  });
  afterEach(() => files[Symbol.dispose]());

  test("a map outlives its handles; opened again it has its types", async () => {
    {
      using object = await Maps.load();
      const flows = object.maps.flows;
      object.programs.fill.testRun({ data: new Uint8Array(64) });
      flows.pin(pinned);
      expect(() => flows.pin(pinned)).toThrowError(expect.objectContaining({ code: "EXISTS" }));
      expect(() => flows.pin("/tmp/map")).toThrowError(
        expect.objectContaining({ message: expect.stringContaining("bpf file system") }),
      );
      expect(() => flows.pin(join(folder, "missing/map"))).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    }
    using flows = openMap(pinned, HashMap<{ device: string; sport: number }, { name: string; numbers: number[] }>);
    const found = [...flows].sort(([a], [b]) => a.sport - b.sport);
    expect(found).toHaveLength(8);
    expect(found[3]?.[0]).toMatchObject({ device: "eth3", sport: 1003 });
    expect(found[3]?.[1]).toMatchObject({ name: "entry-d", numbers: [3, 6, 0xfffffffc] });
    flows.unpin(pinned);
    expect(existsSync(pinned)).toBe(false);
    expect(() => flows.unpin(pinned)).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
  });

  test("a pin is reused across runs: by path, or by hand", async () => {
    for (const run of [1, 2]) {
      const opened = Maps.open();
      opened.maps.squares.pinPath = pinned;
      using object = await opened.load();
      const squares = object.maps.squares;
      expect(squares.get(15)).toBe(run === 1 ? 0n : 7n);
      squares.set(15, 7n);
    }
    const opened = Maps.open();
    {
      using squares = openMap(pinned);
      opened.maps.squares.reuse(squares);
    }
    // It is as it was made.
    const setters = [
      () => (opened.maps.squares.maxEntries = 1),
      () => (opened.maps.squares.autocreate = false),
      () => (opened.maps.squares.numaNode = 1),
    ];
    for (const set of setters)
      expect(set).toThrowError(
        expect.objectContaining({ code: "INVALID_STATE", message: expect.stringContaining("another map is used") }),
      );
    opened.rodata.entries = 3;
    using object = await opened.load();
    object.programs.fill.testRun({ data: new Uint8Array(64) });
    using squares = openMap(pinned, ArrayMap<bigint>);
    expect([...squares.values()].slice(0, 4)).toEqual([0n, 1n, 4n, 0n]);
    expect(squares.get(15)).toBe(7n);
  });

  test("what does not fit is not reused", () => {
    const opened = Maps.open();
    using other = createMap({ type: "hash", name: "other", key: "u32", value: "u32", maxEntries: 16 });
    expect(() => opened.maps.squares.reuse(other)).toThrowError(
      "squares.reuse: map other cannot take its place: its type is hash, not array, its values are of 4 bytes, not 8",
    );
    expect(() => opened.maps.squares.reuse(5 as never)).toThrowError("squares.reuse: expected a map, got 5");
    opened.close();
  });

  test("what is no map, or not there", async () => {
    expect(() => openMap(join(folder, "nothing"))).toThrowError(
      expect.objectContaining({ code: "NOT_FOUND", message: expect.stringContaining("there is nothing at this path") }),
    );
    expect(() => openMap("/etc/passwd")).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => openMap("")).toThrowError("openMap: path must be a non-empty string");
    using queue = createMap({ type: "queue", value: "u32", maxEntries: 1 });
    queue.pin(pinned);
    expect(() => openMap(pinned, HashMap<number, number>)).toThrowError(
      `openMap(${pinned}): the map is a QueueMap (queue), not a HashMap`,
    );
  });
});

test("perf event array: a program reads the event that we put on its CPU", async () => {
  // The object's own map is a stream of records; what is an array of counters is given to it.
  using counters = createMap({ type: "perf_event_array", maxEntries: native().possibleCpus() });
  expect(counters).toBeInstanceOf(PerfEventArrayMap);
  const opened = MapsSpecial.open();
  opened.maps.counters.reuse(counters);
  using object = await opened.load();
  object.programs.read_counter.testRun();
  expect(object.bss.counter_error).toBeLessThan(0n);
  const events: number[] = [];
  try {
    for (let cpu = 0; cpu < counters.length; cpu++) {
      // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
      const event = native().perfEventOpen({
        type: 1,
        config: 0n,
        period: 0n,
        frequency: 0n,
        pid: -1,
        cpu,
        cgroup: false,
        inherit: false,
        inheritThread: false,
      });
      events.push(event);
      counters.set(cpu, event);
    }
    object.programs.read_counter.testRun();
    expect(object.bss.counter_error).toBe(0n);
    expect(() => counters.set(0, counters.fd)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(counters.delete(0)).toBe(true);
    expect(counters.delete(0)).toBe(false);
    counters.clear();
    object.programs.read_counter.testRun();
    expect(object.bss.counter_error).toBeLessThan(0n);
  } finally {
    for (const event of events) closeSync(event);
  }
});

function sample() {
  return {
    packets: 0xfedcba9876543210n,
    delta: -5n,
    cookie: 0x0102030405060708n,
    ratio: -0.125,
    color: -3,
    numbers: [1, 0xffffffff, 3],
    inner: {
      number: 65535,
      bytes: Uint8Array.of(1, 2, 3),
      flag: true,
      pair: [
        { small: -128, medium: 32767 },
        { small: 127, medium: -32768 },
      ],
    },
    low: 5,
    wide: 0x1fff,
    negative: -16,
    high: 0x55,
    tail_bits: 0xabcdef0123n,
    as_number: 0x44332211,
    as_bytes: Uint8Array.of(0x11, 0x22, 0x33, 0x44),
    name: "fifteen letters",
  };
}
