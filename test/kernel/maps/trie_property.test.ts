/** Tries against a list of prefixes in JavaScript: any sequence of operations gives the same, and the longest prefix that matches is found. */
import { type CType, createMap, cType, type LpmTrieMap } from "ebpf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BtfBuilder } from "../../unit/btf/support/builder.js";
import { requires } from "../support/requires.js";

const CAPACITY = 16;

/** Whether the option `only` is refused: the kernel then ignores it, as only old ones do. */
function heedsOnly(): boolean {
  using trie = createMap({ type: "lpm_trie", key: "ipv4", value: "u32", maxEntries: 1 });
  try {
    trie.set("10.0.0.0/8", 1, { only: "create" });
  } catch (error) {
    expect(error).toMatchObject({
      code: "KERNEL_UNSUPPORTED",
      message: expect.stringContaining('this kernel ignores the option "only" in tries'),
    });
    return false;
  }
  return true;
}

const HEEDS_ONLY = heedsOnly();
/** A full trie took nothing, not even another value for a prefix that it had, until the same series of changes. */
const REPLACES_WHEN_FULL = HEEDS_ONLY;

requires({ kernel: ">=6.13" }).test("the option only is heeded", () => expect(HEEDS_ONLY).toBe(true));

/** A prefix: as many bits as its key has, of which the first `length` count. */
interface Prefix {
  readonly bits: string;
  readonly length: number;
}

/** What counts of prefixes, "0101" for those of length 4, and their values. */
type Model = Map<string, bigint>;

interface Kind<K> {
  readonly width: number;
  readonly key: CType<K> | "ipv4" | "ipv6";
  /** The key of a prefix; what is past its length may be set in it. */
  readonly write: (prefix: Prefix) => K;
  /** What counts of a key that was read. */
  readonly read: (key: K) => string;
}

function bytesOf(bits: string): number[] {
  return (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
}

function bitsOf(bytes: Iterable<number>, length: number): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.slice(0, length);
}

/** An address that comes back has nothing past its length. */
function bitsOfPrefix(bytes: number[], length: number): string {
  expect(bitsOf(bytes, bytes.length * 8).slice(length)).toMatch(/^0*$/);
  return bitsOf(bytes, length);
}

function split(text: string): readonly [string, number] {
  const [address = "", length] = text.split("/");
  return [address, Number(length)];
}

/** The bytes of an IPv6 address, by its words: `1::2` has six zeros between. */
function bytesOfIpv6(address: string): number[] {
  const [head = [], tail = []] = address.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const missing = new Array<string>(8 - head.length - tail.length).fill("0");
  const words = [...head, ...missing, ...tail].map((word) => Number.parseInt(word, 16));
  return words.flatMap((word) => [word >> 8, word & 255]);
}

/** A key that is no address: three bytes after the length. */
function ownKey(): CType<OwnKey> {
  const builder = new BtfBuilder();
  const u32 = builder.int("unsigned int", 4);
  const data = builder.array(builder.int("unsigned char", 1), 3);
  builder.struct("own_key", 7, [
    ["prefixlen", u32, 0],
    ["data", data, 32],
  ]);
  return cType<OwnKey>("struct own_key", builder.parse());
}

interface OwnKey {
  readonly prefixlen: number;
  readonly data: Uint8Array;
}

const KINDS = {
  ipv4: {
    width: 32,
    key: "ipv4",
    write: ({ bits, length }) => (length === 32 ? bytesOf(bits).join(".") : `${bytesOf(bits).join(".")}/${length}`),
    read: (key) => {
      const [address, length] = split(key);
      return bitsOfPrefix(address.split(".").map(Number), length);
    },
  } satisfies Kind<string>,
  ipv6: {
    width: 128,
    key: "ipv6",
    write: ({ bits, length }) => {
      const words = (bits.match(/.{16}/g) ?? []).map((word) => Number.parseInt(word, 2).toString(16));
      return length === 128 ? words.join(":") : `${words.join(":")}/${length}`;
    },
    read: (key) => {
      const [address, length] = split(key);
      return bitsOfPrefix(bytesOfIpv6(address), length);
    },
  } satisfies Kind<string>,
  "a struct of its own": {
    width: 24,
    key: ownKey(),
    write: ({ bits, length }) => ({ prefixlen: length, data: Uint8Array.from(bytesOf(bits)) }),
    read: ({ prefixlen, data }) => bitsOf(data, prefixlen),
  } satisfies Kind<OwnKey>,
};

/** Few patterns and lengths, so that prefixes lie within each other. */
function prefixes(width: number): fc.Arbitrary<Prefix> {
  const pattern = fc.constantFrom("0", "1", "01", "00001010", "0000101000000001", "000010100000000100000010");
  const length = fc.oneof(
    fc.constantFrom(...[0, 1, 2, 7, 8, 9, 15, 16, 17, width - 1, width].filter((each) => each <= width)),
    fc.integer({ min: 0, max: width }),
  );
  return fc.record({ bits: pattern.map((one) => one.repeat(width).slice(0, width)), length });
}

function counting({ bits, length }: Prefix): string {
  return bits.slice(0, length);
}

