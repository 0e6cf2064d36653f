import type { Codec } from "../codec/codec.js";
import { type Column, type ColumnArray, checkInto, columnArray, gather } from "../codec/column.js";
import type { Memory } from "../codec/memory.js";
import type { Reader } from "../codec/reader.js";
import { BpfError } from "../errors.js";
import type { HeldBatch } from "./held_batch.js";
import type { RecordAccess, RecordSource } from "./record_source.js";

/** The members of a record that a column can be made of: numbers, bigints and booleans. */
export type ColumnName<T> = T extends object
  ? { [Name in keyof T & string]: T[Name] extends number | bigint | boolean ? Name : never }[keyof T & string]
  : never;

/** The typed array that holds a column of `Value`, as far as its TypeScript type tells. */
export type ColumnOf<Value> = [Value] extends [bigint]
  ? BigInt64Array | BigUint64Array
  : [Value] extends [number | boolean]
    ? Exclude<ColumnArray, BigInt64Array | BigUint64Array>
    : ColumnArray;

/**
 * Records that were read at once, where they were put: a view over the stream's memory. It is one object, filled for each batch and
 * valid until the handler that got it returns; after that every use throws. Three ways to read it, from convenient to fast:
 *
 * - iterate, or `at(i)`: plain objects, which may be kept;
 * - `view(i)`, or iterate `views()`: one object that moves from record to record and reads members when asked for; nothing is made
 *   per record but the strings, bigints and arrays that are read;
 * - `column(name)`: one member of all records as a typed array, a copy that may be kept.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Verdict { pid: number; length: number; comm: string }
 * using object = await BpfObject.load("drops.bpf.o");
 * let bytes = 0;
 * object.ringBuffer<Verdict>("verdicts").on("batch", (batch) => {
 *   for (const verdict of batch.views()) if (verdict.pid !== process.pid) bytes += verdict.length;
 * });
 * ```
 */
export class RecordBatch<T> implements Iterable<T> {
  readonly #codec: Codec<T>;
  readonly #makeAccess: (() => RecordAccess<T>) | undefined;
  readonly #held: HeldBatch;
  readonly #columns = new Map<string, Column>();
  #access: RecordAccess<T> | undefined;
  #reader: Reader<T> | undefined;
  /** What the reader reads: the slab may have been replaced by a larger one. */
  #read: Memory | undefined;
  readonly #shown: Shown = { times: 0 };
  /** The first record of the view: those before it were handed out one by one. */
  #base = 0;
  /** ENDED between batches: one comparison says both that the batch is over and that there is no such record. */
  #length = ENDED;
  // Where the first one is, how far they are apart (0: not at a constant distance) and how long they are.
  #start = 0;
  #stride = 0;
  #size = 0;

  /** @internal */
  constructor(source: Pick<RecordSource<T>, "codec" | "access">, held: HeldBatch) {
    this.#codec = source.codec;
    this.#makeAccess = source.access;
    this.#held = held;
  }

  /** How many records. */
  get length(): number {
    const length = this.#length;
    return length >= 0 ? length : refuse();
  }

  /** The CPU that the records were written on, for a perf buffer; a ring does not say. */
  get cpu(): number | undefined {
    return this.#held.cpu < 0 ? undefined : this.#held.cpu;
  }

  /** The record at a position, as a plain object. */
  at(position: number): T {
    const held = this.#check(position);
    const at = this.#base + position;
    return this.#codec.decode(held.memory, held.offset(at), held.length(at));
  }

