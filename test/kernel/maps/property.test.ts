/** Hash maps against JavaScript's Map: any sequence of operations gives the same. */
import { createMap } from "ebpf";
import fc from "fast-check";
import { expect, test } from "vitest";
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
type Real = ReturnType<typeof makeReal>;

function makeReal() {
  return createMap({ type: "hash", key: "u32", value: "u64", maxEntries: CAPACITY });
}

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
    expect(real.get(this.key)).toBe(model.get(this.key));
    expect(real.has(this.key)).toBe(model.has(this.key));
    expect(real.getMany([this.key, 1, this.key])).toEqual([this.key, 1, this.key].map((each) => model.get(each)));
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
    const put = () => real.set(this.key, this.value, this.only === undefined ? {} : { only: this.only });
    if (this.only === "create" && there) expect(put).toThrowError(expect.objectContaining({ code: "EXISTS" }));
    else if (this.only === "replace" && !there)
      expect(put).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    else if (!there && model.size === CAPACITY) expect(put).toThrowError(expect.objectContaining({ code: "FULL" }));
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
    if (first !== undefined) expect(real.delete(first)).toBe(model.delete(first));
    expect(real.deleteMany(rest)).toBe(rest.filter((each) => model.delete(each)).length);
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
    real.setMany(this.entries);
    for (const [each, one] of this.entries) model.set(each, one);
  }
  toString = () => `setMany(${this.entries.map(([each, one]) => `${each}: ${one}n`).join(", ")})`;
}

class Iterate implements fc.Command<Model, Real> {
  check = () => true;
  run(model: Model, real: Real): void {
    expect(sorted(real)).toEqual(sorted(model));
    expect([...real.keys()].sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b));
    expect([...real.values()].sort()).toEqual([...model.values()].sort());
    expect(real.count()).toBe(model.size);
    const visited: [number, bigint][] = [];
    real.forEach((one, each, map) => {
      expect(map).toBe(real);
      visited.push([each, one]);
    });
    expect(sorted(visited)).toEqual(sorted(model));
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
    if (this.drain) expect(sorted(real.drain())).toEqual(sorted(model));
    else real.clear();
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
    expect(real.getAndDelete(this.key)).toBe(model.get(this.key));
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

function holds(commands: fc.Arbitrary<fc.Command<Model, Real>>[]): void {
  fc.assert(
    fc.property(fc.commands(commands, { size: "+1" }), (sequence) => {
      using real = makeReal();
      fc.modelRun(() => ({ model: new Map<number, bigint>(), real }), sequence);
    }),
    { numRuns: 60 },
  );
}

test("a hash map does what a Map does, whatever the sequence", () => holds(common));

requires({ kernel: ">=5.14" }).test("and so it does with getAndDelete", () =>
  holds([...common, key.map((k) => new Take(k))]),
);
