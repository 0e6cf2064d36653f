import { ArrayMap, BpfError, createMap, HashMap, LruHashMap, PerCpuArrayMap, PerCpuHashMap } from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../../lib/native.js";
import { type flow_key, type flow_value, Maps, type OpenedMaps } from "../../fixtures/maps.bpf.js";
import { requires } from "../support/requires.js";

const PACKET = new Uint8Array(64);

/** What `make_key` of the fixture makes. */
function flowKey(i: number): flow_key {
  return {
    saddr: 0x0a000000 + i,
    daddr: 0xc0a80001,
    sport: 1000 + i,
    zone: i % 3,
    protocol: i % 2 ? 17 : 6,
    device: `eth${i % 10}`,
  };
}

/** What `make_value` of the fixture makes. */
function flowValue(i: number): flow_value {
  return {
    packets: 0x100000000n * BigInt(i) + 1n,
    delta: BigInt(-i),
    cookie: 0x0102030405060700n + BigInt(i & 0xff),
    ratio: 0.5,
    color: [0, 1, 2, -3][i % 4] as number,
    numbers: [i, i * 2, ~i >>> 0],
    inner: {
      number: i * 3,
      bytes: Uint8Array.of(i, i + 1, 255 - (i & 0xff)),
      flag: i % 2 === 1,
      pair: [
        { small: -1, medium: 0 - i },
        { small: 1, medium: i },
      ],
    },
    low: i & 7,
    wide: (i * 5) & 0x1fff,
    negative: 0 - (i % 16),
    high: i & 0x7f,
    tail_bits: 0xff00000000n + BigInt(i),
    as_number: 0x11223344,
    as_bytes: Uint8Array.of(0x44, 0x33, 0x22, 0x11),
    name: `entry-${String.fromCharCode(97 + (i % 26))}`,
  };
}

let object: Maps;

async function load(entries = 8, configure: (opened: OpenedMaps) => void = () => {}): Promise<Maps> {
  const opened = Maps.open();
  opened.rodata.entries = entries;
  configure(opened);
  object = await opened.load();
  return object;
}

const run = (program: "fill" | "fill_this_cpu") => object.programs[program].testRun({ data: PACKET });

afterEach(() => object?.close());

