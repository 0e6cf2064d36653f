import { sumPerCpu } from "ebpf";
import { expect, expectTypeOf, test } from "vitest";

test("adds up what CPUs counted: numbers, structs, arrays and what is in them", () => {
  expect(sumPerCpu([1n, 2n, 2n ** 64n - 1n])).toBe(2n ** 64n + 2n);
  expect(sumPerCpu([1, 2, -5])).toBe(-2);
  expect(sumPerCpu([0.5, 0.25])).toBe(0.75);
  expect(sumPerCpu([7])).toBe(7);
  const perCpu = [
    { packets: 1n, sizes: [1, 2], inner: { errors: 3 } },
    { packets: 4n, sizes: [10, 20], inner: { errors: 30 } },
  ];
  const sum = sumPerCpu(perCpu);
  expectTypeOf(sum).toEqualTypeOf<{ packets: bigint; sizes: number[]; inner: { errors: number } }>();
  expect(sum).toEqual({ packets: 5n, sizes: [11, 22], inner: { errors: 33 } });
  expect(perCpu[0]).toEqual({ packets: 1n, sizes: [1, 2], inner: { errors: 3 } });
});

test("what has no sum, or none that a number holds, is named", () => {
  const refusal = (values: readonly unknown[]) => {
    try {
      return sumPerCpu(values);
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(refusal([{ a: { comm: "node" } }, { a: { comm: "sh" } }])).toBe(
    "sumPerCpu: .a.comm is no number, and has no sum",
  );
  expect(refusal([{ seen: [true] }])).toBe("sumPerCpu: .seen[0] is no number, and has no sum");
  expect(refusal([new Uint8Array(4)])).toBe("sumPerCpu: the value is no number, and has no sum");
  expect(refusal([null])).toBe("sumPerCpu: the value is no number, and has no sum");
  expect(refusal([])).toBe("sumPerCpu: there are no values, of no CPU");
  expect(refusal([{ bytes: 2 ** 53 - 1 }, { bytes: 1 }])).toBe(
    "sumPerCpu: the sum of .bytes is past 2^53, which no number holds exactly; leave it a bigint",
  );
});
