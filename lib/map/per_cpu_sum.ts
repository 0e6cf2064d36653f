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
  switch (typeof first) {
    case "bigint":
      return (values as readonly bigint[]).reduce((sum, value) => sum + value);
    case "number":
      return exact(values as readonly number[], path);
    case "object":
      if (Array.isArray(first))
        return first.map((_, i) =>
          sumAt(
            values.map((value) => at(value, i)),
            `${path}[${i}]`,
          ),
        );
      if (first !== null && !ArrayBuffer.isView(first))
        return Object.fromEntries(
          Object.keys(first).map((name) => [
            name,
            sumAt(
              values.map((value) => at(value, name)),
              `${path}.${name}`,
            ),
          ]),
        );
  }
  throw invalid(`sumPerCpu: ${where(path)} is no number, and has no sum`);
}

function exact(values: readonly number[], path: string): number {
  const sum = values.reduce((total, value) => total + value);
  if (values.every(Number.isInteger) && !Number.isSafeInteger(sum))
    throw invalid(
      `sumPerCpu: the sum of ${where(path)} is past 2^53, which no number holds exactly; leave it a bigint`,
    );
  return sum;
}

function at(value: unknown, name: string | number): unknown {
  return (value as Readonly<Record<string | number, unknown>>)[name];
}

function where(path: string): string {
  return path === "" ? "the value" : path;
}