describe("hash map", () => {
  let flows: Maps["maps"]["flows"];
  beforeEach(async () => {
    await load(100);
    flows = object.maps.flows;
  });

  test("what a program wrote is read, every member of it", () => {
    run("fill");
    expect(flows).toBeInstanceOf(HashMap);
    expect([...flows].sort(([a], [b]) => a.saddr - b.saddr)).toEqual(
      Array.from({ length: 100 }, (_, i) => [flowKey(i), flowValue(i)]),
    );
    expect(flows.get(flowKey(7))).toEqual(flowValue(7));
    expect(flows.get({ ...flowKey(7), zone: 77 })).toBeUndefined();
    expect(flows.has(flowKey(99))).toBe(true);
    expect(flows.has(flowKey(100))).toBe(false);
    expect(flows.count()).toBe(100);
  });

  test("set makes and replaces entries, as the flags say", () => {
    expect(flows.set(flowKey(1), flowValue(1))).toBe(flows);
    flows.set(flowKey(1), flowValue(2));
    expect(flows.get(flowKey(1))).toEqual(flowValue(2));
    expect(() => flows.set(flowKey(1), flowValue(3), { only: "create" })).toThrowError(
      expect.objectContaining({ code: "EXISTS" }),
    );
    expect(() => flows.set(flowKey(2), flowValue(3), { only: "replace" })).toThrowError(
      expect.objectContaining({ code: "NOT_FOUND" }),
    );
    flows.set(flowKey(2), flowValue(4), { only: "create" }).set(flowKey(1), flowValue(5), { only: "replace" });
    expect(flows.get(flowKey(1))).toEqual(flowValue(5));
    expect(flows.get(flowKey(2))).toEqual(flowValue(4));
    expect(() => flows.set(flowKey(1), flowValue(1), { onyl: "create" } as never)).toThrowError(
      /unknown option "onyl" \(did you mean "only"\?\)/,
    );
  });

  test("delete, clear, drain", () => {
    run("fill");
    expect(flows.delete(flowKey(3))).toBe(true);
    expect(flows.delete(flowKey(3))).toBe(false);
    expect(flows.count()).toBe(99);
    const drained = flows.drain().sort(([a], [b]) => a.saddr - b.saddr);
    expect(drained).toEqual(
      Array.from({ length: 100 }, (_, i) => [flowKey(i), flowValue(i)]).filter((_, i) => i !== 3),
    );
    expect(flows.count()).toBe(0);
    expect(flows.drain()).toEqual([]);
    run("fill");
    flows.clear();
    expect([...flows.keys()]).toEqual([]);
  });

  requires({ kernel: ">=5.14" }).test("an entry is looked up and deleted in one step", () => {
    run("fill");
    expect(flows.getAndDelete(flowKey(5))).toEqual(flowValue(5));
    expect(flows.getAndDelete(flowKey(5))).toBeUndefined();
    expect(flows.count()).toBe(99);
  });

  test("a value is stored in an object that is there, or as bytes", () => {
    run("fill");
    const target = { ...flowValue(0), inner: { ...flowValue(0).inner } };
    const { inner } = target;
    expect(flows.getInto(flowKey(9), target)).toBe(true);
    expect(target).toEqual(flowValue(9));
    expect(target.inner).toBe(inner);
    const empty = {} as flow_value;
    expect(flows.getInto(flowKey(8), empty)).toBe(true);
    expect(empty).toEqual(flowValue(8));
    expect(flows.getInto(flowKey(9), target)).toBe(true);
    expect(empty.inner).toEqual(flowValue(8).inner); // of its own, not moved along

    const bytes = new Uint8Array(flows.valueSize);
    expect(flows.getInto(flowKey(9), bytes)).toBe(true);
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(flowValue(9).packets);
    expect(flows.getInto(flowKey(1000), bytes)).toBe(false);
    expect(() => flows.getInto(flowKey(9), new Uint8Array(3))).toThrowError(
      `flows.getInto: target must have room for ${flows.valueSize} bytes, has 3`,
    );
    expect(() => flows.getInto(flowKey(9), null as never)).toThrowError(
      "flows.getInto: target must be an object or a Uint8Array, got null",
    );
  });

  test("many at once", () => {
    const indexes = Array.from({ length: 1000 }, (_, i) => i);
    flows.setMany(indexes.map((i) => [flowKey(i), flowValue(i)]));
    expect(flows.count()).toBe(1000);
    const got = flows.getMany([...indexes, 5000].map(flowKey));
    expect(got.pop()).toBeUndefined();
    expect(got).toEqual(indexes.map(flowValue));
    expect(flows.deleteMany([3, 5000, 4, 4, 5].map(flowKey))).toBe(3);
    expect(flows.count()).toBe(997);
    expect(() =>
      flows.setMany(
        [
          [flowKey(4), flowValue(1)],
          [flowKey(0), flowValue(1)],
        ],
        { only: "create" },
      ),
    ).toThrowError(/EEXIST.*\(1 of 2 were set\)/);
    flows.setMany([
      [flowKey(4), flowValue(1)],
      [flowKey(6), flowValue(1)],
    ]);
    expect(() =>
      flows.setMany(
        [
          [flowKey(4), flowValue(2)],
          [flowKey(6), flowValue(2)],
          [flowKey(5000), flowValue(2)],
        ],
        { only: "replace" },
      ),
    ).toThrowError(/ENOENT.*\(2 of 3 were set\)/);
    expect(flows.getMany([flowKey(4), flowKey(6)])).toEqual([flowValue(2), flowValue(2)]);
    flows.setMany(Array.from({ length: 25 }, (_, i) => [flowKey(2000 + i), flowValue(0)]));
    expect(() => flows.setMany(Array.from({ length: 100 }, (_, i) => [flowKey(3000 + i), flowValue(0)]))).toThrowError(
      /\(\d+ of 100 were set\).*all the 1024 entries/,
    );
    expect(flows.getMany([])).toEqual([]);
    expect(flows.deleteMany([])).toBe(0);
  });

  test("a full map says so", () => {
    const tiny = object.maps.tiny;
    for (let i = 0; i < 4; i++) tiny.set(i, i);
    expect(() => tiny.set(4, 4)).toThrowError(
      expect.objectContaining({ code: "FULL", message: expect.stringContaining("all the 4 entries it was made for") }),
    );
    tiny.set(3, 33);
    expect([...tiny.values()].sort((a, b) => a - b)).toEqual([0, 1, 2, 33]);
  });

  test("the key's padding is zero, so that a program finds what we set", () => {
    run("fill");
    for (let i = 0; i < 100; i++) flows.set(flowKey(i), flowValue(0), { only: "replace" });
    expect(flows.count()).toBe(100);
  });

  test("a value that does not fit names its path, and nothing is set", () => {
    const cases: [() => void, string][] = [
      [() => flows.get({ ...flowKey(1), saddr: "10.0.0.1" as never }), "flows key .saddr: expected number, got string"],
      [
        () => flows.has({ ...flowKey(1), sport: 65536 }),
        "flows key .sport: expected a whole number from 0 to 65535, got 65536",
      ],
      [() => flows.delete({ ...flowKey(1), prot: 6 } as never), 'flows key: no member "prot"'],
      [() => flows.get("x" as never), "flows key: expected object, got string"],
      [
        () => flows.set(flowKey(1), { ...flowValue(1), packets: -1n }),
        "flows value .packets: -1 does not fit 64 bits, unsigned",
      ],
      [
        () => flows.set(flowKey(1), { ...flowValue(1), numbers: [1, 2] }),
        "flows value .numbers: expected 3 elements, got 2",
      ],
      [
        () => flows.set(flowKey(1), { ...flowValue(1), numbers: [1, 2, 1.5] }),
        "flows value .numbers[2]: expected a whole number from 0 to 4294967295, got 1.5",
      ],
      [
        () => flows.set(flowKey(1), { ...flowValue(1), inner: { ...flowValue(1).inner, flag: 1 as never } }),
        "flows value .inner.flag: expected boolean, got number",
      ],
      [
        () => flows.set(flowKey(1), { ...flowValue(1), name: "a name of 16 chars and more" }),
        "flows value .name: too long: 27 bytes for char[16]",
      ],
      [() => flows.setMany([[flowKey(1), undefined as never]]), "flows value: missing (expected object)"],
    ];
    for (const [call, message] of cases) {
      expect(call).toThrowError(
        expect.objectContaining({ code: "VALUE_INVALID", message: expect.stringContaining(message) }),
      );
    }
    expect(flows.count()).toBe(0);
  });

  test("a closed map is an error, not a fault", () => {
    const iterator = flows.entries();
    flows.set(flowKey(1), flowValue(1));
    flows.close();
    flows.close();
    for (const call of [
      () => flows.get(flowKey(1)),
      () => flows.set(flowKey(1), flowValue(1)),
      () => flows.count(),
      () => iterator.next(),
      () => flows.info(),
      () => flows.fd,
    ]) {
      expect(call).toThrowError(expect.objectContaining({ code: "CLOSED", message: "map flows is closed" }));
    }
  });

  test("the object's map helpers refuse a map of another type", () => {
    expect(() => object.hash("squares")).toThrowError(/map squares is an? array, not a hash map/);
    expect(() => object.map("flws")).toThrowError(/did you mean "flows"/);
  });
});

