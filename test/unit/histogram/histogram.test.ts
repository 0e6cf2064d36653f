import {
  type ArrayMap,
  type Histogram,
  histogram,
  histogramOf,
  histograms,
  type LinearSlots,
  type Log2Slots,
  type PerCpuArrayMap,
  type PerCpuHashMap,
} from "ebpf";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";

const messageOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing was thrown";
};

const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  // As many of each size, and what is next to a power of two.
  fc.integer({ min: 0, max: 63 }).chain((bits) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits + 1)) - 1n })),
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: -1, max: 1 }))
    .map(([bits, by]) => BigInt.asUintN(64, (1n << BigInt(bits)) + BigInt(by))),
);
const s64 = u64.map((value) => BigInt.asIntN(64, value));
const scale = fc.oneof(
  fc.record({ bits: fc.integer({ min: 0, max: 5 }) }),
  fc
    .record({
      low: fc.integer({ min: -5000, max: 5000 }),
      step: fc.integer({ min: 1, max: 300 }),
      length: fc.integer({ min: 1, max: 5000 }),
    })
    .map(({ low, step, length }) => ({ low, step, high: low + length })),
);
const scaled = scale.chain((scale) =>
  fc.record({
    scale: fc.constant(scale),
    values: fc.array("bits" in scale ? u64 : fc.oneof(s64, fc.bigInt({ min: -6000n, max: 11000n })), {
      minLength: 1,
      maxLength: 50,
    }),
  }),
);

describe("rows", () => {
  test("every value is in the one row that has it between its ends, whatever the scale", () => {
    fc.assert(
      fc.property(scaled, ({ scale, values }) => {
        const { rows, total } = histogramOf(values, scale);
        expect(total).toBe(values.length);
        // A bigint is compared with a number exactly.
        for (const { low, high, count } of rows)
          expect(values.filter((value) => value >= low && value < high).length).toBe(count);
        expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(total);
        for (const [i, { low }] of rows.entries()) if (i > 0) expect(low).toBe(rows[i - 1]?.high);
        expect(rows[0]?.count).toBeGreaterThan(0);
        expect(rows.at(-1)?.count).toBeGreaterThan(0);
      }),
    );
  });

  test("a number and the bigint of its value are counted alike", () => {
    fc.assert(
      fc.property(scale, fc.maxSafeNat(), (scale, value) => {
        expect(histogramOf([value], scale).counts).toEqual(histogramOf([BigInt(value)], scale).counts);
      }),
    );
  });

  test("powers of two are bcc's, with bits bpftrace's, and steps have an outside", () => {
    expect(histogramOf([0, 1, 2, 3, 4, 2n ** 64n - 1n]).rows.filter(({ count }) => count > 0)).toEqual([
      { low: 0, high: 2, count: 2 },
      { low: 2, high: 4, count: 2 },
      { low: 4, high: 8, count: 1 },
      { low: 2 ** 63, high: 2 ** 64, count: 1 },
    ]);
    expect(histogramOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { bits: 1 }).rows).toEqual([
      { low: 0, high: 1, count: 1 },
      { low: 1, high: 2, count: 1 },
      { low: 2, high: 3, count: 1 },
      { low: 3, high: 4, count: 1 },
      { low: 4, high: 6, count: 2 },
      { low: 6, high: 8, count: 2 },
      { low: 8, high: 12, count: 2 },
    ]);
    // The last step ends where it does: it is no shorter than the others.
    expect(histogramOf([-11, -10, 0, 24, 25, 26], { low: -10, high: 20, step: 12 }).rows).toEqual([
      { low: Number.NEGATIVE_INFINITY, high: -10, count: 1 },
      { low: -10, high: 2, count: 2 },
      { low: 2, high: 14, count: 0 },
      { low: 14, high: 26, count: 2 },
      { low: 26, high: Number.POSITIVE_INFINITY, count: 1 },
    ]);
    expect(histogramOf([]).rows).toEqual([]);
  });
});

