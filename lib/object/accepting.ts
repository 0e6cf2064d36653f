/** Keys and values that contain unions: all members are read, one is enough to write. */
import type { GetOptions, SetOptions } from "../map/keyed_map.js";

type Read<M> = M extends { get(key: never): infer Value } ? Value : never;

interface Writing<M, K, V> {
  get(key: K, options?: GetOptions): Read<M>;
  has(key: K): boolean;
  set(key: K, value: V, options?: SetOptions): this;
  getMany(keys: Iterable<K>): Read<M>[];
  setMany(entries: Iterable<readonly [K, V]>, options?: SetOptions): this;
  delete(key: K): boolean;
  deleteMany(keys: Iterable<K>): number;
}

/**
 * A map whose methods also take `K` and `V`, in which unions need not have all their members. What is read has them all.
 *
 * @example
 * ```ts
 * import type { HashMap } from "ebpf";
 * import type { Accepting } from "ebpf/skeleton";
 * interface address { v4: number; v6: Uint8Array }
 * interface address_input { v4?: number; v6?: Uint8Array }
 * declare const seen: Accepting<HashMap<address, bigint>, address_input, bigint>;
 * seen.set({ v4: 0x7f000001 }, 1n);
 * ```
 */
export type Accepting<M, K, V> = M & Pick<Writing<M, K, V>, keyof M & keyof Writing<M, K, V>>;
