/** Arrays, queues and stacks against arrays of JavaScript: any sequence of operations gives the same. */
import { type ArrayMap, createMap, type QueueMap, type StackMap } from "ebpf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { native } from "../../../lib/native.js";

const LENGTH = 11;
const CPUS = native().possibleCpus();

const value = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
// Past the end too.
const index = fc.integer({ min: 0, max: LENGTH + 1 });

interface Kind {
  readonly make: () => ArrayMap<unknown>;
  /** What a value of the model is in the map: of a per-CPU map the CPUs' numbers differ, by theirs. */
  readonly value: (of: bigint) => unknown;
}

const perCpu = (of: bigint) => Array.from({ length: CPUS }, (_, cpu) => BigInt.asUintN(64, of + BigInt(cpu)));

const KINDS: Readonly<Record<string, Kind>> = {
  array: { make: () => createMap({ type: "array", value: "u64", maxEntries: LENGTH }) as never, value: (of) => of },
  percpu_array: {
    make: () => createMap({ type: "percpu_array", value: "u64", maxEntries: LENGTH }) as never,
    // Nothing was set yet: zero on every CPU.
    value: (of) => (of === 0n ? perCpu(0n).fill(0n) : perCpu(of)),
  },
};

type Step =
  | { readonly kind: "set"; readonly index: number; readonly value: bigint; readonly only?: "create" | "replace" }
  | { readonly kind: "setMany"; readonly entries: readonly (readonly [number, bigint])[] }
  | { readonly kind: "fill"; readonly value: bigint }
  | { readonly kind: "get"; readonly indexes: readonly number[] }
  | { readonly kind: "iterate" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record(
    { kind: fc.constant("set" as const), index, value, only: fc.constantFrom("create" as const, "replace" as const) },
    { requiredKeys: ["kind", "index", "value"] },
  ),
  fc.record({
    kind: fc.constant("setMany" as const),
    entries: fc.array(fc.tuple(fc.nat(LENGTH - 1), value), { maxLength: 20 }),
  }),
  fc.record({ kind: fc.constant("fill" as const), value }),
  fc.record({ kind: fc.constant("get" as const), indexes: fc.array(index, { minLength: 1, maxLength: 20 }) }),
  fc.constant({ kind: "iterate" as const }),
);

function take(step: Step, model: bigint[], map: ArrayMap<unknown>, kind: Kind): void {
  switch (step.kind) {
    case "set": {
      const put = () => map.set(step.index, kind.value(step.value), step.only === undefined ? {} : { only: step.only });
      if (step.index >= LENGTH)
        expect(put).toThrowError(
          expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("out of range") }),
        );
      // All are there, always.
      else if (step.only === "create") expect(put).toThrowError(expect.objectContaining({ code: "EXISTS" }));
      else {
        put();
        model[step.index] = step.value;
      }
      break;
    }
    case "setMany":
      map.setMany(step.entries.map(([at, one]) => [at, kind.value(one)] as const));
      for (const [at, one] of step.entries) model[at] = one;
      break;
    case "fill":
      map.fill(kind.value(step.value));
      model.fill(step.value);
      break;
    case "get": {
      const expected = step.indexes.map((at) => (at < LENGTH ? kind.value(model[at] as bigint) : undefined));
      expect(step.indexes.map((at) => map.get(at))).toEqual(expected);
      expect(map.getMany(step.indexes)).toEqual(expected);
      expect(step.indexes.map((at) => map.has(at))).toEqual(step.indexes.map((at) => at < LENGTH));
      break;
    }
    case "iterate": {
      const expected = model.map((one, at): [number, unknown] => [at, kind.value(one)]);
      expect([...map]).toEqual(expected);
      expect([...map.keys()]).toEqual(expected.map(([at]) => at));
      expect([...map.values()]).toEqual(expected.map(([, one]) => one));
      const visited: [number, unknown][] = [];
      map.forEach((one, at) => {
        visited.push([at, one]);
      });
      expect(visited).toEqual(expected);
    }
  }
}

describe.each(Object.entries(KINDS))("%s", (_name, kind) => {
  test("holds what an array holds, whatever the sequence", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (sequence) => {
        using map = kind.make();
        expect([map.length, map.size]).toEqual([LENGTH, LENGTH]);
        const model = new Array<bigint>(LENGTH).fill(0n);
        for (const each of sequence) take(each, model, map, kind);
      }),
      { numRuns: 25 },
    );
  });
});

type Move =
  | { readonly kind: "push"; readonly value: bigint; readonly replaceOldest: boolean }
  | { readonly kind: "pop" | "peek" | "drain" | "clear" };

const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("push" as const), value, replaceOldest: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("pop" as const, "peek" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("drain" as const, "clear" as const) }) },
);

/** What a value leaves by: the model's first or its last. */
const ENDS = { queue: 0, stack: -1 } as const;
type Keyless = keyof typeof ENDS;

function play(move: Move, model: bigint[], map: QueueMap<bigint> | StackMap<bigint>, type: Keyless): void {
  const next = () => model.at(ENDS[type]);
  const pop = () => (type === "queue" ? model.shift() : model.pop());
  switch (move.kind) {
    case "push":
      if (model.length === LENGTH && !move.replaceOldest)
        expect(() => map.push(move.value)).toThrowError(expect.objectContaining({ code: "FULL" }));
      else {
        map.push(move.value, { replaceOldest: move.replaceOldest });
        if (model.length === LENGTH) model.shift();
        model.push(move.value);
      }
      break;
    case "pop":
      expect(map.pop()).toBe(pop());
      break;
    case "peek":
      expect(map.peek()).toBe(next());
      break;
    case "drain":
      expect([...map.drain()]).toEqual(type === "queue" ? model : model.toReversed());
      model.length = 0;
      break;
    case "clear":
      map.clear();
      model.length = 0;
  }
}

describe.each(Object.keys(ENDS) as Keyless[])("%s", (type) => {
  test("gives what an array would give, whatever the sequence", () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60, size: "max" }), (sequence) => {
        using map = createMap({ type, value: "u64", maxEntries: LENGTH });
        const model: bigint[] = [];
        for (const each of sequence) play(each, model, map, type);
      }),
      { numRuns: 25 },
    );
  });
});