describe("array", () => {
  beforeEach(async () => {
    await load(16);
  });

  test("every index is there; what a program wrote is read", () => {
    const squares = object.maps.squares;
    expect(squares).toBeInstanceOf(ArrayMap);
    expect([...squares.values()]).toEqual(new Array(16).fill(0n));
    run("fill");
    expect([...squares]).toEqual(Array.from({ length: 16 }, (_, i) => [i, BigInt(i * i)]));
    expect([squares.length, squares.size]).toEqual([16, 16]);
    expect(squares.get(16)).toBeUndefined();
    expect(squares.has(15)).toBe(true);
    expect(squares.has(16)).toBe(false);
    const slots = object.maps.slots;
    expect([...slots.values()]).toEqual([0, 1, 2, 3].map(flowValue));
  });

  test("set, setMany and fill; an index out of range is an error that says so", () => {
    const squares = object.maps.squares;
    squares.set(3, 1n << 63n).setMany([
      [0, 5n],
      [15, 6],
    ] as never);
    expect(squares.getMany([0, 3, 15, 16])).toEqual([5n, 1n << 63n, 6n, undefined]);
    expect([...squares.fill(9n).values()]).toEqual(new Array(16).fill(9n));
    expect(() => squares.set(16, 1n)).toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("there are 16, from 0 to 15"),
      }),
    );
    expect(() => squares.get(-1)).toThrowError("squares key: expected a whole number from 0 to 4294967295, got -1");
    expect(() => squares.get("1" as never)).toThrowError("squares key: expected number, got string");
    expect("delete" in squares).toBe(false);
  });
});

