import type { Codec } from "../codec/codec.js";
import type { Memory } from "../codec/memory.js";
import { BpfError } from "../errors.js";

/** A batch as the native reader left it in the slab, and how far it was handed out. @internal */
export interface HeldBatch {
  readonly count: number;
  /** Bytes from one record to the next; 0 when they differ in size and the index says where each is. */
  readonly stride: number;
  /** Bytes of each record, when `stride` is not 0. */
  readonly size: number;
  next: number;
}

/**
 * Records that were read at once. It is a view: valid until the handler that got it returns, after which every use throws.
 * What `at()` and the iterator return is copied and may be kept.
 */
export class RecordBatch<T> implements Iterable<T> {
  readonly #codec: Codec<T>;
  readonly #memory: Memory;
  readonly #index: Int32Array;
  readonly #held: HeldBatch;
  #valid = true;

  /** @internal */
  constructor(codec: Codec<T>, memory: Memory, index: Int32Array, held: HeldBatch) {
    this.#codec = codec;
    this.#memory = memory;
    this.#index = index;
    this.#held = held;
  }

  /** How many records. */
  get length(): number {
    return this.#held.count;
  }

  /** The record at a position, as a plain object. */
  at(position: number): T {
    this.#check(position);
    return this.#codec.decode(this.#memory, this.#offset(position), this.#length(position));
  }

  /** A copy of a record's bytes. */
  bytes(position: number): Uint8Array {
    this.#check(position);
    const offset = this.#offset(position);
    return this.#memory.bytes.slice(offset, offset + this.#length(position));
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.#held.count; i++) yield this.at(i);
  }

  /** Ends the view. @internal */
  release(): void {
    this.#valid = false;
  }

  #offset(position: number): number {
    return this.#held.stride > 0 ? position * this.#held.stride : (this.#index[2 * position] as number);
  }

  #length(position: number): number {
    return this.#held.stride > 0 ? this.#held.size : (this.#index[2 * position + 1] as number);
  }

  #check(position: number): void {
    if (!this.#valid) throw new BpfError({ code: "INVALID_STATE", message: "a batch is valid only until its handler returns; copy what you keep" });
    if (!(position >= 0 && position < this.#held.count)) {
      throw new BpfError({ code: "INVALID_ARGUMENT", message: `no record ${position} in a batch of ${this.#held.count}` });
    }
  }
}
