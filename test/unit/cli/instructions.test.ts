/** What instructions ask of the kernel, of programs as clang makes them. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { instructionKinds } from "../../../lib/cli/instructions.js";
import { instructionRequirements, kernelOf } from "../../../lib/cli/requirements.js";
import { native } from "../../../lib/native.js";
import { Workshop } from "../btf/support/tools.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

/** Kinds of instructions in a function that is given three variables. */
function kinds(body: string, cpu: string): string[] {
  const source = `unsigned counted; long number; short small; __attribute__((section("xdp"))) long f(long *a, int b) { ${body} }`;
  const object = readFileSync(workshop.compileBpf("f", source, `-mcpu=${cpu}`));
  return instructionKinds(native().readSection(object, "xdp") ?? new Uint8Array(0));
}

const ATOMIC = "atomic operations other than additions without a result";

describe("instructions that came later", () => {
  test.each([
    ["v1", "return a[0] > 7 ? number : 0;", []],
    ["v3", "return b > 7 ? number : 0;", ["32-bit comparisons"]],
    ["v3", "__sync_fetch_and_add(&counted, 1); return 0;", []],
    ["v3", "return __sync_fetch_and_add(&counted, 1);", [ATOMIC]],
    ["v3", "__sync_fetch_and_or(&number, 4); return 0;", [ATOMIC]],
    ["v3", "return __sync_val_compare_and_swap(&number, 1, 2);", [ATOMIC]],
    ["v3", "return __sync_lock_test_and_set(&number, 1);", [ATOMIC]],
    ["v3", "return small + (int)a[0];", []],
    ["v3", "return (unsigned long)a[0] / 7u + (unsigned)a[1] % 3u;", []],
    ["v3", "return __builtin_bswap32(a[0]);", []],
    ["v4", "return small;", ["sign-extending loads"]],
    ["v4", "return (signed char)b;", ["sign-extending moves"]],
    ["v4", "return a[0] / a[1];", ["signed divisions"]],
    ["v4", "return a[0] % 5;", ["signed divisions"]],
    ["v4", "return __builtin_bswap64(a[0]);", ["unconditional byte swaps"]],
  ])("-mcpu=%s: %s", (cpu, body, expected) => {
    expect(kinds(body, cpu)).toEqual(expected);
  });

  /** What clang has no C for, or not every clang: by the instruction set's document. */
  test.each([
    ["long jumps", [0x06, 0, 0, 0, 1, 0, 0, 0]],
    ["may_goto", [0xe5, 0, 1, 0, 0, 0, 0, 0]],
    ["casts of arena pointers", [0xbf, 0x11, 1, 0, 1, 0, 0, 0]],
    ["load-acquire and store-release", [0xdb, 0x21, 0, 0, 0, 1, 0, 0]],
    ["load-acquire and store-release", [0xc3, 0x21, 0, 0, 0x10, 1, 0, 0]],
  ])("%s", (expected, bytes) => {
    expect(instructionKinds(Uint8Array.from(bytes))).toEqual([expected]);
  });

  test("each is named once, with its kernel; the newest is the object's", () => {
    const both = kinds("return small + __sync_fetch_and_add(&counted, 1) + __sync_fetch_and_add(&counted, 2);", "v4");
    expect(both.toSorted()).toEqual([ATOMIC, "sign-extending loads"]);
    const requirements = instructionRequirements("program f", both as Parameters<typeof instructionRequirements>[1]);
    expect(requirements).toContainEqual({ feature: ATOMIC, since: "5.12", because: "program f" });
    expect(kernelOf(requirements)).toBe("6.6");
  });

  test("half an instruction is none", () => {
    expect(instructionKinds(Uint8Array.of(0x06, 0, 0))).toEqual([]);
  });
});