describe("percentiles", () => {
  test("an estimate is in the row of the value that it stands for, and grows", () => {
    fc.assert(
      fc.property(
        scaled,
        fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 5 }),
        ({ scale, values }, percents) => {
          const counted = histogramOf(values, scale);
          const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
          let before = Number.NEGATIVE_INFINITY;
          for (const percent of percents.toSorted((a, b) => a - b)) {
            const exact = sorted[Math.max(0, Math.ceil((percent * values.length) / 100) - 1)] as bigint;
            const row = counted.rows.find(({ low, high }) => exact >= low && exact < high);
            const estimate = counted.percentile(percent) as number;
            expect(estimate).toBeGreaterThanOrEqual(
              row?.low === Number.NEGATIVE_INFINITY ? row.high : (row?.low as number),
            );
            expect(estimate).toBeLessThanOrEqual(
              row?.high === Number.POSITIVE_INFINITY ? row.low : (row?.high as number),
            );
            expect(estimate).toBeGreaterThanOrEqual(before);
            before = estimate;
          }
        },
      ),
    );
  });

  test("where a row is one value it is exact, and else evenly spread", () => {
    const exact = histogramOf([1, 1, 1, 5, 7], { bits: 5 });
    expect([0, 50, 60, 80, 100].map((percent) => exact.percentile(percent))).toEqual([1, 1, 1, 5, 7]);
    const spread = histogramOf(Array<number>(4).fill(1030));
    expect([25, 50, 100].map((percent) => spread.percentile(percent))).toEqual([1280, 1536, 2047]);
    const outside = histogramOf([-5, 50], { low: 0, high: 10, step: 1 });
    expect([outside.percentile(10), outside.percentile(90)]).toEqual([0, 10]);
    expect(histogramOf([]).percentile(50)).toBeUndefined();
    expect(messageOf(() => exact.percentile(101))).toBe(
      "histogram.percentile: must be a number from 0 to 100, got 101",
    );
    expect(messageOf(() => exact.percentile(Number.NaN))).toContain("got NaN");
  });
});

describe("text", () => {
  const times = histogramOf([0, 900, 1000, 1100, 1200, 5000, 3_000_000]);

  test("a bar for whatever is there, the longest as wide as was asked", () => {
    expect(histogramOf([0, 1, 5, 5, 5, 5, 5, 5, 20, 21, 22]).text({ width: 12 })).toBe(
      [
        "  [0, 2)  2 |@@@@        |",
        "  [2, 4)  0 |            |",
        "  [4, 8)  6 |@@@@@@@@@@@@|",
        " [8, 16)  0 |            |",
        "[16, 32)  3 |@@@@@@      |",
      ].join("\n"),
    );
    const few = histogram([1000, 0, 1]);
    expect(
      few
        .text({ width: 10 })
        .split("\n")
        .map((line) => line.replace(/[^@]/g, "").length),
    ).toEqual([10, 0, 1]);
    expect(few.text().split("\n")[0]).toContain(`|${"@".repeat(40)}|`);
    expect(String(few)).toBe(few.text());
    expect(few.text({ width: 0 })).toBe("[0, 2)  1000\n[2, 4)     0\n[4, 8)     1");
    expect(histogramOf([]).text()).toBe("");
  });

  test("values as bytes, as times in the unit that suits, or as they are", () => {
    const ranges = (of: Histogram, unit?: "bytes" | "ns" | "us" | "ms" | "s") =>
      of
        .text({ unit, width: 0 })
        .split("\n")
        .filter((line) => !line.endsWith(" 0"))
        .map((line) => line.replace(/ {2}\d+$/, "").trim());
    expect(ranges(times)).toEqual(["[0, 2)", "[512, 1024)", "[1024, 2048)", "[4096, 8192)", "[2097152, 4194304)"]);
    expect(ranges(times, "bytes")).toEqual([
      "[0 B, 2 B)",
      "[512 B, 1 KiB)",
      "[1 KiB, 2 KiB)",
      "[4 KiB, 8 KiB)",
      "[2 MiB, 4 MiB)",
    ]);
    expect(ranges(times, "ns")).toEqual([
      "[0 ns, 2 ns)",
      "[512 ns, 1024 ns)",
      "[1024 ns, 2048 ns)",
      "[4096 ns, 8192 ns)",
      "[2097 us, 4194 us)",
    ]);
    expect(ranges(histogramOf([2 ** 24, 10_000_000_000]), "ns")).toEqual(["[16.8 ms, 33.6 ms)", "[8590 ms, 17.2 s)"]);
    expect(ranges(histogramOf([1400, 5e6], { low: 0, high: 1e7, step: 100 }), "bytes")).toEqual([
      "[1400 B, 1500 B)",
      "[4883 KiB, 4883 KiB)",
    ]);
    expect(ranges(histogramOf([1500], { low: 0, high: 3000, step: 500 }), "us")).toEqual(["[1500 us, 2 ms)"]);
    expect(ranges(histogramOf([-5, 70], { low: -4, high: 60, step: 64 }), "ms")).toEqual([
      "(..., -4 ms)",
      "[60 ms, ...)",
    ]);
    expect(ranges(histogramOf([2n ** 63n]))).toEqual(["[9223372036854775808, 18446744073709551616)"]);
    expect(ranges(histogramOf([2n ** 63n]), "s")).toEqual(["[9223372036854775808 s, 18446744073709551616 s)"]);
    expect(messageOf(() => times.text({ unit: "minutes" as "s" }))).toContain('option "unit" must be "bytes" or "ns"');
    expect(messageOf(() => times.text({ widht: 3 } as object))).toContain('unknown option "widht"');
  });
});

