/** Which values a slot of a histogram stands for: the arithmetic of <ebpf/hist.h>. */
import { invalid, shown } from "../options.js";

/**
 * Slots by powers of two. With `bits` 0 slot n has [2^n, 2^(n+1)), and slot 0 also the 0: `EBPF_HIST`, bcc's `bpf_log2l()`. From 1 to 5 each
 * power of two has 2^bits slots: `EBPF_HIST_BITS`, bpftrace's `hist(value, bits)`.
 */
export interface Log2Scale {
  readonly bits: number;
}

/** Slots of `step` from `low` on, the first for what is below and the last for what is above: `EBPF_LHIST`, bpftrace's `lhist()`. */
export interface LinearScale {
  readonly low: number;
  readonly step: number;
}

export type HistogramScale = Log2Scale | LinearScale;

export const LOG2: Log2Scale = { bits: 0 };
const MOST_BITS = 5;
const VALUE_BITS = 64;

export function isLinear(scale: HistogramScale): scale is LinearScale {
  return "step" in scale;
}

export function isSameScale(a: HistogramScale, b: HistogramScale): boolean {
  if (isLinear(a)) return isLinear(b) && a.low === b.low && a.step === b.step;
  return !isLinear(b) && a.bits === b.bits;
}

/** The slots that there are by powers of two. */
export function log2Slots(bits: number): number {
  return bits === 0 ? VALUE_BITS : (VALUE_BITS + 1 - bits) << bits;
}

/** The scale of so many slots, where they say it: 64 or fewer are by powers of two, as <ebpf/hist.h> makes no fewer of others. */
export function scaleOf(slots: number): Log2Scale | undefined {
  if (slots <= VALUE_BITS) return LOG2;
  for (let bits = 1; bits <= MOST_BITS; bits++) if (log2Slots(bits) === slots) return { bits };
  return undefined;
}

/** @throws BpfError INVALID_ARGUMENT */
export function checkScale(operation: string, scale: unknown): asserts scale is HistogramScale {
  // `in`, as a variable of the object's throws where a member is not there.
  const given = (name: string): unknown =>
    typeof scale === "object" && scale !== null && name in scale ? (scale as Record<string, unknown>)[name] : undefined;
  const [bits, low, step] = [given("bits"), given("low"), given("step")];
  if (step === undefined && low === undefined && bits !== undefined) {
    if (!Number.isInteger(bits) || (bits as number) < 0 || (bits as number) > MOST_BITS)
      throw invalid(`${operation}: scale.bits must be a whole number from 0 to ${MOST_BITS}, got ${shown(bits)}`);
    return;
  }
  if (low === undefined || step === undefined || bits !== undefined)
    throw invalid(`${operation}: scale must be { bits } or { low, step }, got ${shown(scale)}`);
  if (!Number.isSafeInteger(low)) throw invalid(`${operation}: scale.low must be a whole number, got ${shown(low)}`);
  if (!Number.isSafeInteger(step) || (step as number) < 1)
    throw invalid(`${operation}: scale.step must be a whole number from 1 on, got ${shown(step)}`);
}

/** The values of a slot are those from `low` up to, and without, `high`. Both are exact, also past 2^53: they have few digits in binary. */
export function slotRange(scale: HistogramScale, slot: number, slots: number): { low: number; high: number } {
  if (isLinear(scale)) {
    const start = (n: number) => scale.low + (n - 1) * scale.step;
    return {
      low: slot === 0 ? Number.NEGATIVE_INFINITY : start(slot),
      high: slot === slots - 1 ? Number.POSITIVE_INFINITY : start(slot + 1),
    };
  }
  const { bits } = scale;
  if (bits === 0) return { low: slot === 0 ? 0 : 2 ** slot, high: 2 ** (slot + 1) };
  const shift = Math.max(0, Math.floor(slot / 2 ** bits) - 1);
  const low = (slot - shift * 2 ** bits) * 2 ** shift;
  return { low, high: low + 2 ** shift };
}

/**
 * The slot that a program counts a whole number in.
 * @throws BpfError INVALID_ARGUMENT
 */
export function slotOf(operation: string, scale: HistogramScale, value: number | bigint, slots: number): number {
  const whole = typeof value === "bigint" || Number.isSafeInteger(value);
  if (isLinear(scale)) {
    if (!whole || BigInt.asIntN(64, BigInt(value)) !== BigInt(value))
      throw invalid(`${operation}: a value must be a whole number of 64 bits, got ${shown(value)}`);
    const above = BigInt(value) - BigInt(scale.low);
    if (above < 0n) return 0;
    return Math.min(Number(above / BigInt(scale.step)) + 1, slots - 1);
  }
  if (!whole || value < 0 || BigInt.asUintN(64, BigInt(value)) !== BigInt(value))
    throw invalid(`${operation}: a value must be a whole number from 0 to 2^64-1, got ${shown(value)}`);
  const { bits } = scale;
  const log2 = highestBit(value);
  if (bits === 0) return log2;
  const shift = Math.max(log2, bits) - bits;
  const digits = typeof value === "bigint" ? Number(value >> BigInt(shift)) : Math.floor(value / 2 ** shift);
  return shift * 2 ** bits + digits;
}

/** Where the highest bit is; 0 of 0. */
function highestBit(value: number | bigint): number {
  const upper = typeof value === "bigint" ? Number(value >> 32n) : Math.floor(value / 2 ** 32);
  if (upper > 0) return 63 - Math.clz32(upper);
  return Math.max(0, 31 - Math.clz32(Number(value)));
}
