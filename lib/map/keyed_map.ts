import { type Codec, Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { ENOTSUPP, MapFlag } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { checkOptions, invalid, oneOf, shown } from "../options.js";
import type { MapShape } from "./bpf_map.js";
import { EntryIterator } from "./entry_iterator.js";
import { KeyMap } from "./key_map.js";
import type { ValueLayout } from "./value_layout.js";

/** Options of {@link KeyedMap.get}. */
export interface GetOptions {
  /** Takes the value's `struct bpf_spin_lock` while it is copied (BPF_F_LOCK). Minimum kernel 5.1. */
  readonly lock?: boolean | undefined;
}

/** Options of {@link KeyedMap.set}. */
export interface SetOptions extends GetOptions {
  /** `"create"` fails with EXISTS when the key is there (BPF_NOEXIST); `"replace"` with NOT_FOUND when it is not (BPF_EXIST). */
  readonly only?: "create" | "replace" | undefined;
}

const SET_FLAGS: Readonly<Record<string, number>> = { create: MapFlag.noExist, replace: MapFlag.exist };
/** Bytes of keys and values that getMany, setMany and deleteMany hand to the kernel at once. */
const MANY_BYTES = 256 * 1024;

/**
 * A map from keys to values, with the habits of a JavaScript `Map`. Keys and values are of the types its BTF declares;
 * without BTF they are bytes. A value that does not fit is an error that names its path, before anything is done.
 */
export abstract class KeyedMap<K, V> extends KeyMap<K> implements Iterable<[K, V]> {
  readonly #values: ValueLayout<V>;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<K>, values: ValueLayout<V>) {
    super(native, shape, keys, values.bytes);
    this.#values = values;
  }

  /**
   * The value of a key, or undefined.
   * @throws BpfError VALUE_INVALID when the key is not of the key's type, CLOSED
   */
  get(key: K, options?: GetOptions): V | undefined {
    return this.lookupKey(key, options === undefined ? 0 : this.#getFlags("get", options))
      ? this.#values.decode(this.value, 0)
      : undefined;
  }

  has(key: K): boolean {
    return this.lookupKey(key);
  }

  /**
   * Stores the value of a key in `target`, which is there already: a Uint8Array of the value's size gets its bytes, an object its
   * fields (an array of a per-CPU map each CPU's). For loops that must not feed the garbage collector: nothing is made but what the
   * fields are made of, bigints, strings and arrays.
   * @returns false when there is no such key; `target` is as it was
   * @throws BpfError INVALID_ARGUMENT when the value has no fields
   * @example
   * ```ts
   * import { openMap, HashMap } from "ebpf";
   * using flows = openMap("/sys/fs/bpf/flows", HashMap<number, { packets: number; bytes: number }>);
   * const counters = { packets: 0, bytes: 0 };
   * if (flows.getInto(443, counters)) console.log(counters.bytes);
   * ```
   */
  getInto(key: K, target: Uint8Array | (V & object)): boolean {
    if (typeof target !== "object" || target === null)
      throw invalid(`${this.name}.getInto: target must be an object or a Uint8Array, got ${shown(target)}`);
    const { bytes } = this.#values;
    if (target instanceof Uint8Array && target.byteLength < bytes) {
      throw invalid(`${this.name}.getInto: target must have room for ${bytes} bytes, has ${target.byteLength}`);
    }
    if (!this.lookupKey(key)) return false;
    if (target instanceof Uint8Array)
      target.set(target.byteLength === this.value.byteLength ? this.value.bytes : this.value.bytes.subarray(0, bytes));
    else this.#values.assign(this.value, target);
    return true;
  }

  /**
   * Sets the value of a key, making the entry or replacing it.
   * @throws BpfError VALUE_INVALID, FULL, EXISTS, NOT_FOUND, PERMISSION_DENIED (frozen), CLOSED
   */
  set(key: K, value: V, options?: SetOptions): this {
    const flags = options === undefined ? 0 : this.#setFlags("set", options);
    this.#values.encode(this.value, 0, value);
    this.updateKey(key, flags);
    return this;
  }

  /** The values of several keys in their order, undefined where there is none. One call into the addon for many keys. */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    const { keySize, keyCodec } = this;
    const { bytes } = this.#values;
    const list = [...keys];
    const room = this.#manyRoom(list.length);
    const keyMemory = Memory.allocate(room * keySize);
    const valueMemory = Memory.allocate(room * bytes);
    const results = new Int32Array(room);
    const found: (V | undefined)[] = [];
    for (let start = 0; start < list.length; start += room) {
      const count = Math.min(room, list.length - start);
      for (let i = 0; i < count; i++) keyCodec.encode(keyMemory, i * keySize, list[start + i] as K, keySize);
      this.native.lookupMany(
        keyMemory.bytes,
        valueMemory.bytes,
        count === room ? results : results.subarray(0, count),
        0,
      );
      for (let i = 0; i < count; i++) {
        const result = results[i] as number;
        if (result !== 0 && result !== -errno.ENOENT) throw this.failure("lookup", result);
        found.push(result === 0 ? this.#values.decode(valueMemory, i * bytes) : undefined);
      }
    }
    return found;
  }

  /**
   * Sets several entries, many by one system call (5.6; one by one with `only`, and on a kernel or map type without). Not all or nothing: entries
   * before one that fails are set.
   * @throws BpfError as {@link KeyedMap.set}; the message says how many were set
   */
  setMany(entries: Iterable<readonly [K, V]>, options?: SetOptions): this {
    const { keySize, keyCodec } = this;
    const { bytes } = this.#values;
    const flags = options === undefined ? 0 : this.#setFlags("setMany", options);
    const list = Array.isArray(entries) ? (entries as readonly (readonly [K, V])[]) : [...entries];
    // The kernel's batches know no BPF_NOEXIST and no BPF_EXIST.
    if (options?.only !== undefined) return this.#setOneByOne(list, 0, options);
    const room = this.#manyRoom(list.length);
    const keyMemory = Memory.allocate(room * keySize);
    const valueMemory = Memory.allocate(room * bytes);
    for (let start = 0; start < list.length; start += room) {
      const count = Math.min(room, list.length - start);
      for (let i = 0; i < count; i++) {
        const [key, value] = list[start + i] as readonly [K, V];
        keyCodec.encode(keyMemory, i * keySize, key, keySize);
        this.#values.encode(valueMemory, i * bytes, value);
      }
      const { errno: result, count: written } = this.native.updateBatch(
        keyMemory.bytes,
        valueMemory.bytes,
        count,
        flags,
      );
      if (result === 0) continue;
      // A batch refused as a whole leaves the count as it was; one that stopped midway has counted what it did.
      if (written === count && hasNoBatch(result)) return this.#setOneByOne(list, start, options);
      throw this.failure(
        `update batch (${start + (written === count ? 0 : written)} of ${list.length} were set)`,
        result,
      );
    }
    return this;
  }

  /**
   * Every entry, in no order, read a batch at a time (5.6; on a kernel or map type without, one by one).
   *
   * While the map changes: an entry that stays put is visited exactly once; one that comes or goes may be visited or not. A value is
   * as it was when its batch was read, up to some thousand entries ahead of the loop. Where the kernel finds the next entry by the
   * last one (tries, and all maps on kernels without batches) and that one vanishes, it starts over: entries seen before are skipped,
   * and when the map changes faster than it can be read the iteration ends with an error, rather than never.
   * @throws BpfError BUSY
   */
  entries(): IterableIterator<[K, V]> {
    const { keySize, keyCodec } = this;
    const values = this.#values;
    const { bytes } = values;
    return new EntryIterator<[K, V]>(
      () => this.walk(),
      (walk, i) => [keyCodec.decode(walk.keys, i * keySize, keySize), values.decode(walk.values, i * bytes)],
    );
  }

  /** Every key; see {@link KeyedMap.entries} for what iteration promises. */
  keys(): IterableIterator<K> {
    const { keySize, keyCodec } = this;
    return new EntryIterator(
      () => this.walk(),
      (walk, i) => keyCodec.decode(walk.keys, i * keySize, keySize),
    );
  }

  /** Every value; see {@link KeyedMap.entries} for what iteration promises. */
  values(): IterableIterator<V> {
    const values = this.#values;
    const { bytes } = values;
    return new EntryIterator(
      () => this.walk(),
      (walk, i) => values.decode(walk.values, i * bytes),
    );
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** Calls `visit` for each entry: the quickest way through a large map. */
  forEach(visit: (value: V, key: K, map: this) => void): void {
    const { keySize, keyCodec } = this;
    const values = this.#values;
    const { bytes } = values;
    const walk = this.walk();
    while (walk.next()) {
      for (let i = 0; i < walk.count; i++) {
        visit(values.decode(walk.values, i * bytes), keyCodec.decode(walk.keys, i * keySize, keySize), this);
      }
    }
  }

  /** Deletes those of the keys that are there, and says how many. @internal */
  protected deleteKeys(keys: Iterable<K>): number {
    const { keySize, keyCodec } = this;
    const list = [...keys];
    const room = this.#manyRoom(list.length);
    const memory = Memory.allocate(room * keySize);
    let deleted = 0;
    for (let start = 0; start < list.length; start += room) {
      const count = Math.min(room, list.length - start);
      for (let i = 0; i < count; i++) keyCodec.encode(memory, i * keySize, list[start + i] as K, keySize);
      // The kernel stops at a key that is not there; we go on behind it.
      for (let done = 0; done < count; ) {
        const { errno: result, count: counted } = this.native.deleteBatch(
          memory.bytes.subarray(done * keySize),
          count - done,
          0,
        );
        const refused = result !== 0 && counted === count - done;
        if (refused && hasNoBatch(result)) {
          for (const key of list.slice(start + done)) if (this.deleteKey(key)) deleted++;
          return deleted;
        }
        const gone = refused ? 0 : counted;
        if (result !== 0 && result !== -errno.ENOENT)
          throw this.failure(`delete batch (${deleted + gone} of ${list.length} were deleted)`, result);
        deleted += gone;
        done += result === 0 ? count : gone + 1;
      }
    }
    return deleted;
  }

  /** Removes an entry and returns its value, in one step. @internal */
  protected takeKey(key: K): V | undefined {
    const { native } = this;
    this.keyCodec.encode(this.key, 0, key);
    const result = native.lookupAndDelete(0);
    if (result === 0) return this.#values.decode(this.value, 0);
    if (result === -errno.ENOENT) return undefined;
    throw this.failure("lookup and delete", result, {
      [errno.EINVAL]: NO_TAKE,
      [ENOTSUPP]: NO_TAKE,
      [errno.EOPNOTSUPP]: NO_TAKE,
    });
  }

  /** Removes every entry and returns them. @internal */
  protected takeAll(): [K, V][] {
    const { keySize, keyCodec } = this;
    const { bytes } = this.#values;
    const taken: [K, V][] = [];
    const walk = this.walk({ remove: true });
    while (walk.next()) {
      for (let i = 0; i < walk.count; i++) {
        taken.push([keyCodec.decode(walk.keys, i * keySize, keySize), this.#values.decode(walk.values, i * bytes)]);
      }
    }
    return taken;
  }

  /** Removes every entry. @internal */
  protected removeAll(): void {
    const walk = this.walk({ remove: true });
    while (walk.next());
  }

  /** For map types of which not every kernel heeds BPF_NOEXIST and BPF_EXIST. @internal */
  protected checkOnly(_operation: string): void {}

  #setOneByOne(list: readonly (readonly [K, V])[], start: number, options: SetOptions | undefined): this {
    for (let i = start; i < list.length; i++) {
      const [key, value] = list[i] as readonly [K, V];
      try {
        this.set(key, value, options);
      } catch (error) {
        if (error instanceof BpfError && error.errno !== undefined)
          error.message += ` (${i} of ${list.length} were set)`;
        throw error;
      }
    }
    return this;
  }

  #manyRoom(wanted: number): number {
    const entry = Math.max(1, this.keySize + this.#values.bytes);
    return Math.max(1, Math.min(wanted, Math.floor(MANY_BYTES / entry)));
  }

  #getFlags(operation: string, options: GetOptions): number {
    checkOptions(`${this.name}.${operation}`, options, { lock: "boolean" });
    return options.lock ? MapFlag.lock : 0;
  }

  #setFlags(operation: string, options: SetOptions): number {
    checkOptions(`${this.name}.${operation}`, options, { only: oneOf("create", "replace"), lock: "boolean" });
    if (options.only !== undefined) this.checkOnly(`${this.name}.${operation}`);
    return (options.only === undefined ? 0 : (SET_FLAGS[options.only] as number)) | (options.lock ? MapFlag.lock : 0);
  }
}

const NO_TAKE = {
  code: "KERNEL_UNSUPPORTED",
  text: "this kernel cannot look up and delete in one step in a map of this type: hash maps can since 5.14, queues and stacks since 4.20",
} as const;

/** How the kernel says that it has no batch operations for the map's type, or none at all (before 5.6). */
function hasNoBatch(result: number): boolean {
  return result === -ENOTSUPP || result === -errno.EINVAL || result === -errno.EOPNOTSUPP;
}