test("an LRU hash map lets old entries go", async () => {
  await load(1024);
  run("fill");
  const recent = object.maps.recent;
  expect(recent).toBeInstanceOf(LruHashMap);
  const entries = [...recent];
  expect(entries.length).toBeLessThanOrEqual(256);
  expect(entries.length).toBeGreaterThan(0);
  for (const [key, value] of entries) expect(value).toBe(-Number(key));
  expect(entries.some(([key]) => key >= 1000n)).toBe(true); // the newest are among them
});

describe("per-CPU maps", () => {
  const cpus = native().possibleCpus();
  beforeEach(async () => {
    await load();
  });

  test("a value is an array with one element per possible CPU", () => {
    run("fill_this_cpu");
    const hash = object.maps.cpu_hash;
    expect(hash).toBeInstanceOf(PerCpuHashMap);
    for (let i = 0; i < 8; i++) {
      const values = hash.get(8000 + i);
      expect(values).toHaveLength(cpus);
      expect(values?.filter(({ count }) => count !== 0n)).toEqual([
        { count: BigInt(i + 1), cpu: expect.any(Number), name: "cpu" },
      ]);
      const [ran] = values?.filter(({ count }) => count !== 0n) ?? [];
      expect(values?.[ran?.cpu ?? -1]).toBe(ran);
    }
    const array = object.maps.cpu_array;
    expect(array).toBeInstanceOf(PerCpuArrayMap);
    const ran = hash.get(8000)?.findIndex(({ count }) => count !== 0n) ?? -1;
    expect([...array.values()]).toEqual(
      Array.from({ length: 8 }, (_, i) => Array.from({ length: cpus }, (_, cpu) => (cpu === ran ? i * 100 + cpu : 0))),
    );
    const lru = object.maps.cpu_lru;
    expect([...lru.keys()].sort((a, b) => a - b)).toEqual([-3, 0, 1, 2]);
  });

  test("each CPU's value is written, by set and setMany", () => {
    const array = object.maps.cpu_array;
    const values = (base: number) => Array.from({ length: cpus }, (_, cpu) => base + cpu);
    array.set(2, values(100));
    array.setMany([
      [0, values(200)],
      [7, values(300)],
    ]);
    expect(array.getMany([0, 2, 7])).toEqual([values(200), values(100), values(300)]);
    const into = values(0);
    expect(array.getInto(7, into)).toBe(true);
    expect(into).toEqual(values(300));
    expect(() => array.set(0, [...values(0), 1])).toThrowError(
      `cpu_array value: expected an array of ${cpus} values, one per possible CPU`,
    );
    expect(() => array.set(0, 5 as never)).toThrowError(`cpu_array value: expected an array of ${cpus} values`);
  });

  test("drain takes every CPU's share", () => {
    run("fill_this_cpu");
    const hash = object.maps.cpu_hash;
    const drained = hash.drain();
    expect(drained.map(([port]) => port).sort()).toEqual(Array.from({ length: 8 }, (_, i) => 8000 + i));
    expect(drained.reduce((sum, [, values]) => values.reduce((all, { count }) => all + count, sum), 0n)).toBe(36n);
    expect(hash.count()).toBe(0);
  });
});

