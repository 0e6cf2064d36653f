import { type Codec, Memory } from "../codec/codec.js";
import { MapFlag } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { BpfMap, type MapShape, type Meanings } from "./bpf_map.js";
import { EntryIterator } from "./entry_iterator.js";
import { type CursorKind, Walk, type WalkedMap, type WalkOptions } from "./walk.js";

/** A map whose entries are found by a key. What their values are is up to its kind. */
export abstract class KeyMap<K> extends BpfMap {
  /** @internal */
  protected readonly key: Memory;
  /** @internal */
  protected readonly value: Memory;
  /** @internal */
  protected readonly keyCodec: Codec<K>;
  readonly #nextKey: Memory;
  readonly #valueBytes: number;

  /** `valueBytes`: what one lookup copies. @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<K>, valueBytes: number) {
    super(native, shape);
    this.keyCodec = keys;
    this.#valueBytes = valueBytes;
    this.key = Memory.allocate(Math.max(shape.keySize, 1));
    this.#nextKey = Memory.allocate(Math.max(shape.keySize, 1));
    this.value = Memory.allocate(Math.max(valueBytes, 1));
    native.bind(this.key.buffer, this.#nextKey.buffer, this.value.buffer);
  }

  /** @internal */
  protected get cursor(): CursorKind {
    return "key";
  }

  /** Looks a key up, its value into `this.value`; false when there is none. @internal */
  protected lookupKey(key: K, flags = 0): boolean {
    const { native } = this;
    this.keyCodec.encode(this.key, 0, key);
    const result = native.lookup(flags);
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("lookup", result, lockMeaning(flags));
  }

  /** Sets a key's value from `this.value`. @internal */
  protected updateKey(key: K, flags = 0): void {
    const { native } = this;
    this.keyCodec.encode(this.key, 0, key);
    const result = native.update(flags);
    if (result !== 0) throw this.failure("update", result, lockMeaning(flags));
  }

  /** Deletes a key; false when there was none. @internal */
  protected deleteKey(key: K): boolean {
    const { native } = this;
    this.keyCodec.encode(this.key, 0, key);
    const result = native.delete();
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("delete", result);
  }

  /** @internal */
  protected walk(options?: WalkOptions): Walk {
    return new Walk(this.#walked(), this.type, options);
  }

  /** Every key, without looking at values. @internal */
  protected eachKey(): EntryIterator<K> {
    const { keySize, keyCodec } = this;
    return new EntryIterator(
      () => this.walk({ keysOnly: true }),
      (walk, i) => keyCodec.decode(walk.keys, i * keySize, keySize),
    );
  }

  #walked(): WalkedMap {
    const self = this;
    return {
      name: this.name,
      maxEntries: this.maxEntries,
      keySize: this.keySize,
      valueBytes: this.#valueBytes,
      cursor: this.cursor,
      get native() {
        return self.native;
      },
      key: this.key,
      nextKey: this.#nextKey,
      value: this.value,
      failure: (operation, result) => this.failure(operation, result),
    };
  }
}

/** What the kernel says to BPF_F_LOCK where there is none to take (kernel/bpf/syscall.c: map_check_op_flags). */
function lockMeaning(flags: number): Meanings {
  return (flags & MapFlag.lock) === 0 ? {} : NO_LOCK;
}

const NO_LOCK: Meanings = {
  [errno.EINVAL]: {
    code: "INVALID_ARGUMENT",
    text: "the option lock is for values with a struct bpf_spin_lock, and the map's values have none, or the kernel is older than 5.1",
  },
};
