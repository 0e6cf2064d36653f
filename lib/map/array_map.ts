import { errno } from "../kernel/errno.js";
import type { Meanings } from "./bpf_map.js";
import { KeyedMap } from "./keyed_map.js";
import type { CursorKind } from "./walk.js";

/**
 * BPF_MAP_TYPE_ARRAY: keys are 0 to `length` - 1, and every entry is always there (zero at first). Minimum kernel 3.19.
 * An index out of range is undefined to `get`, and an error to `set`.
 *
 * @example
 * ```ts
 * import { ArrayMap, openMap } from "ebpf";
 * using settings = openMap("/sys/fs/bpf/settings", ArrayMap<number>);
 * settings.set(0, 10).set(1, 20);
 * console.log([...settings.values()]);
 * ```
 */
export class ArrayMap<V> extends KeyedMap<number, V> {
  get length(): number {
    return this.maxEntries;
  }

  /** The same as `length`: no entry is ever missing. */
  get size(): number {
    return this.maxEntries;
  }

  /** Sets every entry to one value. */
  fill(value: V): this {
    return this.setMany(Array.from({ length: this.maxEntries }, (_, index): [number, V] => [index, value]));
  }

  /** @internal */
  protected override get cursor(): CursorKind {
    return "index";
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return outOfRange(this.maxEntries);
  }
}

/** BPF_MAP_TYPE_PERCPU_ARRAY: a value is an array with one element per possible CPU. Minimum kernel 4.6. */
export class PerCpuArrayMap<V> extends ArrayMap<V[]> {}

/** What errnos mean for a map whose keys are indexes. */
export function outOfRange(length: number): Meanings {
  const text = `the index is out of range: there are ${length}, from 0 to ${length - 1}`;
  return {
    [errno.E2BIG]: { code: "INVALID_ARGUMENT", text },
    [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "the index is out of range, or this value cannot be there" },
  };
}