  /**
   * The record at a position, as an object that reads its members where they lie. The same object each time, moved: keep what you
   * read of it, not the object.
   * @throws BpfError INVALID_STATE where records are not structs that BTF describes (several types on one ring, converted records)
   */
  view(position: number): Readonly<T> {
    if (!(position >= 0 && position < this.#length)) this.#check(position);
    const stride = this.#stride;
    if (stride > 0 && this.#reader !== undefined) return this.#reader.move(this.#start + position * stride, this.#size);
    const at = this.#base + position;
    const held = this.#held;
    return this.#readerOf(held.memory).move(held.offset(at), held.length(at));
  }

  /** All records as {@link RecordBatch.view} shows them. */
  views(): IterableIterator<Readonly<T>> {
    const { length } = this;
    const stride = this.#stride;
    if (stride === 0) return new Walk<Readonly<T>>(length, (position) => this.view(position));
    const reader = this.#readerOf(this.#held.memory);
    return new Stride<T>(this.#shown, reader, this.#start, this.#start + length * stride, stride, this.#size);
  }

  /** All records as plain objects. */
  [Symbol.iterator](): IterableIterator<T> {
    return new Walk<T>(this.length, (position) => this.at(position));
  }

  /**
   * One member of all records, in host byte order: 64-bit integers as BigInt64Array or BigUint64Array, booleans as 0 and 1. Members
   * of nested structs by their path, as in `"key.saddr"`.
   * @param into takes the values in place of a new array: of the same kind, and at least as long as the batch
   * @throws BpfError INVALID_ARGUMENT for a member that no typed array holds (strings, arrays, structs, bit-fields)
   */
  column<Name extends ColumnName<T>>(name: Name, into?: ColumnArray): ColumnOf<T[Name & keyof T]>;
  column(path: string, into?: ColumnArray): ColumnArray;
  column(path: string, into?: ColumnArray): ColumnArray {
    const { length } = this;
    let column = this.#columns.get(path);
    if (column === undefined) {
      column = this.#accessTo(`column("${path}")`).column(path);
      this.#columns.set(path, column);
    }
    const array = into ?? columnArray(column, length);
    const { memory, stride, index } = this.#held;
    if (stride > 0) return gather(column, memory, this.#base * stride, stride, length, array);
    checkInto(column, length, array);
    const size = array.BYTES_PER_ELEMENT;
    const Same = array.constructor as new (buffer: ArrayBufferLike, offset: number, length: number) => ColumnArray;
    for (let i = 0; i < length; i++) {
      const one = new Same(array.buffer, array.byteOffset + i * size, 1);
      gather(column, memory, index[2 * (this.#base + i)] as number, 0, 1, one);
    }
    return array;
  }

  /** A record's bytes, to keep; their buffer may be shared as {@link RecordStream} says. */
  bytes(position: number): Uint8Array {
    return this.#check(position).bytes(this.#base + position);
  }

  /** Begins the view of what is held now. @internal */
  begin(): this {
    this.#base = this.#held.next;
    this.#length = this.#held.count - this.#base;
    this.#stride = this.#held.stride;
    this.#size = this.#held.size;
    this.#start = this.#base * this.#stride;
    if (this.#read !== this.#held.memory) this.#reader = undefined;
    this.#held.memory.copies?.stay();
    this.#shown.times++;
    return this;
  }

  /** Ends it. @internal */
  end(): void {
    this.#shown.times++;
    this.#length = ENDED;
  }

  #readerOf(memory: Memory): Reader<T> {
    if (memory === this.#read && this.#reader !== undefined) return this.#reader;
    this.#reader = this.#accessTo("view()").reader(memory);
    this.#read = memory;
    return this.#reader;
  }

  #accessTo(what: string): RecordAccess<T> {
    if (this.#makeAccess === undefined) {
      const message = `${what}: these records are not structs of one type that BTF describes; iterate the batch instead`;
      throw new BpfError({ code: "INVALID_STATE", message });
    }
    this.#access ??= this.#makeAccess();
    return this.#access;
  }

  #check(position: number): HeldBatch {
    if (this.#length < 0) refuse();
    if (!(position >= 0 && position < this.#length)) {
      throw new BpfError({ code: "INVALID_ARGUMENT", message: `no record ${position} in a batch of ${this.#length}` });
    }
    return this.#held;
  }
}

const ENDED = -1;

/** Grows when a batch begins and when it ends: who remembers another number is too late. */
interface Shown {
  times: number;
}

function refuse(): never {
  const message = "a batch is valid only until its handler returns; copy what you keep";
  throw new BpfError({ code: "INVALID_STATE", message });
}

/** Not a generator: V8 inlines this one, at a quarter of the time per step. */
class Walk<T> implements IterableIterator<T, undefined> {
  readonly #length: number;
  readonly #get: (position: number) => T;
  #next = 0;

  constructor(length: number, get: (position: number) => T) {
    this.#length = length;
    this.#get = get;
  }

  next(): IteratorResult<T, undefined> {
    if (this.#next >= this.#length) return { done: true, value: undefined };
    return { done: false, value: this.#get(this.#next++) };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** Views of records that lie at a constant distance. They were vetted before the batch was shown. */
class Stride<T> implements IterableIterator<Readonly<T>, undefined> {
  readonly #shown: Shown;
  readonly #times: number;
  readonly #reader: Reader<T>;
  readonly #end: number;
  readonly #stride: number;
  readonly #size: number;
  #offset: number;

  constructor(shown: Shown, reader: Reader<T>, start: number, end: number, stride: number, size: number) {
    this.#shown = shown;
    this.#times = shown.times;
    this.#reader = reader;
    this.#offset = start;
    this.#end = end;
    this.#stride = stride;
    this.#size = size;
  }

  next(): IteratorResult<Readonly<T>, undefined> {
    const offset = this.#offset;
    if (offset >= this.#end) return { done: true, value: undefined };
    if (this.#shown.times !== this.#times) refuse();
    this.#offset = offset + this.#stride;
    return { done: false, value: this.#reader.move(offset, this.#size) };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** What else is known of the record that an `event` listener is given. It moves with the stream: valid until the listener returns. */
export class RawRecord {
  readonly #held: HeldBatch;
  readonly #fixedSize: number;

  /** @internal */
  constructor(held: HeldBatch, fixedSize: number) {
    this.#held = held;
    this.#fixedSize = fixedSize;
  }

  /** The CPU that the record was written on, for a perf buffer; a ring does not say. */
  get cpu(): number | undefined {
    return this.#held.cpu < 0 ? undefined : this.#held.cpu;
  }

  /** All its bytes, to keep. */
  get bytes(): Uint8Array {
    return this.#held.bytes(this.#held.next - 1);
  }

  /**
   * A copy of what follows the members of fixed size. In a perf buffer that is what bpf_perf_event_output() appended of the packet (the
   * upper half of its flags), and up to 7 bytes of padding.
   */
  get tail(): Uint8Array {
    return this.bytes.subarray(this.#fixedSize);
  }
}