test("info, freeze: what the kernel says of a map", async () => {
  await load();
  const tiny = object.maps.tiny;
  const info = tiny.info();
  expect(info).toMatchObject({
    type: "hash",
    name: "tiny",
    keySize: 4,
    valueSize: 4,
    maxEntries: 4,
    flags: [],
    extra: 0n,
    frozen: false,
  });
  expect(info.id).toBeGreaterThan(0);
  expect(info.memory).toBeGreaterThan(0);
  expect(object.maps.large.info().flags).toEqual(["no_prealloc"]);
  tiny.set(1, 1).freeze();
  expect(tiny.info().frozen).toBe(true);
  expect(tiny.get(1)).toBe(1);
  const frozen = expect.objectContaining({ code: "PERMISSION_DENIED", message: expect.stringContaining("frozen") });
  expect(() => tiny.set(1, 2)).toThrowError(frozen);
  expect(() => tiny.delete(1)).toThrowError(frozen);
  // EBUSY from old kernels, EPERM from those that look at the handle's rights first.
  expect(() => tiny.freeze()).toThrowError(
    expect.objectContaining({
      code: expect.stringMatching(/^(PERMISSION_DENIED|BUSY)$/),
      message: expect.stringContaining("frozen already"),
    }),
  );
  expect(tiny.get(1)).toBe(1);
});

test("maps are resized before load", async () => {
  await load(8, (opened) => {
    opened.maps.tiny.maxEntries = 5;
  });
  const tiny = object.maps.tiny;
  for (let i = 0; i < 5; i++) tiny.set(i, i);
  expect(() => tiny.set(5, 5)).toThrowError(BpfError);
  expect(tiny.maxEntries).toBe(5);
});

describe("what tries and per-CPU maps have of it", () => {
  test("a trie: the longest prefix that matches, many at once, and many deleted", () => {
    using trie = createMap({ type: "lpm_trie", key: "ipv4", value: "u64", maxEntries: 64 });
    trie.setMany([
      ["10.0.0.0/8", 8n],
      ["10.1.0.0/16", 16n],
      ["11.0.0.0/8", 11n],
    ]);
    expect(trie.getMany(["10.1.2.3", "10.2.0.1", "12.0.0.1", "11.0.0.0/8"])).toEqual([16n, 8n, undefined, 11n]);
    const bytes = new Uint8Array(8);
    expect(trie.getInto("10.1.2.3", bytes)).toBe(true);
    expect(bytes).toEqual(Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0));
    expect(trie.getInto("12.0.0.1", bytes)).toBe(false);
    // Deleting is of that very prefix: 9/8 is not there, and 10.1.2.3/32 is not either.
    expect(trie.deleteMany(["10.0.0.0/8", "9.0.0.0/8", "10.1.2.3", "11.0.0.0/8"])).toBe(2);
    expect([...trie]).toEqual([["10.1.0.0/16", 16n]]);
    expect(trie.drain()).toEqual([["10.1.0.0/16", 16n]]);
    expect(trie.count()).toBe(0);
  });

  test.each(["percpu_hash", "lru_percpu_hash"] as const)(
    "%s: values of all CPUs into an array that is there",
    (type) => {
      using map = createMap({ type, key: "u32", value: "u64", maxEntries: 64 });
      const cpus = native().possibleCpus();
      const values = (of: bigint) => Array.from({ length: cpus }, (_, cpu) => of + BigInt(cpu));
      map.setMany([
        [1, values(100n)],
        [2, values(200n)],
      ]);
      const target = values(0n);
      expect(map.getInto(2, target)).toBe(true);
      expect(target).toEqual(values(200n));
      const bytes = new Uint8Array(8 * cpus);
      expect(map.getInto(1, bytes)).toBe(true);
      expect(bytes[0]).toBe(100);
      expect(() => map.getInto(1, [])).toThrowError(`expected an array of ${cpus} values, one per possible CPU`);
      expect(map.getInto(3, target)).toBe(false);
      expect(map.deleteMany([1, 3])).toBe(1);
      expect(map.drain()).toEqual([[2, values(200n)]]);
    },
  );
});
