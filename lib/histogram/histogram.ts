import { invalid, shown } from "../options.js";
import { checkScale, type HistogramScale, isSameScale, LOG2, log2Slots, slotOf, slotRange } from "./scale.js";
import { type HistogramRow, type HistogramTextOptions, histogramText } from "./text.js";

/**
 * Counts of values by their size. It does not change: `histogram()` and `histograms()` read one from a map, `histogramOf()` counts values.
 *
 * @example
 * ```ts
 * import { histogramOf } from "ebpf";
 * const sizes = histogramOf([64, 1500, 1500, 60], { low: 0, high: 1600, step: 100 });
 * for (const { low, high, count } of sizes.rows) console.log(low, high, count);
 * console.log(sizes.percentile(99), sizes.text({ unit: "bytes", width: 20 }));
 * ```
 */
export class Histogram {
  /** How many values were counted. */
  readonly total: number;
  readonly scale: HistogramScale;
  /** The count of each slot. */
  readonly counts: readonly number[];

  /** @internal */
  constructor(counts: readonly number[], scale: HistogramScale) {
    this.counts = counts;
    this.scale = scale;
    this.total = counts.reduce((sum, count) => sum + count, 0);
  }

  /** The slots from the first with a count to the last, those between without any included. */
  get rows(): HistogramRow[] {
    const { counts, scale } = this;
    const first = counts.findIndex((count) => count > 0);
    if (first === -1) return [];
    const last = counts.findLastIndex((count) => count > 0);
    return counts.slice(first, last + 1).map((count, i) => {
      const { low, high } = slotRange(scale, first + i, counts.length);
      return { low, high, count };
    });
  }

  /**
   * The value that `percent` of the values are not above, estimated: the right one is in the same row, and within it values are taken to be
   * spread evenly. It is a whole number, as the values are; of a row without end it is the end that there is. Powers of two may be a factor of
   * two off, `EBPF_HIST_BITS` with 3 bits an eighth. Undefined where nothing was counted.
   * @throws BpfError INVALID_ARGUMENT unless `percent` is from 0 to 100
   */
  percentile(percent: number): number | undefined {
    if (!(percent >= 0 && percent <= 100))
      throw invalid(`histogram.percentile: must be a number from 0 to 100, got ${shown(percent)}`);
    const rank = (percent * this.total) / 100;
    let before = 0;
    for (const { low, high, count } of this.rows) {
      if (count > 0 && before + count >= rank) {
        if (low === Number.NEGATIVE_INFINITY) return high;
        if (high === Number.POSITIVE_INFINITY) return low;
        // Values are whole numbers: a row of one value has that one.
        return Math.round(low + ((high - 1 - low) * (rank - before)) / count);
      }
      before += count;
    }
    return undefined;
  }

  /**
   * Both together, for example those of several keys.
   * @throws BpfError INVALID_ARGUMENT when the slots are not the same
   */
  plus(other: Histogram): Histogram {
    return this.#with("plus", other, (own, others) => own + others);
  }

  /**
   * What was counted since `earlier`, which was read from the same map.
   * @throws BpfError INVALID_ARGUMENT when the slots are not the same, or `earlier` counted more
   */
  minus(earlier: Histogram): Histogram {
    return this.#with("minus", earlier, (own, others) => {
      if (others > own) throw invalid("histogram.minus: the other one counted more: it is no earlier one of the same");
      return own - others;
    });
  }

  /**
   * A line for each row: `[4, 8)  12 |@@@@@@    |`. The empty string where nothing was counted.
   * @throws BpfError INVALID_ARGUMENT
   */
  text(options?: HistogramTextOptions): string {
    return histogramText(this.rows, options);
  }

  toString(): string {
    return this.text();
  }

  #with(operation: string, other: Histogram, count: (own: number, other: number) => number): Histogram {
    const same = other instanceof Histogram && other.counts.length === this.counts.length;
    if (!same || !isSameScale(other.scale, this.scale))
      throw invalid(`histogram.${operation}: the other is no histogram of the same slots`);
    return new Histogram(
      this.counts.map((own, i) => count(own, other.counts[i] as number)),
      this.scale,
    );
  }
}

/**
 * Counts values that the tool has itself, as <ebpf/hist.h> does in the kernel. By powers of two unless there is a scale; a linear one has slots
 * from `low` on until `high` is reached.
 * @throws BpfError INVALID_ARGUMENT for a value that is no whole number of 64 bits, unsigned by powers of two and signed if linear
 */
export function histogramOf(
  values: Iterable<number | bigint>,
  scale: { readonly bits: number } | { readonly low: number; readonly high: number; readonly step: number } = LOG2,
): Histogram {
  const operation = "histogramOf";
  checkScale(operation, scale);
  const slots = "high" in scale ? linearSlots(operation, scale) : "bits" in scale ? log2Slots(scale.bits) : 0;
  if (slots === 0) throw invalid(`${operation}: a linear scale needs its end: { low, high, step }`);
  const counts = Array<number>(slots).fill(0);
  const own: HistogramScale = "bits" in scale ? { bits: scale.bits } : { low: scale.low, step: scale.step };
  for (const value of values) (counts[slotOf(operation, own, value, slots)] as number)++;
  return new Histogram(counts, own);
}

/** More than any kernel's would be a slip of the pen. */
const MOST_SLOTS = 1 << 20;

function linearSlots(operation: string, scale: { low: number; high: number; step: number }): number {
  const { low, high, step } = scale;
  if (!Number.isSafeInteger(high) || high <= low)
    throw invalid(`${operation}: scale.high must be a whole number above ${low}, got ${shown(high)}`);
  const steps = Math.ceil((high - low) / step);
  if (steps > MOST_SLOTS) throw invalid(`${operation}: scale has ${steps} steps, which are more than ${MOST_SLOTS}`);
  return steps + 2;
}
