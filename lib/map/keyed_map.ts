import type { Codec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { BpfError } from "../errors.js";
import { MapFlag } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { checkOptions, oneOf } from "../options.js";
import { BpfMap, type MapShape, type ValueLayout } from "./bpf_map.js";

/** Options of {@link KeyedMap.set}. */
export interface SetOptions {
  /** `"create"` fails with EXISTS when the key is there (BPF_NOEXIST); `"replace"` with NOT_FOUND when it is not (BPF_EXIST). */
  readonly only?: "create" | "replace" | undefined;
}

const SET_FLAGS: Readonly<Record<string, number>> = { create: MapFlag.noExist, replace: MapFlag.exist };

/**
 * A map from keys to values, with the habits of a JavaScript `Map`. Keys and values are of the types its BTF declares;
 * without BTF they are bytes.
 */
export abstract class KeyedMap<K, V> extends BpfMap implements Iterable<[K, V]> {
  readonly #key: Memory;
  readonly #nextKey: Memory;
  readonly #value: Memory;
  readonly #keys: Codec<K>;
  readonly #values: ValueLayout<V>;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<K>, values: ValueLayout<V>) {
    super(native, shape);
    this.#keys = keys;
    this.#values = values;
    this.#key = new Memory(new ArrayBuffer(Math.max(keys.size, 1)));
    this.#nextKey = new Memory(new ArrayBuffer(Math.max(keys.size, 1)));
    this.#value = new Memory(new ArrayBuffer(Math.max(values.bytes, 1)));
    native.bind(this.#key.buffer, this.#nextKey.buffer, this.#value.buffer);
  }

  /**
   * The value of a key, or undefined.
   * @throws BpfError VALUE_INVALID when the key is not of the key's type, CLOSED
   */
  get(key: K): V | undefined {
    const { native } = this;
    this.#keys.encode(this.#key, 0, key);
    const result = native.lookup(MapFlag.any);
    if (result === 0) return this.#values.decode(this.#value, 0);
    if (result === -errno.ENOENT) return undefined;
    throw this.failure("lookup", result);
  }

  has(key: K): boolean {
    const { native } = this;
    this.#keys.encode(this.#key, 0, key);
    const result = native.lookup(MapFlag.any);
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("lookup", result);
  }

  /**
   * Sets the value of a key, making the entry or replacing it.
   * @throws BpfError VALUE_INVALID, FULL, EXISTS, NOT_FOUND, CLOSED
   */
  set(key: K, value: V, options?: SetOptions): this {
    const { native } = this;
    let flags: number = MapFlag.any;
    if (options !== undefined) {
      checkOptions(`${this.name}.set`, options, { only: oneOf("create", "replace") });
      if (options.only !== undefined) flags = SET_FLAGS[options.only] as number;
    }
    this.#keys.encode(this.#key, 0, key);
    this.#values.encode(this.#value, 0, value);
    const result = native.update(flags);
    if (result !== 0) throw this.failure("update", result);
    return this;
  }

  /** Every entry. See {@link KeyedMap.keys} for what iteration promises while the map changes. */
  *entries(): IterableIterator<[K, V]> {
    for (const key of this.#walk()) {
      const value = this.get(key);
      // Deleted between the two calls: it is no longer an entry.
      if (value !== undefined) yield [key, value];
    }
  }

  /**
   * Every key. An entry that stays put while we iterate is visited once; one that comes or goes meanwhile may be or not.
   * When a key vanishes under the cursor the kernel starts over: entries seen before are skipped, and after as many
   * steps as the map could hold twice over the iteration ends with an error rather than never.
   */
  *keys(): IterableIterator<K> {
    yield* this.#walk();
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: K, map: this) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this);
  }

  /** Deletes a key; `delete()` of the maps that can. @internal */
  protected deleteKey(key: K): boolean {
    const { native } = this;
    this.#keys.encode(this.#key, 0, key);
    const result = native.delete();
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("delete", result);
  }

  *#walk(): IterableIterator<K> {
    const size = this.#keys.size;
    const cursor = new Uint8Array(size);
    const seen = new Set<string>();
    const limit = this.maxEntries * 2 + 16;
    let first = true;
    for (let steps = 0; ; steps++) {
      const { native } = this;
      // The bound buffers are shared with get() and set(), which the loop's body may call: the cursor is our own.
      if (!first) this.#key.bytes.set(cursor);
      const result = native.nextKey(first);
      if (result === -errno.ENOENT) return;
      if (result !== 0) throw this.failure("get next key", result);
      if (steps > limit) {
        throw new BpfError({ code: "BUSY", message: `map ${this.name} changed faster than it could be iterated; entries before this were delivered` });
      }
      first = false;
      cursor.set(this.#nextKey.bytes);
      const identity = Buffer.from(cursor.buffer).toString("latin1");
      if (seen.has(identity)) continue;
      seen.add(identity);
      yield this.#keys.decode(this.#nextKey, 0, size);
    }
  }
}
