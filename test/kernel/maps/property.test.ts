/** Hash tables of every kind against JavaScript's Map: any sequence of operations gives the same. */
import { createMap, type HashMap } from "ebpf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { native } from "../../../lib/native.js";
import { requires } from "../support/requires.js";

const CAPACITY = 24;
// Few keys, so that operations meet; with the extremes of their type.
const key = fc.constantFrom(
  0,
  1,
  2,
  3,
  255,
  256,
  65535,
  0x7fffffff,
  0x80000000,
  0xffffffff,
  ...Array.from({ length: 20 }, (_, i) => 1000 + i),
);
const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

type Model = Map<number, bigint>;

/** What a value is in a map of the kind, and in the model a number: of a per-CPU map the CPUs' numbers differ, by theirs. */
interface Kind {
  readonly make: () => Table;
  readonly value: (of: bigint) => unknown;
  readonly number: (of: unknown) => bigint;
  /** Beyond it an LRU map forgets, and a hash map refuses. */
  readonly capacity: number;
}

type Table = HashMap<number, unknown>;

/** A map whose values are the model's. */
class Real implements Disposable {
  readonly map: Table;
  readonly kind: Kind;
  constructor(kind: Kind) {
    this.kind = kind;
    this.map = kind.make();
  }
  value(of: bigint | undefined): unknown {
    return of === undefined ? undefined : this.kind.value(of);
  }
  entries(of: Iterable<readonly [number, unknown]>): [number, bigint][] {
    return [...of].map(([each, value]) => [each, this.kind.number(value)]);
  }
  [Symbol.dispose](): void {
    this.map.close();
  }
}

const CPUS = native().possibleCpus();
const plain = { value: (of: bigint) => of, number: (of: unknown) => of as bigint };
const perCpu = {
  value: (of: bigint) => Array.from({ length: CPUS }, (_, cpu) => BigInt.asUintN(64, of + BigInt(cpu))),
  number: (of: unknown) => {
    const [first] = of as bigint[];
    expect(of).toEqual(perCpu.value(first as bigint));
    return first as bigint;
  },
};
const options = { key: "u32", value: "u64" } as const;
// All keys there are, and so much more that none is forgotten.
const ROOMY = 4096;

const KINDS: Readonly<Record<string, Kind>> = {
  hash: {
    ...plain,
    capacity: CAPACITY,
    make: () => createMap({ type: "hash", ...options, maxEntries: CAPACITY }) as Table,
  },
  lru_hash: {
    ...plain,
    capacity: ROOMY,
    make: () => createMap({ type: "lru_hash", ...options, maxEntries: ROOMY }) as Table,
  },
  percpu_hash: {
    ...perCpu,
    capacity: CAPACITY,
    make: () => createMap({ type: "percpu_hash", ...options, maxEntries: CAPACITY }) as never,
  },
  lru_percpu_hash: {
    ...perCpu,
    capacity: ROOMY,
    make: () => createMap({ type: "lru_percpu_hash", ...options, maxEntries: ROOMY }) as never,
  },
};

function sorted(entries: Iterable<readonly [number, bigint]>): (readonly [number, bigint])[] {
  return [...entries].sort(([a], [b]) => a - b);
}

class Get implements fc.Command<Model, Real> {
  readonly key: number;
  constructor(key: number) {
    this.key = key;
  }
  check = () => true;
  run(model: Model, real: Real): void {
    const { map } = real;
    expect(map.get(this.key)).toEqual(real.value(model.get(this.key)));
    expect(map.has(this.key)).toBe(model.has(this.key));
    expect(map.getMany([this.key, 1, this.key])).toEqual(
      [this.key, 1, this.key].map((each) => real.value(model.get(each))),
    );
  }
  toString = () => `get(${this.key})`;
}

class Put implements fc.Command<Model, Real> {
  readonly key: number;
  readonly value: bigint;
  readonly only: "create" | "replace" | undefined;
  constructor(key: number, value: bigint, only: "create" | "replace" | undefined) {
    this.key = key;
    this.value = value;
    this.only = only;
  }
  check = () => true;
  run(model: Model, real: Real): void {
    const there = model.has(this.key);
    const put = () =>
      real.map.set(this.key, real.value(this.value), this.only === undefined ? {} : { only: this.only });
    if (this.only === "create" && there) expect(put).toThrowError(expect.objectContaining({ code: "EXISTS" }));
    else if (this.only === "replace" && !there)
      expect(put).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    else if (!there && model.size === real.kind.capacity)
      expect(put).toThrowError(expect.objectContaining({ code: "FULL" }));
    else {
      put();
      model.set(this.key, this.value);
    }
  }
  toString = () => `set(${this.key}, ${this.value}n, ${this.only})`;
}

