import { EventEmitter } from "node:events";
import type { Codec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { BpfError, closedError } from "../errors.js";
import type { NativeRingReader, NativeRingReaderOptions } from "../native.js";
import { abortSignal, checkOptions, integer } from "../options.js";
import { type HeldBatch, RecordBatch } from "./record_batch.js";
import { type CountersReader, LossReporter, type LostRecords, type StreamTotals } from "./loss.js";

export interface StreamEvents<T> {
  /** One record. */
  event: [record: T];
  /** All records that were read at once, as a view that is valid until the handler returns. */
  batch: [batch: RecordBatch<T>];
  /** Records that the ring had no room for. */
  lost: [lost: LostRecords];
  /** A record that is not what its type says; the stream goes on. */
  error: [error: BpfError];
  close: [];
}

export interface NextOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait. */
  readonly timeout?: number | undefined;
}

/** What a stream reads from. @internal */
export interface RecordSource<T> {
  readonly name: string;
  readonly codec: Codec<T>;
  readonly counters: CountersReader | undefined;
  /** The map's descriptor. */
  fd(): number;
  open(buffers: Pick<NativeRingReaderOptions, "slab" | "index" | "onBatch" | "onOversize">): NativeRingReader;
}

interface Waiter<T> {
  resolve(record: T | undefined): void;
  reject(error: unknown): void;
  settled: boolean;
}

/** Large enough to make the call into JavaScript vanish per record, small enough to stay in a core's second-level cache. */
const SLAB_BYTES = 256 * 1024;
/** Bounds one turn of the event loop also where records are tiny. */
const BATCH_RECORDS = 8192;

const CONSUMER_EVENTS = new Set<string | symbol>(["event", "batch"]);

/**
 * Records that the kernel sends, decoded: an event emitter and an async iterable over the same records.
 *
 * Reading starts with the first `event` or `batch` listener, iterator or `next()`, and stops with the last. What nobody
 * reads stays in the ring; when the ring is full the BPF side counts what it had no room for. Iterators and `next()` share one
 * cursor (each record goes to one of them); listeners see every record. While an iterator is open it sets the pace.
 *
 * While it reads, the stream keeps the process alive; see `unref()`.
 */
export abstract class RecordStream<T> extends EventEmitter<StreamEvents<T>> implements AsyncIterable<T>, Disposable {
  readonly name: string;
  readonly #source: RecordSource<T>;
  readonly #loss: LossReporter | undefined;
  #reader: NativeRingReader | undefined;
  #memory = new Memory(new ArrayBuffer(0));
  #index = new Int32Array(0);
  #held: HeldBatch | undefined;
  #reading = false;
  #paused = false;
  #closed = false;
  #referenced = true;
  #dispatching = false;
  #delivered = 0;
  /** Changes with every change of listeners, so that a batch under way sees it. */
  #listenersVersion = 0;
  #iterators = 0;
  #waiters: Waiter<T>[] = [];

