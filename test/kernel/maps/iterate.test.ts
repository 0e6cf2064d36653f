import { fileURLToPath } from "node:url";
import { createMap, HashMap as Hash, type HashMap } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { Maps } from "../../fixtures/maps.bpf.js";
import { Child } from "../support/run.js";
import { until } from "../support/until.js";

const HAMMER = fileURLToPath(new URL("../children/hammer.mjs", import.meta.url));

/** Each entry's value is its key's complement, so that a pair out of step is seen. */
const complement = (key: bigint) => ~key & 0xffffffffffffffffn;

function count(seen: Uint8Array, index: number): void {
  seen[index] = (seen[index] ?? 0) + 1;
}

function filled(entries: number, maxEntries = entries): HashMap<bigint, bigint> {
  const map = createMap({ type: "hash", key: "u64", value: "u64", maxEntries });
  map.setMany(Array.from({ length: entries }, (_, i) => [BigInt(i), complement(BigInt(i))] as const));
  return map;
}

describe("iteration", () => {
  const open: Disposable[] = [];
  const use = <T extends Disposable>(resource: T): T => {
    open.push(resource);
    return resource;
  };
  afterEach(() => {
    for (const resource of open.splice(0)) resource[Symbol.dispose]();
  });

  test("a map of many batches: each entry once, with its value", () => {
    const entries = 100_000;
    const map = use(filled(entries));
    const seen = new Uint8Array(entries);
    let wrong = 0;
    for (const [key, value] of map) {
      count(seen, Number(key));
      if (value !== complement(key)) wrong++;
    }
    expect(wrong).toBe(0);
    expect(seen.every((times) => times === 1)).toBe(true);
    expect(map.count()).toBe(entries);
    expect(new Set(map.keys()).size).toBe(entries);
    expect(map.drain()).toHaveLength(entries);
    expect([...map]).toEqual([]);
  });

  test("an empty map, and one entry", () => {
    const map = use(filled(0, 10));
    expect([...map]).toEqual([]);
    map.set(5n, 6n);
    expect([...map]).toEqual([[5n, 6n]]);
    expect([...map.entries()]).toEqual([...map.keys()].map((key) => [key, map.get(key)]));
  });

  test("a bucket that outgrows the batch is read whole", () => {
    // Values so large that a batch has room for one or two entries: of 128 in as many buckets, some bucket has more.
    const size = 128 * 1024;
    const map = use(createMap({ type: "hash", key: "u32", value: size, maxEntries: 128, flags: ["no_prealloc"] }));
    for (let key = 0; key < 128; key++) map.set(key, new Uint8Array(size).fill(key));
    const seen = new Map([...map].map(([key, value]) => [key, value.every((byte) => byte === key)]));
    expect(seen.size).toBe(128);
    expect([...seen.values()].every(Boolean)).toBe(true);
    expect(map.getMany([1, 200, 127]).map((value) => value?.[size - 1])).toEqual([1, undefined, 127]);
    map.setMany([[7, new Uint8Array(size).fill(9)]]);
    expect(map.get(7)?.[0]).toBe(9);
    expect(map.deleteMany([1, 2, 3])).toBe(3);
    map.clear();
    expect(map.count()).toBe(0);
  });

  test("what stays put is visited once while everything around it comes and goes", () => {
    const stay = 20_000;
    const map = use(filled(stay, stay * 4));
    let next = BigInt(stay);
    const pending: bigint[] = [];
    const seen = new Uint8Array(stay);
    let visited = 0;
    for (const [key, value] of map) {
      expect(value).toBe(complement(key));
      if (key < BigInt(stay)) count(seen, Number(key));
      // Two come and one goes for every other entry visited, while there is room.
      if (visited++ % 2 === 0 && next < BigInt(stay * 3)) {
        for (let i = 0; i < 2; i++) {
          map.set(next, complement(next));
          pending.push(next++);
        }
        map.delete(pending.splice(pending.length >> 1, 1)[0] as bigint);
      }
    }
    expect(seen.every((times) => times === 1)).toBe(true);
  });

  test("the loop may delete what it visits, and leave early", () => {
    const map = use(filled(5_000));
    for (const key of map.keys()) map.delete(key);
    expect(map.count()).toBe(0);
    map.setMany([
      [1n, 1n],
      [2n, 2n],
    ]);
    for (const [key] of map) {
      expect(key).toBeGreaterThan(0n);
      break;
    }
    const iterator = map.entries();
    iterator.next();
    expect(iterator.return?.()).toEqual({ value: undefined, done: true });
    expect(iterator.next()).toEqual({ value: undefined, done: true });
  });

  test("several iterations at once, with gets and sets in between", () => {
    const map = use(filled(3_000));
    let pairs = 0;
    const inner = map.values();
    for (const [key] of map) {
      const { value } = inner.next() as { value: bigint };
      expect(map.get(key)).toBe(complement(key));
      map.set(key, complement(key));
      expect(complement(value) < 3_000n).toBe(true);
      pairs++;
    }
    expect(pairs).toBe(3_000);
    expect(inner.next().done).toBe(true);
  });

  test("a map that a program fills", async () => {
    const opened = Maps.open();
    opened.rodata.entries = 1000;
    using object = await opened.load();
    const { large } = object.maps;
    expect(large).toBeInstanceOf(Hash);
    expect([...large]).toEqual([]);
    object.programs.fill.testRun({ data: new Uint8Array(64) });
    expect([...large].sort(([a], [b]) => Number(a - b))).toEqual(
      Array.from({ length: 1000 }, (_, i) => [BigInt(i), complement(BigInt(i))]),
    );
  });
});

