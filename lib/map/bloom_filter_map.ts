import type { Codec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { BpfMap, type MapShape } from "./bpf_map.js";

/**
 * BPF_MAP_TYPE_BLOOM_FILTER: a set that forgets nothing and says "maybe" or "no". `maxEntries` is how many values it was sized for, its
 * `info().extra` the number of hash functions (0: 5). Minimum kernel 5.16.
 *
 * @example
 * ```ts
 * import { BloomFilterMap, openMap } from "ebpf";
 * using seen = openMap("/sys/fs/bpf/seen", BloomFilterMap<number>);
 * seen.add(4711);
 * console.log(seen.mightContain(4711)); // true
 * ```
 */
export class BloomFilterMap<V> extends BpfMap {
  readonly #value: Memory;
  readonly #values: Codec<V>;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, values: Codec<V>) {
    super(native, shape);
    this.#values = values;
    this.#value = Memory.allocate(Math.max(shape.valueSize, 1));
    native.bind(new ArrayBuffer(8), new ArrayBuffer(8), this.#value.buffer);
  }

  /** @throws BpfError VALUE_INVALID, CLOSED */
  add(value: V): this {
    const { native } = this;
    this.#values.encode(this.#value, 0, value);
    const result = native.update(0);
    if (result !== 0) throw this.failure("add", result);
    return this;
  }

  /** False: it was certainly never added. True: it was, or others that look the same. */
  mightContain(value: V): boolean {
    const { native } = this;
    this.#values.encode(this.#value, 0, value);
    const result = native.lookup(0);
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("lookup", result);
  }
}
