/** Keys and values that contain unions: all members are read, one is enough to write. */
import type { GetOptions, SetOptions } from "../map/keyed_map.js";
import type { PushOptions } from "../map/queue_map.js";

type Read<M> = M extends { get(key: never): infer Value } ? Value : never;
type Target<M> = M extends { getInto(key: never, target: infer Into): boolean } ? Into : never;
type KeyOf<M> = M extends { get(key: infer Key): unknown } ? Key : never;

interface Writing<M, K, V> {
  get(key: K, options?: GetOptions): Read<M>;
  getInto(key: K, target: Target<M>): boolean;
  getAndDelete(key: K): Read<M>;
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

interface WritingValue<M, V> {
  push(value: V, options?: PushOptions): this;
  add(value: V): this;
  mightContain(value: V): boolean;
  set(owner: KeyOf<M>, value: V, options?: SetOptions): this;
}

/** {@link Accepting} for maps whose C type has no key: queues, stacks, bloom filters, and storage by its owner. */
export type AcceptingValue<M, V> = M & Pick<WritingValue<M, V>, keyof M & keyof WritingValue<M, V>>;

/** {@link Accepting} for maps whose values are no data: of sockets, and of maps. */
export type AcceptingKey<M, K> = M & {
  [Name in keyof M & ("get" | "getCookie" | "getId" | "has" | "set" | "delete")]: M[Name] extends (
    key: never,
    ...rest: infer Rest
  ) => infer Result
    ? (key: K, ...rest: Rest) => Result
    : never;
};