const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`;

/** What stays put, in a map of which another process sets and deletes all others, as fast as it can. */
describe("iteration while another process writes", () => {
  const STAY = 3_000;
  const ROUNDS = 5;

  test.each(["hash", "lru_hash", "lpm_trie"] as const)("%s", async (type) => {
    using map =
      type === "lpm_trie"
        ? createMap({ type, key: "ipv4", value: "u32", maxEntries: STAY * 4 })
        : createMap({ type, key: "u32", value: "u32", maxEntries: STAY * 4 });
    const keyOf = (i: number) => (type === "lpm_trie" ? address(i) : i) as never;
    map.setMany(Array.from({ length: STAY }, (_, i) => [keyOf(i), i] as const));
    using progress = createMap({ type: "array", value: "u64", maxEntries: 1 });
    const child = new Child(process.execPath, [HAMMER, `${map.info().id}`, `${progress.info().id}`, type, `${STAY}`]);
    try {
      let whole = 0;
      await until(`${ROUNDS} rounds with writes in each`, () => {
        if (child.process.exitCode !== null) throw new Error(`the writer ended: ${child.stderr}`);
        const before = progress.get(0) as bigint;
        const seen = new Uint8Array(STAY);
        try {
          // Values of what stays are its numbers; of all else they are larger.
          for (const value of map.values()) if (value < STAY) count(seen, value);
        } catch (error) {
          // A trie says so when it changes faster than it is read.
          expect(type).toBe("lpm_trie");
          expect(error).toMatchObject({ code: "BUSY" });
          return false;
        }
        expect(seen.findIndex((times) => times !== 1)).toBe(-1);
        if (before > 0n && (progress.get(0) as bigint) > before) whole++;
        return whole >= ROUNDS;
      });
    } finally {
      child.process.kill("SIGKILL");
      await child.finished;
    }
  });
});

describe("iteration by keys that vanish: tries", () => {
  test("a trie that changes at every step ends as an error, and not never", () => {
    const entries = 64;
    using trie = createMap({ type: "lpm_trie", key: "ipv4", value: "u32", maxEntries: entries });
    trie.setMany(Array.from({ length: entries }, (_, i) => [address(i), i] as const));
    let visited = 0;
    const chase = () => {
      for (const prefix of trie.keys()) {
        trie.delete(prefix);
        trie.set(address(entries + visited++), 0);
      }
    };
    expect(chase).toThrowError(
      expect.objectContaining({
        code: "BUSY",
        message: expect.stringMatching(/^map .* changes faster than it can be iterated/),
      }),
    );
    // Twice what it can hold, and a thousand: what the walk allows before it takes the map for one that never ends.
    expect(visited).toBeGreaterThan(entries);
    expect(visited).toBeLessThanOrEqual(2 * entries + 1024 + 64);
  });

  test("each prefix once, over many batches", () => {
    using trie = createMap({ type: "lpm_trie", key: "ipv4", value: "u32", maxEntries: 20_000 });
    trie.setMany(Array.from({ length: 20_000 }, (_, i) => [address(i), i] as const));
    const seen = [...trie].sort(([, a], [, b]) => a - b);
    expect(seen).toEqual(Array.from({ length: 20_000 }, (_, i) => [address(i), i]));
  });

  test("what stays put is visited once though the trie starts over when its last key has gone", () => {
    // Values so large that a batch has some 250 of them.
    const value = new Uint8Array(1024);
    using trie = createMap({ type: "lpm_trie", key: "ipv4", value: 1024, maxEntries: 4_000 });
    const stay = 2_000;
    trie.setMany(Array.from({ length: stay * 2 }, (_, i) => [address(i), value] as const));
    const seen = new Map<string, number>();
    let gone = 0;
    for (const prefix of trie.keys()) {
      seen.set(prefix, (seen.get(prefix) ?? 0) + 1);
      // Every other one goes as it is visited, and with some of them the key that the kernel would go on from.
      if (Number(prefix.split(/[./]/)[3]) % 2 === 1) {
        expect(trie.delete(prefix)).toBe(true);
        gone++;
      }
    }
    expect(gone).toBe(stay);
    expect(seen.size).toBe(stay * 2);
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
    expect(trie.count()).toBe(stay);
    trie.clear();
    expect(trie.count()).toBe(0);
  });
});