class Delete implements fc.Command<Model, Real> {
  readonly keys: readonly number[];
  constructor(keys: readonly number[]) {
    this.keys = keys;
  }
  check = () => true;
  run(model: Model, real: Real): void {
    const [first, ...rest] = this.keys;
    if (first !== undefined) expect(real.map.delete(first)).toBe(model.delete(first));
    expect(real.map.deleteMany(rest)).toBe(rest.filter((each) => model.delete(each)).length);
  }
  toString = () => `delete(${this.keys.join(", ")})`;
}

class PutMany implements fc.Command<Model, Real> {
  readonly entries: readonly (readonly [number, bigint])[];
  constructor(entries: readonly (readonly [number, bigint])[]) {
    this.entries = entries;
  }
  check = (model: Readonly<Model>) =>
    new Set([...model.keys(), ...this.entries.map(([each]) => each)]).size <= CAPACITY;
  run(model: Model, real: Real): void {
    real.map.setMany(this.entries.map(([each, one]) => [each, real.value(one)] as const));
    for (const [each, one] of this.entries) model.set(each, one);
  }
  toString = () => `setMany(${this.entries.map(([each, one]) => `${each}: ${one}n`).join(", ")})`;
}

class Iterate implements fc.Command<Model, Real> {
  check = () => true;
  run(model: Model, real: Real): void {
    const { map } = real;
    expect(sorted(real.entries(map))).toEqual(sorted(model));
    expect([...map.keys()].sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b));
    expect([...map.values()].map(real.kind.number).sort()).toEqual([...model.values()].sort());
    expect(map.count()).toBe(model.size);
    const visited: [number, unknown][] = [];
    map.forEach((one, each, whole) => {
      expect(whole).toBe(map);
      visited.push([each, one]);
    });
    expect(sorted(real.entries(visited))).toEqual(sorted(model));
  }
  toString = () => "iterate";
}

class Empty implements fc.Command<Model, Real> {
  readonly drain: boolean;
  constructor(drain: boolean) {
    this.drain = drain;
  }
  check = () => true;
  run(model: Model, real: Real): void {
    if (this.drain) expect(sorted(real.entries(real.map.drain()))).toEqual(sorted(model));
    else real.map.clear();
    model.clear();
  }
  toString = () => (this.drain ? "drain" : "clear");
}

class Take implements fc.Command<Model, Real> {
  readonly key: number;
  constructor(key: number) {
    this.key = key;
  }
  check = () => true;
  run(model: Model, real: Real): void {
    expect(real.map.getAndDelete(this.key)).toEqual(real.value(model.get(this.key)));
    model.delete(this.key);
  }
  toString = () => `getAndDelete(${this.key})`;
}

const common = [
  key.map((k) => new Get(k)),
  fc
    .tuple(key, value, fc.constantFrom(undefined, undefined, "create" as const, "replace" as const))
    .map(([k, v, only]) => new Put(k, v, only)),
  fc.array(key, { maxLength: 6 }).map((keys) => new Delete(keys)),
  fc.array(fc.tuple(key, value), { maxLength: 10 }).map((entries) => new PutMany(entries)),
  fc.constant(new Iterate()),
  fc.boolean().map((drain) => new Empty(drain)),
];

function holds(kind: Kind, commands: fc.Arbitrary<fc.Command<Model, Real>>[]): void {
  fc.assert(
    fc.property(fc.commands(commands, { size: "+1" }), (sequence) => {
      using real = new Real(kind);
      fc.modelRun(() => ({ model: new Map<number, bigint>(), real }), sequence);
    }),
    { numRuns: 40 },
  );
}

describe.each(Object.entries(KINDS))("%s", (_name, kind) => {
  test("does what a Map does, whatever the sequence", () => holds(kind, common));

  requires({ kernel: ">=5.14" }).test("and so it does with getAndDelete", () =>
    holds(kind, [...common, key.map((k) => new Take(k))]),
  );
});
