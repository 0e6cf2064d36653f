/** A histogram as text. */
import { checkOptions, integer, oneOf } from "../options.js";

/** Values from `low` up to, and without, `high`, and how many of them there were. The outermost of a linear histogram may have no end. */
export interface HistogramRow {
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** What the values of a histogram are, to show them: bytes, or times that were counted in this unit. */
export type HistogramUnit = "bytes" | "ns" | "us" | "ms" | "s";

export interface HistogramTextOptions {
  /** `"bytes"` are shown as `4 KiB`, times in the unit that suits them, as `16.8 ms`, to three digits. By default values are plain numbers. */
  readonly unit?: HistogramUnit | undefined;
  /** Characters of the longest bar, 40 by default; with 0 there are no bars. */
  readonly width?: number | undefined;
}

const CHECKS = { unit: oneOf("bytes", "ns", "us", "ms", "s"), width: integer(0, 1000) };
const DEFAULT_WIDTH = 40;

/** One line for each row, each as `[low, high)`, its count and its bar; what has anything in it has a bar. */
export function histogramText(rows: readonly HistogramRow[], options: HistogramTextOptions = {}): string {
  checkOptions("histogram.text", options, CHECKS);
  const { unit, width = DEFAULT_WIDTH } = options;
  const most = rows.reduce((most, { count }) => Math.max(most, count), 1);
  const lines = rows.map(({ low, high, count }) => ({
    range: `${low === Number.NEGATIVE_INFINITY ? "(..." : `[${valueText(low, unit)}`}, ${
      high === Number.POSITIVE_INFINITY ? "..." : valueText(high, unit)
    })`,
    count: String(count),
    bar: "@".repeat(Math.ceil((width * count) / most)),
  }));
  const [ranges, counts] = (["range", "count"] as const).map((name) =>
    lines.reduce((longest, line) => Math.max(longest, line[name].length), 0),
  ) as [number, number];
  return lines
    .map(({ range, count, bar }) => {
      const text = `${range.padStart(ranges)}  ${count.padStart(counts)}`;
      return width === 0 ? text : `${text} |${bar.padEnd(width)}|`;
    })
    .join("\n");
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const TIMES = ["ns", "us", "ms", "s"];

function valueText(value: number, unit: HistogramUnit | undefined): string {
  // A BigInt has all digits; a number past 2^53 would be rounded to fewer.
  if (unit === undefined) return String(BigInt(value));
  const [units, factor, first] = unit === "bytes" ? [BYTES, 1024, 0] : [TIMES, 1000, TIMES.indexOf(unit)];
  let size = Math.abs(value);
  let at = first;
  // 1400 B is not 1.37 KiB: whole ones are, and where three digits are enough.
  while (at < units.length - 1 && (size >= 10 * factor || (size >= factor && size % factor === 0))) {
    size /= factor;
    at++;
  }
  const digits =
    Number.isInteger(size) || size >= 1000
      ? BigInt(Math.round(size)).toString()
      : Number(size.toPrecision(3)).toString();
  return `${value < 0 ? "-" : ""}${digits} ${units[at]}`;
}