/** The value of the longest prefix that contains what is asked for. */
function longest(model: Model, asked: Prefix): bigint | undefined {
  const bits = counting(asked);
  for (let length = bits.length; length >= 0; length--) {
    const found = model.get(bits.slice(0, length));
    if (found !== undefined) return found;
  }
  return undefined;
}

type Step<K> = (model: Model, trie: LpmTrieMap<K, bigint>) => void;

interface Told<K> {
  readonly step: Step<K>;
  readonly toString: () => string;
}

function sorted(entries: Iterable<readonly [string, bigint]>): (readonly [string, bigint])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function steps<K>({ width, read, write }: Kind<K>): fc.Arbitrary<Told<K>> {
  const prefix = prefixes(width);
  const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  const text = (of: unknown) => JSON.stringify(of, (_, each) => (typeof each === "bigint" ? `${each}n` : each));
  const told = <T>(name: string, of: fc.Arbitrary<T>, make: (of: T) => Step<K>): fc.Arbitrary<Told<K>> =>
    of.map((each) => ({ step: make(each), toString: () => `${name}(${text(each)})` }));
  const entriesOf = (entries: Iterable<readonly [K, bigint]>) =>
    sorted(Array.from(entries, ([key, one]) => [read(key), one] as const));

  const get = told("get", fc.array(prefix, { minLength: 1, maxLength: 6 }), (asked) => (model, trie) => {
    for (const each of asked) {
      expect(trie.get(write(each))).toBe(longest(model, each));
      expect(trie.has(write(each))).toBe(longest(model, each) !== undefined);
    }
    expect(trie.getMany(asked.map(write))).toEqual(asked.map((each) => longest(model, each)));
  });
  const only = fc.constantFrom(undefined, undefined, "create" as const, "replace" as const);
  const set = told("set", fc.tuple(prefix, value, only), ([at, one, only]) => (model, trie) => {
    const there = model.has(counting(at));
    if (there && model.size === CAPACITY && !REPLACES_WHEN_FULL) return;
    const put = () => trie.set(write(at), one, only === undefined ? {} : { only });
    const refused = (code: string) => expect(put).toThrowError(expect.objectContaining({ code }));
    if (only !== undefined && !HEEDS_ONLY) refused("KERNEL_UNSUPPORTED");
    else if (only === "create" && there) refused("EXISTS");
    else if (only === "replace" && !there) refused("NOT_FOUND");
    else if (!there && model.size === CAPACITY) refused("FULL");
    else {
      put();
      model.set(counting(at), one);
    }
  });
  const setMany = told("setMany", fc.array(fc.tuple(prefix, value), { maxLength: 8 }), (entries) => (model, trie) => {
    const after = new Map([...model, ...entries.map(([at, one]) => [counting(at), one] as const)]);
    if (after.size > CAPACITY || (after.size === CAPACITY && !REPLACES_WHEN_FULL)) return;
    trie.setMany(entries.map(([at, one]) => [write(at), one] as const));
    for (const [at, one] of after) model.set(at, one);
  });
  const remove = told(
    "delete",
    fc.array(prefix, { minLength: 1, maxLength: 6 }),
    ([first, ...rest]) =>
      (model, trie) => {
        if (first !== undefined) expect(trie.delete(write(first))).toBe(model.delete(counting(first)));
        expect(trie.deleteMany(rest.map(write))).toBe(rest.filter((each) => model.delete(counting(each))).length);
      },
  );
  const iterate = told("iterate", fc.constant(undefined), () => (model, trie) => {
    expect(entriesOf(trie)).toEqual(sorted(model));
    expect(Array.from(trie.keys(), read).sort()).toEqual([...model.keys()].sort());
    expect([...trie.values()].sort()).toEqual([...model.values()].sort());
    expect(trie.count()).toBe(model.size);
    const visited: [K, bigint][] = [];
    trie.forEach((one, key) => {
      visited.push([key, one]);
    });
    expect(entriesOf(visited)).toEqual(sorted(model));
  });
  const empty = told("empty", fc.boolean(), (drain) => (model, trie) => {
    if (drain) expect(entriesOf(trie.drain())).toEqual(sorted(model));
    else trie.clear();
    model.clear();
  });
  return fc.oneof(
    { weight: 4, arbitrary: get },
    { weight: 6, arbitrary: set },
    { weight: 3, arbitrary: setMany },
    { weight: 3, arbitrary: remove },
    { weight: 3, arbitrary: iterate },
    { weight: 1, arbitrary: empty },
  );
}

describe("a trie whose keys are", () => {
  test.each(Object.entries(KINDS))("%s finds what the model finds, whatever the sequence", (_name, kind) => {
    const { key } = kind as Kind<unknown>;
    fc.assert(
      fc.property(fc.array(steps(kind as Kind<unknown>), { maxLength: 40, size: "max" }), (sequence) => {
        using trie = createMap({ type: "lpm_trie", key, value: "u64", maxEntries: CAPACITY });
        const model: Model = new Map();
        for (const { step } of sequence) step(model, trie as unknown as LpmTrieMap<unknown, bigint>);
      }),
      { numRuns: 25 },
    );
  });
});
