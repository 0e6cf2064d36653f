import type { Codec } from "../codec/codec.js";
import { Copies } from "../codec/copies.js";
import { Memory } from "../codec/memory.js";
import { readBytes } from "../codec/strings.js";
import { BpfError } from "../errors.js";

/**
 * The records that the native reader left in the slab, and how far they were handed out. One per stream, filled again and again: at
 * millions of records per second, even one object per batch would be garbage worth collecting. @internal
 */
export class HeldBatch {
  memory = new Memory(new ArrayBuffer(0));
  /** Pairs (offset, length), where `stride` is 0. */
  index = new Int32Array(0);
  count = 0;
  /** Bytes from one record to the next; 0 when they differ in size and the index says where each is. */
  stride = 0;
  /** Bytes of each record, when `stride` is not 0. */
  size = 0;
  /** The first record that was not handed out yet. */
  next = 0;
  /** The CPU that wrote them, for a perf buffer. */
  cpu = -1;
  /** Batch listeners have seen what was left of it. */
  shown = false;
  /** A handler has it in its hands: what it looks at stays where it is, also when all of it was handed out. */
  inUse = false;
  /** Records handed out, or reported as errors, of the batches before. */
  #before = 0;

  /** Records handed out since the stream began; those reported as errors included. */
  get delivered(): number {
    return this.#before + this.next;
  }

  /** The same, and those that are still held. */
  get read(): number {
    return this.#before + this.count;
  }

  /** Makes room for so many bytes. What the room before it held is forgotten. */
  allocate(bytes: number): void {
    // Not zeroed: nothing is read of it that was not written before.
    this.memory = new Memory(Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer);
    this.memory.copies = new Copies(this.memory.buffer);
  }

  fill(count: number, stride: number, size: number, cpu: number): void {
    this.#before += this.next;
    this.count = count;
    this.stride = stride;
    this.size = size;
    this.cpu = cpu;
    this.next = 0;
    this.shown = false;
    this.memory.copies?.begin(count > 0 ? this.offset(count - 1) + this.length(count - 1) : 0);
  }

  /** All was handed out, and the memory with it: the next batch needs other memory. */
  get spent(): boolean {
    return this.empty && this.memory.copies?.given === true;
  }

  get empty(): boolean {
    return this.next >= this.count;
  }

  offset(position: number): number {
    return this.stride > 0 ? position * this.stride : (this.index[2 * position] as number);
  }

  length(position: number): number {
    return this.stride > 0 ? this.size : (this.index[2 * position + 1] as number);
  }

  /** Bytes that the records took in the kernel's buffer: each its size rounded up to 8, and a header of 8. */
  bytesInRing(): number {
    if (this.stride > 0) return this.count * (this.stride + 8);
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += (((this.index[2 * i + 1] as number) + 7) & ~7) + 8;
    return sum;
  }

  /** A record's bytes, which may be kept. */
  bytes(position: number): Uint8Array {
    return readBytes(this.memory, this.offset(position), this.length(position));
  }

  /** Whether all records have a size that `fits`. Where they have one size, that is one question. */
  uniformlyFits(fits: (length: number) => boolean): boolean {
    if (this.stride > 0) return fits(this.size);
    for (let i = this.next; i < this.count; i++) if (!fits(this.index[2 * i + 1] as number)) return false;
    return true;
  }

  /** Takes one out of those that were not handed out yet: it counts as handed out. Those before it stay, in their order. */
  drop(position: number): void {
    // Records of one size fit all or none, so with a stride there are none before it.
    if (this.stride === 0) this.index.copyWithin(2 * (this.next + 1), 2 * this.next, 2 * position);
    this.next++;
  }
}

/** Whether records of a length are what a codec's type says. */
export function lengthCheck(codec: Codec, padding: boolean): (length: number) => boolean {
  const { minimumSize } = codec;
  return codec.hasTail || padding ? (length) => length >= minimumSize : (length) => length === minimumSize;
}

/** The error that a record is which is not what its type says. */
export function sizeMismatch(
  source: { readonly codec: Codec; readonly label: string; readonly padding: boolean },
  held: HeldBatch,
  position: number,
): BpfError {
  const { codec, label, padding } = source;
  const wants = `${codec.hasTail || padding ? "at least " : ""}${codec.minimumSize}`;
  const message = `${label}: a record of ${held.length(position)} bytes came, and ${codec.type} has ${wants}; its bytes are in .bytes`;
  return withBytes(new BpfError({ code: "SIZE_MISMATCH", message }), held, position);
}

/** Adds the record's bytes, as `bytes`, to an error about it. */
export function withBytes(error: BpfError, held: HeldBatch, position: number): BpfError {
  // Errors are rare and may be kept for long: in a buffer of its own.
  const offset = held.offset(position);
  return Object.assign(error, { bytes: held.memory.bytes.slice(offset, offset + held.length(position)) });
}
