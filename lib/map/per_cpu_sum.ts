import { isRecord } from "../codec/values.js";
import { invalid } from "../options.js";

/**
 * The values that the CPUs have of one entry, added up: numbers and bigints as they are, structs and arrays member by member.
 *
 * @throws BpfError INVALID_ARGUMENT where something has no sum (strings, bytes, booleans) or the sum of whole numbers is past 2^53, naming it
 *
 * @example
 * ```ts
 * import { openMap, PerCpuHashMap, sumPerCpu } from "ebpf";
 * interface Traffic { packets: bigint; bytes: bigint }
 * using traffic = openMap("/sys/fs/bpf/traffic", PerCpuHashMap<number, Traffic>);
 * for (const [port, perCpu] of traffic) console.log(port, sumPerCpu(perCpu).bytes);
 * ```
 */
export function sumPerCpu<V>(values: readonly V[]): V {
  if (values.length === 0) throw invalid("sumPerCpu: there are no values, of no CPU");
  return sumAt(values, "") as V;
}

function sumAt(values: readonly unknown[], path: string): unknown {
  const [first] = values;
  const member = (name: string | number, at: string) =>
    sumAt(
      values.map((value) => (value as Members)[name]),
      path + at,
    );
  if (typeof first === "bigint") return (values as readonly bigint[]).reduce((sum, value) => sum + value);
  if (typeof first === "number") return exact(values as readonly number[], path);
  if (Array.isArray(first)) return first.map((_, i) => member(i, `[${i}]`));
  if (isRecord(first)) return Object.fromEntries(Object.keys(first).map((name) => [name, member(name, `.${name}`)]));
  throw invalid(`sumPerCpu: ${where(path)} is no number, and has no sum`);
}

type Members = Readonly<Record<string | number, unknown>>;

function exact(values: readonly number[], path: string): number {
  const sum = values.reduce((total, value) => total + value);
  if (values.every(Number.isInteger) && !Number.isSafeInteger(sum))
    throw invalid(
      `sumPerCpu: the sum of ${where(path)} is past 2^53, which no number holds exactly; leave it a bigint`,
    );
  return sum;
}

function where(path: string): string {
  return path === "" ? "the value" : path;
}