  /** @internal */
  constructor(source: RecordSource<T>) {
    super();
    this.name = source.name;
    this.#source = source;
    this.#loss = source.counters === undefined ? undefined : new LossReporter(source.counters);
    this.#watchListeners();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The map's descriptor, for other libraries. It is the object's: it must not be closed. @throws BpfError CLOSED */
  get fd(): number {
    if (this.#closed) throw closedError(`ring ${this.name}`);
    return this.#source.fd();
  }

  /** What was produced, delivered and lost since load. The figures are read now, without a system call. */
  get totals(): StreamTotals {
    const counters = this.#closed ? undefined : this.#loss?.counters();
    const delivered = this.#delivered;
    if (counters === undefined) return { produced: undefined, delivered, lost: undefined, pending: undefined };
    return {
      produced: counters.produced,
      delivered,
      lost: counters.lost,
      pending: counters.produced - counters.lost - delivered,
    };
  }

  /** Bytes in the ring that were not read yet, record headers included. @throws BpfError CLOSED */
  get available(): number {
    return this.#open().available();
  }

  /** Stops reading until `resume()`: the ring fills meanwhile. */
  pause(): this {
    this.#paused = true;
    this.#schedule();
    return this;
  }

  resume(): this {
    this.#paused = false;
    this.#continue();
    return this;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Lets the process end although the stream is being read. */
  unref(): this {
    this.#referenced = false;
    this.#reader?.unref();
    return this;
  }

  ref(): this {
    this.#referenced = true;
    this.#reader?.ref();
    return this;
  }

  /**
   * The next record.
   * @returns undefined when the time is over or the stream was closed.
   * @throws BpfError CLOSED, INVALID_ARGUMENT; the signal's reason when it aborts
   */
  next(options: NextOptions = {}): Promise<T | undefined> {
    checkOptions(`${this.name}.next`, options, { signal: abortSignal, timeout: integer(0, 0x7fffffff) });
    const { signal, timeout } = options;
    if (this.#closed) return Promise.reject(closedError(`ring ${this.name}`));
    if (signal?.aborted) return Promise.reject(signal.reason);
    return this.#pull(signal, timeout);
  }

  /**
   * Every record from now until the stream is closed; leaving the loop leaves the records not yet seen where they are.
   * The next record is read when the loop asks for it: a slow loop lets the ring fill, and the BPF side counts the loss.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    let open = true;
    this.#iterators++;
    const leave = () => {
      if (!open) return;
      open = false;
      this.#iterators--;
      // Listeners that had waited for this iterator go on by themselves.
      setImmediate(() => this.#continue());
    };
    const iterator: AsyncIterableIterator<T, undefined> = {
      next: async () => {
        if (!open || this.#closed) return { done: true, value: undefined };
        const record = await this.#pull(undefined, undefined);
        if (record !== undefined) return { done: false, value: record };
        leave();
        return { done: true, value: undefined };
      },
      return: async () => {
        leave();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  override removeAllListeners(event?: keyof StreamEvents<T>): this {
    super.removeAllListeners(event as never);
    // That took our own watch over the listeners with it.
    if (event === undefined) this.#watchListeners();
    this.#listenersChanged();
    return this;
  }

  /** Stops reading and frees the reader. What is still in the ring is left there. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#reportLoss();
    this.#closed = true;
    this.#reading = false;
    this.#held = undefined;
    this.#reader?.close();
    this.#reader = undefined;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(undefined);
    this.emit("close");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #watchListeners(): void {
    const meta = this as EventEmitter;
    meta.on("newListener", (event: string | symbol) => {
      this.#listenersVersion++;
      // The listener is added after this call.
      if (CONSUMER_EVENTS.has(event)) queueMicrotask(() => this.#continue());
    });
    meta.on("removeListener", () => this.#listenersChanged());
  }

  #listenersChanged(): void {
    this.#listenersVersion++;
    this.#schedule();
  }

  #open(): NativeRingReader {
    if (this.#closed) throw closedError(`ring ${this.name}`);
    if (this.#reader === undefined) {
      const slab = new ArrayBuffer(SLAB_BYTES);
      this.#memory = new Memory(slab);
      this.#index = new Int32Array(2 * BATCH_RECORDS);
      this.#reader = this.#source.open({
        slab,
        index: this.#index,
        onBatch: (count, stride, size) => this.#onBatch({ count, stride, size, next: 0 }),
        onOversize: (bytes) => this.#onOversize(bytes),
      });
      if (!this.#referenced) this.#reader.unref();
    }
    return this.#reader;
  }

  #onOversize(bytes: number): void {
    const slab = new ArrayBuffer(2 ** Math.ceil(Math.log2(bytes)));
    this.#memory = new Memory(slab);
    this.#reader?.setBuffers(slab, this.#index);
  }

  #onBatch(batch: HeldBatch): void {
    this.#held = batch;
    this.#dispatch();
    this.#reportLoss();
    this.#schedule();
  }

  /** Starts or stops the native reader by whether anyone wants another batch. */
  #schedule(): void {
    const wanted = !this.#closed && !this.#paused && this.#held === undefined && (this.#waiters.length > 0 || (this.#iterators === 0 && this.#listening()));
    if (wanted === this.#reading) return;
    this.#reading = wanted;
    if (wanted) this.#open().start();
    else this.#reader?.stop();
  }

  /** Goes on with a batch that was held back, then with reading. */
  #continue(): void {
    if (this.#closed) return;
    if (!this.#paused) this.#dispatch();
    this.#schedule();
  }

  #listening(): boolean {
    return this.listenerCount("event") > 0 || this.listenerCount("batch") > 0;
  }

  /** Hands out records of the held batch, as long as someone takes them. */
  #dispatch(): void {
    // A handler may get here again (by resume(), say): the loop that called it goes on by itself.
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      while (this.#held !== undefined) {
        if (this.#waiters.length === 0 && (this.#iterators > 0 || !this.#listening())) return;
        try {
          this.#deliverSome(this.#held);
        } catch (error) {
          // A handler's error is the process's to see, after the records that follow it.
          process.nextTick(rethrow, error);
        }
        if (this.#held !== undefined && this.#held.next >= this.#held.count) this.#held = undefined;
        if (this.#paused) return;
      }
    } finally {
      this.#dispatching = false;
    }
  }

  /** Delivers records of a batch until it ends, the audience changes, or a handler throws. */
  #deliverSome(held: HeldBatch): void {
    const version = this.#listenersVersion;
    if (held.next === 0) this.#emitBatch(held);
    const events = this.rawListeners("event") as ((this: this, record: T) => void)[];
    const only = events.length === 1 ? events[0] : undefined;
    const pulled = this.#waiters.length > 0 || this.#iterators > 0;
    const { count, stride, size } = held;
    const { codec } = this.#source;
    const memory = this.#memory;
    const index = this.#index;
    const fixed = codec.minimumSize;
    const { hasTail } = codec;
    if (events.length === 0 && !pulled) {
      // Batch listeners alone: each record counts as delivered with its batch.
      this.#delivered += count - held.next;
      held.next = count;
      return;
    }
    while (held.next < count) {
      const i = held.next++;
      const offset = stride > 0 ? i * stride : (index[2 * i] as number);
      const length = stride > 0 ? size : (index[2 * i + 1] as number);
      this.#delivered++;
      if (hasTail ? length < fixed : length !== fixed) {
        this.emit("error", this.#mismatch(memory, offset, length));
      } else {
        const record = codec.decode(memory, offset, length);
        if (pulled) this.#waiters.shift()?.resolve(record);
        if (only !== undefined) only.call(this, record);
        else if (events.length > 0) for (const listener of events) this.#call(listener, record);
      }
      if (this.#closed || this.#paused || this.#listenersVersion !== version) return;
      if (pulled && this.#waiters.length === 0) return;
    }
  }

  /** One of several listeners: its error must not keep the record from the others. */
  #call(listener: (this: this, record: T) => void, record: T): void {
    try {
      listener.call(this, record);
    } catch (error) {
      process.nextTick(rethrow, error);
    }
  }

  #emitBatch(held: HeldBatch): void {
    if (this.listenerCount("batch") === 0) return;
    const batch = new RecordBatch<T>(this.#source.codec, this.#memory, this.#index, held);
    try {
      this.emit("batch", batch);
    } catch (error) {
      process.nextTick(rethrow, error);
    } finally {
      batch.release();
    }
  }

  #mismatch(memory: Memory, offset: number, length: number): BpfError {
    const { codec } = this.#source;
    const bytes = memory.bytes.slice(offset, offset + length);
    const error = new BpfError({
      code: "SIZE_MISMATCH",
      message: `ring ${this.name}: a record of ${length} bytes came, and ${codec.type} has ${codec.hasTail ? "at least " : ""}${codec.minimumSize}; its bytes are in .bytes`,
    });
    return Object.assign(error, { bytes });
  }

  #pull(signal: AbortSignal | undefined, timeout: number | undefined): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const finish = () => {
        waiter.settled = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter<T> = {
        settled: false,
        resolve: (record) => {
          finish();
          resolve(record);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      const leave = () => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        this.#schedule();
      };
      const onAbort = () => {
        leave();
        waiter.reject(signal?.reason);
      };
      this.#waiters.push(waiter);
      this.#continue();
      if (waiter.settled) return;
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeout !== undefined) {
        timer = setTimeout(() => {
          leave();
          waiter.resolve(undefined);
        }, timeout);
      }
    });
  }

  #reportLoss(): void {
    if (this.#loss === undefined || this.#closed) return;
    const lost = this.#loss.check();
    if (lost === undefined) return;
    try {
      this.emit("lost", lost);
    } catch (error) {
      process.nextTick(rethrow, error);
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}