describe("from slots", () => {
  test("numbers, bigints, typed arrays and structs of them are the same", () => {
    const expected = histogramOf([0, 2, 3]);
    expect(histogram([1, 2])).toEqual(expected);
    expect(histogram([1n, 2n])).toEqual(expected);
    expect(histogram(new BigUint64Array([1n, 2n]))).toEqual(expected);
    expect(histogram(new Uint32Array([1, 2]))).toEqual(expected);
    expect(histogram({ slots: [1, 2] })).toEqual(expected);
    expect(histogram({ linear_slots: [1n, 2n, 0n] }, { low: 10, step: 5 }).rows).toEqual([
      { low: Number.NEGATIVE_INFINITY, high: 10, count: 1 },
      { low: 10, high: 15, count: 2 },
    ]);
  });

  test("so many slots as EBPF_HIST_BITS has are divided as it divides them", () => {
    for (const bits of [1, 2, 3, 4, 5]) {
      const counted = histogramOf([3, 1000, 2n ** 64n - 1n], { bits });
      expect(histogram(counted.counts)).toEqual(counted);
    }
  });

  test("one for each key; of keys with a slot, of what is left of them", () => {
    const inner = { pid: 7n, name: "read", bytes: new Uint8Array([1, 2]) };
    const other = { ...inner, bytes: new Uint8Array([1, 3]) };
    const found = histograms<typeof inner & { slot: number }>([
      [{ ...inner, slot: 3 }, [1n, 0n, 2n]],
      [{ ...other, slot: 0 }, [5n]],
      [{ ...inner, bytes: new Uint8Array([1, 2]), slot: 1 }, [1n, 1n]],
    ]);
    expect(found).toEqual([
      [inner, histogram([0, 2, 0, 3])],
      [other, histogram([5])],
    ]);
    const perCpu = [{ slots: [1, 2] }, { slots: [0, 5] }];
    expect(histograms([["a", perCpu] as const])).toEqual([["a", histogram([1, 7])]]);
    expect(histograms([["a", { slots: [1, 2] }] as const])).toEqual([["a", histogram([1, 2])]]);
    expect(histograms([[1, { linear_slots: [0, 1, 0] }] as const], { low: 0, step: 1 })).toEqual([
      [1, histogram({ linear_slots: [0, 1, 0] }, { low: 0, step: 1 })],
    ]);
    expect(messageOf(() => histograms([[{ slot: 64 }, 1] as const]))).toBe(
      "histograms: a key has slot 64, where there are 64",
    );
  });

  test("what is none is named", () => {
    expect(messageOf(() => histogram({} as Log2Slots))).toContain("histogram: expected slots, a struct with a member");
    expect(messageOf(() => histogram(null as never))).toContain("got null");
    expect(messageOf(() => histogram([1, 0.5]))).toBe(
      "histogram: the count of slot 1 is no whole number up to 2^53: 0.5",
    );
    expect(messageOf(() => histogram([2n ** 53n]))).toContain("the count of slot 0");
    expect(messageOf(() => histogram(Array<number>(65).fill(0)))).toBe(
      "histogram: there are 65 slots, which are not by powers of two; give their scale",
    );
    expect(messageOf(() => histogram(Array<number>(100).fill(0), { bits: 0 }))).toContain(
      "with 0 bits; give their scale",
    );
    expect(messageOf(() => (histogram as (slots: unknown) => Histogram)({ linear_slots: [1] }))).toBe(
      "histogram: a linear histogram needs its scale { low, step }, which is NAME_scale in .rodata",
    );
    for (const [scale, said] of [
      [{ bits: 6 }, "scale.bits must be a whole number from 0 to 5, got 6"],
      [{ low: 0 }, "scale must be { bits } or { low, step }, got an object"],
      [{ low: 0, step: 0 }, "scale.step must be a whole number from 1 on, got 0"],
      [{ low: 0.5, step: 1 }, "scale.low must be a whole number, got 0.5"],
      ["log2", 'scale must be { bits } or { low, step }, got "log2"'],
    ] as const)
      expect(messageOf(() => histogram([1], scale as never))).toBe(`histogram: ${said}`);
    expect(messageOf(() => histogramOf([1], { low: 0, step: 1 } as never))).toContain("needs its end");
    expect(messageOf(() => histogramOf([1], { low: 5, high: 5, step: 1 }))).toContain("scale.high must be");
    expect(messageOf(() => histogramOf([1], { low: 0, high: 2 ** 40, step: 1 }))).toContain("are more than");
    expect(messageOf(() => histogramOf([-1]))).toContain("from 0 to 2^64-1, got -1");
    expect(messageOf(() => histogramOf([0.5]))).toContain("got 0.5");
    expect(messageOf(() => histogramOf([2n ** 64n]))).toContain("got 18446744073709551616n");
    expect(messageOf(() => histogramOf([2n ** 63n], { low: 0, high: 5, step: 1 }))).toContain("of 64 bits");
  });

  test("the compiler knows what needs a scale", () => {
    const types = (
      powers: PerCpuArrayMap<{ slots: number[] }>,
      steps: PerCpuArrayMap<{ linear_slots: number[] }>,
      entries: ArrayMap<bigint>,
      hash: PerCpuHashMap<{ pid: number }, Log2Slots>,
      slots: PerCpuHashMap<{ pid: number; slot: number }, bigint>,
      linear: PerCpuHashMap<number, LinearSlots>,
    ) => {
      histogram(powers);
      histogram(entries);
      // @ts-expect-error a linear histogram does not say where it begins
      histogram(steps);
      histogram(steps, { low: 0, step: 1 });
      // @ts-expect-error
      histograms(linear);
      expectTypeOf(histograms(hash)).toEqualTypeOf<[{ pid: number }, Histogram][]>();
      expectTypeOf(histograms(slots)).toEqualTypeOf<[Omit<{ pid: number; slot: number }, "slot">, Histogram][]>();
      expectTypeOf(histograms(linear, { low: 0, step: 1 })).toEqualTypeOf<[number, Histogram][]>();
      expectTypeOf(histograms(hash.drain())).toEqualTypeOf<[{ pid: number }, Histogram][]>();
    };
    expect(types).toBeTypeOf("function");
  });
});

test("sums and differences are of the same slots", () => {
  const before = histogramOf([1, 5]);
  const after = before.plus(histogramOf([5, 100]));
  expect(after).toEqual(histogramOf([1, 5, 5, 100]));
  expect(after.minus(before)).toEqual(histogramOf([5, 100]));
  expect(messageOf(() => before.minus(after))).toContain("the other one counted more");
  const steps = histogramOf([1], { low: 0, high: 62, step: 1 });
  expect(steps.counts.length).toBe(64);
  for (const other of [histogramOf([1], { bits: 2 }), steps, {} as Histogram])
    expect(messageOf(() => before.plus(other))).toBe("histogram.plus: the other is no histogram of the same slots");
  expect(messageOf(() => steps.plus(histogramOf([1], { low: 1, high: 63, step: 1 })))).toContain(
    "no histogram of the same",
  );
  expect(messageOf(() => steps.minus(histogramOf([1], { low: 0, high: 124, step: 2 })))).toContain("no histogram of");
});
