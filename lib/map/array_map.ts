import { KeyedMap } from "./keyed_map.js";

/**
 * BPF_MAP_TYPE_ARRAY: keys are 0 to `length` - 1, and every entry is always there (zero at first). Minimum kernel 3.19.
 * An index out of range is undefined to `get`, and an error to `set`.
 */
export class ArrayMap<V> extends KeyedMap<number, V> {
  get length(): number {
    return this.maxEntries;
  }
}

/** BPF_MAP_TYPE_PERCPU_ARRAY: a value is an array with one element per possible CPU. Minimum kernel 4.6. */
export class PerCpuArrayMap<V> extends ArrayMap<V[]> {}
