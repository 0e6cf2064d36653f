/** Histograms out of maps, and of what was read from them. */
import { isRecord } from "../codec/values.js";
import { ArrayMap, PerCpuArrayMap } from "../map/array_map.js";
import { sumPerCpu } from "../map/per_cpu_sum.js";
import { invalid, shown } from "../options.js";
import { Histogram } from "./histogram.js";
import { checkScale, type HistogramScale, isLinear, type LinearScale, log2Slots, scaleOf } from "./scale.js";

/** A count in C: a number with `EBPF_NUMBER`, else a bigint. */
export type SlotCount = number | bigint;

/** A value of `EBPF_HIST` or `EBPF_HIST_BITS`, or any struct with slots by powers of two. */
export interface Log2Slots {
  readonly slots: ArrayLike<SlotCount>;
}

/** A value of `EBPF_LHIST`. */
export interface LinearSlots {
  readonly linear_slots: ArrayLike<SlotCount>;
}

/** What one histogram by powers of two is read from: slots, a struct of them, or a map of either. */
export type Log2Source =
  | ArrayLike<SlotCount>
  | Log2Slots
  | ArrayMap<SlotCount>
  | ArrayMap<number>
  | ArrayMap<bigint>
  | PerCpuArrayMap<number>
  | PerCpuArrayMap<bigint>
  | ArrayMap<Log2Slots>
  | PerCpuArrayMap<Log2Slots>;

/** What one linear histogram is read from. */
export type LinearSource = LinearSlots | ArrayMap<LinearSlots> | PerCpuArrayMap<LinearSlots>;

/**
 * The histogram that a program counts in a map: one of `EBPF_HIST`, `EBPF_HIST_BITS` or `EBPF_LHIST` (<ebpf/hist.h>), or an array with an entry for
 * each slot, of all CPUs or per CPU, which is added up. Slots that are there already, as numbers or bigints, do as well.
 *
 * Slots are by powers of two, divided further if there are as many as `EBPF_HIST_BITS` makes, unless there is a scale. A linear histogram needs
 * it: it is the constant that is declared beside the map, `object.rodata.NAME_scale`.
 *
 * The program may count meanwhile; a slot is as it was when it was read.
 *
 * @throws BpfError INVALID_ARGUMENT when what is there is no histogram, or not one of the scale
 * @example
 * ```ts
 * import { BpfObject, histogram, type LinearSlots, type Log2Slots } from "ebpf";
 * using object = await BpfObject.load("latency.bpf.o");
 * const latency = histogram(object.perCpuArray<Log2Slots>("latency"));
 * console.log(latency.percentile(99), latency.text({ unit: "ns" }));
 * const sizes = histogram(object.perCpuArray<LinearSlots>("sizes"), { low: 0, step: 100 });
 * ```
 */
export function histogram(source: Log2Source, scale?: HistogramScale): Histogram;
export function histogram(source: LinearSource, scale: LinearScale): Histogram;
export function histogram(source: unknown, scale?: HistogramScale): Histogram {
  return fromSlots("histogram", source instanceof ArrayMap ? ofMap(source) : source, scale);
}

/** Slots by powers of two, of all CPUs or of each. */
export type Log2Value = Log2Slots | readonly Log2Slots[] | ArrayLike<SlotCount>;

/**
 * A histogram for each key: of a hash that `EBPF_HIST_HASH` or one of its kin declared, or of one's own whose values have `slots`; or, as bcc's
 * `BPF_HISTOGRAM(name, struct key)`, of one whose values are counts and whose keys have a member `slot`: what is left of the key is then
 * what the histogram belongs to. Entries that were read before, for example by `drain()`, do as well as a map.
 *
 * @throws BpfError INVALID_ARGUMENT as {@link histogram}; BUSY as the map's iteration
 * @example
 * ```ts
 * import { BpfObject, histograms, type Log2Slots, PerCpuHashMap } from "ebpf";
 * using object = await BpfObject.load("latency.bpf.o");
 * for (const [pid, latency] of histograms(object.map("by_process", PerCpuHashMap<number, Log2Slots>)))
 *   console.log(`process ${pid}\n${latency.text({ unit: "ns" })}`);
 * ```
 */
