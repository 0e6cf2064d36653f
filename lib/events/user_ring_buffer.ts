import { Writable } from "node:stream";
import { type Codec, Memory } from "../codec/codec.js";
import { BpfError, closedError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import type { NativeUserRingWriter } from "../native.js";
import { abortSignal, checkOptions, integer, invalid, shown } from "../options.js";
import type { StreamOptions } from "./readable.js";
import { encodeRecord } from "./record_encoder.js";
import { SpaceQueue, type WaitOptions } from "./space_queue.js";
import { UserRecord } from "./user_record.js";

/** What a user ring buffer is written through. @internal */
export interface UserRingSource<T> {
  /** For messages: `user ring commands`. */
  readonly label: string;
  readonly name: string;
  readonly codec: Codec<T>;
  /** Bytes that the ring holds. @throws BpfError CLOSED */
  size(): number;
  /** What `<ebpf/events.h>` counted; undefined where it did not declare the ring. */
  readonly drained: (() => number) | undefined;
  fd(): number;
  open(onDrained: () => void): NativeUserRingWriter;
}

/** `written = drained + pending`, once programs rest. */
export interface UserRingTotals {
  /** Records written since load, without those discarded. */
  readonly written: number;
  /** Records that programs drained with the helper of `EBPF_USER_RINGBUF`; undefined for a ring declared otherwise. */
  readonly drained: number | undefined;
  /** Written and not yet drained. */
  readonly pending: number | undefined;
}

/** struct bpf_ringbuf_hdr */
const HEADER_BYTES = 8;
const SCRATCH_BYTES = 4096;
const HIGH_WATER_MARK = 64;
const WAIT_OPTIONS = { signal: abortSignal, timeout: integer(0, 0x7fffffff) };

/**
 * BPF_MAP_TYPE_USER_RINGBUF (minimum kernel 6.1): records from this process to BPF programs, which drain them with
 * bpf_user_ringbuf_drain(), in the order of writing. Declared with `EBPF_USER_RINGBUF` of `<ebpf/events.h>`, the record type is known from
 * BTF.
 *
 * Writing is a copy into shared memory: no system call, and no program is woken; a program drains when it next runs. A ring has one writer;
 * a second one of this library is refused (BUSY). It is opened with the first record, and closed with its object.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Command { pid: number; verbose: boolean }
 * using object = await BpfObject.load("tracer.bpf.o");
 * const commands = object.userRingBuffer<Command>("commands");
 * commands.write({ pid: process.pid, verbose: true }); // or throws FULL
 * await commands.writeAsync({ pid: 1, verbose: false }, { timeout: 1000 }); // waits for room, and for its turn
 * using record = commands.reserve(); // room now, contents later
 * record.submit({ pid: 2, verbose: true });
 * ```
 */
export class UserRingBuffer<T> implements Disposable {
  readonly name: string;
  readonly #source: UserRingSource<T>;
  readonly #queue = new SpaceQueue((watching) => {
    if (watching) this.#open().watch();
    else this.#native?.rest();
  });
  #native: NativeUserRingWriter | undefined;
  #scratch: Memory;
  #written = 0;
  #closed = false;

  /** @internal */
  constructor(source: UserRingSource<T>) {
    this.#source = source;
    this.name = source.name;
    this.#scratch = Memory.allocate(Math.max(SCRATCH_BYTES, (source.codec.size + 7) & ~7));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The map's descriptor, for other libraries. It is the object's: it must not be closed. @throws BpfError CLOSED */
  get fd(): number {
    this.#mustBeOpen();
    return this.#source.fd();
  }

  /** Bytes that the ring holds; a record takes its size rounded up to 8, and 8. @throws BpfError CLOSED */
  get size(): number {
    this.#mustBeOpen();
    return this.#source.size();
  }

  /** Bytes that are written or reserved, and not drained. @throws BpfError CLOSED, BUSY, KERNEL_UNSUPPORTED */
  get pendingBytes(): number {
    return this.#open().pending();
  }

  /** Read now, without a system call. */
  get totals(): UserRingTotals {
    const drained = this.#closed ? undefined : this.#source.drained?.();
    return { written: this.#written, drained, pending: drained === undefined ? undefined : this.#written - drained };
  }

  /**
   * Writes a record, now.
   * @throws BpfError FULL when there is no room, or others wait for it; VALUE_INVALID for a record that does not fit its type; INVALID_ARGUMENT for
   * one that is larger than the ring; CLOSED, BUSY
   */
  write(record: T): void {
    const native = this.#open();
    const size = this.#encode(record);
    if (this.#queue.waiting) throw this.#full(size, "others wait for room already");
    if (!this.#put(native, this.#scratch.bytes, size)) throw this.#full(size);
  }

  /**
   * Writes a record as soon as there is room, in the order of the calls. The event loop goes on meanwhile.
   * @throws BpfError TIMEOUT; as {@link UserRingBuffer.write}, but for FULL; CLOSED also when the ring is closed meanwhile; the signal's reason
   */
  async writeAsync(record: T, options: WaitOptions = {}): Promise<void> {
    checkOptions(`${this.name}.writeAsync`, options, WAIT_OPTIONS);
    options.signal?.throwIfAborted();
    const native = this.#open();
    const size = this.#encode(record);
    if (!this.#queue.waiting && this.#put(native, this.#scratch.bytes, size)) return;
    const copy = this.#scratch.bytes.slice(0, size);
    await this.#queue.wait(() => this.#put(native, copy, size), this.#source.label, options);
  }

  /**
   * Room for a record, now: for what is to be put together in place, or to keep its place in the order.
   * @param size of a record with a flexible end; by default that of the type
   * @throws BpfError FULL, INVALID_ARGUMENT, CLOSED, BUSY
   */
  reserve(size: number = this.#source.codec.size): UserRecord<T> {
    this.#checkSize("reserve", size);
    const native = this.#open();
    if (this.#queue.waiting) throw this.#full(size, "others wait for room already");
    const record = this.#tryReserve(native, size);
    if (record === undefined) throw this.#full(size);
    return record;
  }

  /** The same as soon as there is room. @throws as {@link UserRingBuffer.writeAsync} */
  async reserveAsync(size: number = this.#source.codec.size, options: WaitOptions = {}): Promise<UserRecord<T>> {
    this.#checkSize("reserveAsync", size);
    checkOptions(`${this.name}.reserveAsync`, options, WAIT_OPTIONS);
    options.signal?.throwIfAborted();
    const native = this.#open();
    const now = this.#queue.waiting ? undefined : this.#tryReserve(native, size);
    if (now !== undefined) return now;
    const made: UserRecord<T>[] = [];
    const attempt = (): boolean => {
      const record = this.#tryReserve(native, size);
      if (record !== undefined) made.push(record);
      return record !== undefined;
    };
    await this.#queue.wait(attempt, this.#source.label, options);
    return made[0] as UserRecord<T>;
  }

  /** A Node stream in object mode that writes records here, with back-pressure. Ending or destroying it leaves this open. */
  toWritable(options: StreamOptions = {}): Writable {
    checkOptions(`${this.name}.toWritable`, options, { highWaterMark: integer(1, 1 << 24) });
    this.#mustBeOpen();
    const destroyed = new AbortController();
    return new Writable({
      objectMode: true,
      highWaterMark: options.highWaterMark ?? HIGH_WATER_MARK,
      write: (record: T, _encoding, done) => {
        this.writeAsync(record, { signal: destroyed.signal }).then(() => done(), done);
      },
      destroy(error, done) {
        destroyed.abort();
        done(error);
      },
    });
  }

  /** Ends waiting for room (CLOSED) and discards what is reserved; what was written stays for programs. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.fail(closedError(this.#source.label));
    this.#native?.close();
    this.#native = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closedError(this.#source.label);
  }

  #open(): NativeUserRingWriter {
    this.#mustBeOpen();
    this.#native ??= this.#source.open(() => this.#queue.retry());
    return this.#native;
  }

  /** Into the scratch memory, which grows for records with a flexible end; returns the record's size. */
  #encode(record: T): number {
    const { codec } = this.#source;
    try {
      return encodeRecord(codec, this.#scratch, record, this.#scratch.byteLength);
    } catch (error) {
      const largest = this.size - HEADER_BYTES;
      if (!codec.hasTail || this.#scratch.byteLength >= largest) throw error;
      // Perhaps it was too long, and perhaps there is no size at which it is right.
      const larger = Memory.allocate(largest);
      const size = encodeRecord(codec, larger, record, largest);
      this.#scratch = larger;
      return size;
    }
  }

  /** False when there is no room. */
  #put(native: NativeUserRingWriter, bytes: Uint8Array, size: number): boolean {
    const result = native.write(bytes, size);
    if (result === 0) this.#written++;
    return this.#hasRoom(result, size);
  }

  #tryReserve(native: NativeUserRingWriter, size: number): UserRecord<T> | undefined {
    const token = native.reserve(size);
    if (!this.#hasRoom(token, size)) return undefined;
    const { label, codec } = this.#source;
    const submit = (bytes: Uint8Array): void => {
      this.#mustBeOpen();
      native.submit(token, bytes);
      this.#written++;
    };
    const discard = (): void => {
      // close() discarded it.
      if (!this.#closed) native.discard(token);
    };
    return new UserRecord<T>({ label, submit, discard }, codec, size);
  }

  #hasRoom(result: number, size: number): boolean {
    if (result >= 0) return true;
    if (result === -errno.ENOSPC) return false;
    if (result === -errno.E2BIG) {
      const { label } = this.#source;
      throw invalid(
        `${label}: a record of ${size} bytes is larger than the ${this.size - HEADER_BYTES} that the ring holds`,
      );
    }
    throw new BpfError({ code: "SYSTEM", message: `cannot write ${this.#source.label}`, errno: -result });
  }

  #full(size: number, reason = "a program makes room when it drains it"): BpfError {
    const { label } = this.#source;
    const taken = ((size + 7) & ~7) + HEADER_BYTES;
    const free = this.size - this.pendingBytes;
    const message = `${label} is full: the record takes ${taken} bytes, ${free} of ${this.size} are free; ${reason}`;
    return new BpfError({ code: "FULL", message, errno: errno.ENOSPC, operation: "user_ring_buffer__reserve" });
  }

  #checkSize(operation: string, size: number): void {
    if (!Number.isInteger(size) || size < 0 || size > 0x3fffffff)
      throw invalid(`${this.name}.${operation}: size must be a whole number of bytes, got ${shown(size)}`);
  }
}