export function histograms<K extends { readonly slot: number }>(
  source: Iterable<readonly [K, SlotCount | readonly SlotCount[]]>,
  scale?: HistogramScale,
): [Omit<K, "slot">, Histogram][];
export function histograms<K>(
  source: Iterable<readonly [K, LinearSlots | readonly LinearSlots[]]>,
  scale: LinearScale,
): [K, Histogram][];
export function histograms<K>(source: Iterable<readonly [K, Log2Value]>, scale?: HistogramScale): [K, Histogram][];
export function histograms(
  source: Iterable<readonly [unknown, unknown]>,
  scale?: HistogramScale,
): [unknown, Histogram][] {
  const operation = "histograms";
  const found: [unknown, Histogram][] = [];
  const groups = new Map<string, { readonly key: object; readonly slots: SlotCount[] }>();
  for (const [key, value] of source) {
    if (isRecord(key) && typeof key["slot"] === "number" && isCount(Array.isArray(value) ? value[0] : value)) {
      const { slot, ...rest } = key as Record<string, unknown> & { slot: number };
      // As text: objects that are equal are not the same, and bigints and bytes have no JSON.
      const identity = JSON.stringify(rest, (_, member) =>
        typeof member === "bigint" ? `${member}n` : member instanceof Uint8Array ? [...member] : member,
      );
      const group = groups.get(identity) ?? { key: rest, slots: [] };
      groups.set(identity, group);
      const most = scale === undefined ? log2Slots(0) : slotsOf(operation, scale);
      if (slot >= most) throw invalid(`${operation}: a key has slot ${slot}, where there are ${most}`);
      while (group.slots.length <= slot) group.slots.push(0);
      group.slots[slot] = Array.isArray(value) ? sumPerCpu(value as SlotCount[]) : (value as SlotCount);
    } else {
      found.push([
        key,
        fromSlots(operation, Array.isArray(value) && isRecord(value[0]) ? sumPerCpu(value) : value, scale),
      ]);
    }
  }
  for (const { key, slots } of groups.values()) found.push([key, fromSlots(operation, slots, scale)]);
  return found;
}

/** Slots that a key's member `slot` may name. */
function slotsOf(operation: string, scale: HistogramScale): number {
  checkScale(operation, scale);
  if (isLinear(scale))
    throw invalid(
      `${operation}: keys with a slot of their own do not say how many slots there are, which a linear scale needs`,
    );
  return log2Slots(scale.bits);
}

/** The slots that an array map has: an entry each, or all of them in its one entry. */
function ofMap(map: ArrayMap<unknown>): unknown {
  const values = [...map.values()].map((value) =>
    map instanceof PerCpuArrayMap ? sumPerCpu(value as unknown[]) : value,
  );
  if (values.every(isCount)) return values;
  if (values.length !== 1)
    throw invalid(`histogram: ${map.name} has ${values.length} entries, each a histogram: use histograms()`);
  return values[0];
}

function fromSlots(operation: string, source: unknown, scale: HistogramScale | undefined): Histogram {
  // `in`, as a variable of the object's throws where a member is not there.
  const linear = isRecord(source) && "linear_slots" in source;
  const slots = linear ? source["linear_slots"] : isRecord(source) && "slots" in source ? source["slots"] : source;
  if (!isList(slots)) {
    throw invalid(
      `${operation}: expected slots, a struct with a member \`slots\` (<ebpf/hist.h>) or a map of them, got ${shown(source)}`,
    );
  }
  const counts = Array.from(slots, (count, slot) => countOf(operation, count, slot));
  if (scale !== undefined) checkScale(operation, scale);
  if (linear && (scale === undefined || !isLinear(scale)))
    throw invalid(`${operation}: a linear histogram needs its scale { low, step }, which is NAME_scale in .rodata`);
  const own = scale ?? scaleOf(counts.length);
  if (own === undefined || (!isLinear(own) && counts.length > log2Slots(own.bits))) {
    throw invalid(
      `${operation}: there are ${counts.length} slots, which are not by powers of two${own === undefined ? "" : ` with ${own.bits} bits`}; give their scale`,
    );
  }
  if (isLinear(own)) return new Histogram(counts, { low: own.low, step: own.step });
  // Arrays of one's own may stop where no value is expected.
  while (counts.length < log2Slots(own.bits)) counts.push(0);
  return new Histogram(counts, { bits: own.bits });
}

function isCount(value: unknown): value is SlotCount {
  return typeof value === "number" || typeof value === "bigint";
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function countOf(operation: string, count: unknown, slot: number): number {
  const number = typeof count === "bigint" ? Number(count) : count;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0)
    throw invalid(`${operation}: the count of slot ${slot} is no whole number up to 2^53: ${shown(count)}`);
  return number;
}
