import { EventEmitter } from "node:events";
import type { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { type BpfError, closedError } from "../errors.js";
import type { NativeRingReader } from "../native.js";
import { abortSignal, checkOptions, integer } from "../options.js";
import { HeldBatch, lengthCheck, sizeMismatch, withBytes } from "./held_batch.js";
import { type LossReporter, type LostRecords, lossReporter, type StreamTotals } from "./loss.js";
import { iterate, type StreamOptions, toReadable, toWebStream } from "./readable.js";
import { RawRecord, RecordBatch } from "./record_batch.js";
import type { RecordAccess, RecordSource } from "./record_source.js";
import { SlabReader } from "./slab_reader.js";
import { checkBudget, DEFAULT_BUDGET, type TurnBudget, TurnClock } from "./turn.js";
import { Waiters } from "./waiters.js";
import type { Wakeup } from "./wakeup.js";

export interface StreamEvents<T> {
  /** One record, and what else is known of it (valid until the listener returns). */
  event: [record: T, raw: RawRecord];
  /** All records that were read at once, as a view that is valid until the handler returns. */
  batch: [batch: RecordBatch<T>];
  /** Records that there was no room for. */
  lost: [lost: LostRecords];
  /** A record that is not what its type says, with its bytes in `bytes`; or the stream cannot be read. The stream goes on. */
  error: [error: BpfError];
  close: [];
}

export interface NextOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait. */
  readonly timeout?: number | undefined;
}

const CONSUMER_EVENTS = new Set<string | symbol>(["event", "batch"]);

/**
 * Records that the kernel sends, decoded: an event emitter and an async iterable over the same records.
 *
 * Reading starts with the first `event` or `batch` listener, iterator or `next()`, and stops with the last. What nobody
 * reads stays in the kernel's buffer; when that is full the BPF side counts what it had no room for. Iterators, streams and `next()`
 * share one cursor (each record goes to one of them); listeners see every record. While an iterator is open it sets the pace.
 *
 * A `Uint8Array` of a record may be kept for ever, but above 64 bytes its `buffer` is shared with its neighbours, as that of a Node Buffer
 * is: mind its `byteOffset`. One that is kept keeps up to 16 KiB alive, or, where records fill batches of 256 KiB, the batch. To keep few
 * of many for long, keep `data.slice()`.
 *
 * Handlers get no more than their `budget` of a turn of the event loop: the records that are left wait for the next, and timers and
 * sockets have their turn in between. While it reads, the stream keeps the process alive; see `unref()`.
 */
export abstract class RecordStream<T> extends EventEmitter<StreamEvents<T>> implements AsyncIterable<T>, Disposable {
  readonly name: string;
  readonly #source: RecordSource<T>;
  readonly #reader: SlabReader<T>;
  readonly #loss: LossReporter;
  readonly #held = new HeldBatch();
  readonly #batch: RecordBatch<T>;
  readonly #raw: RawRecord;
  readonly #fits: (length: number) => boolean;
  readonly #clock = new TurnClock();
  readonly #waiters = new Waiters<T>(() => this.#schedule());
  #budget = DEFAULT_BUDGET;
  #paused = false;
  #closed = false;
  #dispatching = false;
  #flushing = false;
  /** The kernel's buffer could not be opened, and listeners know. */
  #failed = false;
  #access: RecordAccess<T> | undefined;
  // Untyped: a stream of T is to be one of unknown too.
  #boundFrom: unknown;
  #bound: unknown;
  #iterators = 0;
  #immediate: NodeJS.Immediate | undefined;

  /** @internal */
  constructor(source: RecordSource<T>) {
    super();
    this.name = source.name;
    this.#source = source;
    this.#batch = new RecordBatch<T>(source, this.#held);
    this.#raw = new RawRecord(this.#held, source.codec.size);
    this.#fits = lengthCheck(source.codec, source.padding);
    this.#loss = lossReporter(source.counters, source.bornNs);
    this.#reader = new SlabReader<T>(source, this.#held, {
      batch: () => this.#onBatch(),
      lost: (count, cpu) => this.#report(this.#loss.add(count, cpu)),
    });
    this.#watchListeners();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The map's descriptor, for other libraries. It is the object's: it must not be closed. @throws BpfError CLOSED */
  get fd(): number {
    this.#mustBeOpen();
    return this.#source.fd();
  }

  /** What was produced, delivered and lost since load. The figures are read now, without a system call. */
  get totals(): StreamTotals {
    return this.#loss.totals(this.#held.delivered);
  }

  /** Bytes in the kernel's buffer that were not read yet, record headers included. @throws BpfError CLOSED, BUSY */
  get available(): number {
    return this.#open().available();
  }

  /** How much of a turn of the event loop handlers may take. What is set is merged with what there is. */
  get budget(): TurnBudget {
    return this.#budget;
  }

  set budget(budget: Partial<TurnBudget>) {
    this.#budget = checkBudget(this.name, budget, this.#budget);
    this.#reader.limit(this.#budget.records);
  }

  /** When the BPF side wakes this reader; chosen before load. */
  get wakeup(): Wakeup {
    return this.#source.wakeup?.wakeup ?? "event";
  }

  /** Stops reading until `resume()`: the kernel's buffer fills meanwhile. */
  pause(): this {
    this.#paused = true;
    this.#clock.interrupted = true;
    this.#schedule();
    return this;
  }

  /** Goes on, in the next turn of the event loop. */
  resume(): this {
    this.#paused = false;
    this.#continueSoon();
    return this;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Lets the process end although the stream is being read. */
  unref(): this {
    this.#reader.unref();
    this.#immediate?.unref();
    return this;
  }

  ref(): this {
    this.#reader.ref();
    this.#immediate?.ref();
    return this;
  }

  /**
   * Hands all records that were submitted before this call to the listeners, now: whatever the wake-up and the budget say. For the end
   * of a measurement, and before `close()`. Does nothing while the stream is paused, has no listeners, or an iterator sets the pace.
   * @returns how many records were handed out
   * @throws BpfError CLOSED, BUSY
   */
  flush(): number {
    const reader = this.#open();
    if (this.#paused || this.#dispatching || this.#iterators > 0 || !this.#listening()) return 0;
    const before = this.#held.delivered;
    this.#flushing = true;
    try {
      this.#clock.begin(Number.POSITIVE_INFINITY);
      this.#dispatch();
      this.#reader.renew();
      // A steady producer must not keep us here: no further than what was there at the call.
      let left = reader.available();
      while (left > 0 && this.#held.empty && !this.#closed && reader.drain() > 0) left -= this.#held.bytesInRing();
    } finally {
      this.#flushing = false;
    }
    this.#schedule();
    return this.#held.delivered - before;
  }

  /**
   * The next record.
   * @returns undefined when the time is over or the stream was closed.
   * @throws BpfError CLOSED, BUSY, INVALID_ARGUMENT; the signal's reason when it aborts
   */
  async next(options: NextOptions = {}): Promise<T | undefined> {
    checkOptions(`${this.name}.next`, options, { signal: abortSignal, timeout: integer(0, 0x7fffffff) });
    const { signal, timeout } = options;
    this.#mustBeOpen();
    if (signal?.aborted) throw signal.reason;
    return this.take() ?? this.wait(signal, timeout);
  }

  /**
   * Every record from now until the stream is closed; leaving the loop leaves the records not yet seen where they are.
   * The next record is read when the loop asks for it: a slow loop lets the ring fill, and the BPF side counts the loss.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return iterate(this);
  }

  /**
   * The records as a Node stream in object mode, with back-pressure. It ends when this is closed; destroying it leaves this open.
   * @example
   * ```ts
   * import { pipeline } from "node:stream/promises";
   * import { BpfObject } from "ebpf";
   * using object = await BpfObject.load("drops.bpf.o");
   * await pipeline(object.ringBuffer<{ pid: number }>("verdicts").toReadable(), async function* (verdicts) {
   *   for await (const { pid } of verdicts) yield `${pid}\n`;
   * }, process.stdout);
   * ```
   */
  toReadable(options: StreamOptions = {}): Readable {
    this.#mustBeOpen();
    return toReadable(this, options);
  }

  /** The records as a web stream, with back-pressure. It ends when this is closed; cancelling it leaves this open. */
  toWebStream(options: StreamOptions = {}): ReadableStream<T> {
    this.#mustBeOpen();
    return toWebStream(this, options);
  }

  override removeAllListeners(event?: keyof StreamEvents<T>): this {
    if (event !== undefined) super.removeAllListeners(event as never);
    else {
      // Not with undefined as the argument, which would be taken for the name of an event.
      super.removeAllListeners();
      // That took our own watch over the listeners with it.
      this.#watchListeners();
    }
    this.#listenersChanged();
    return this;
  }

  /** Stops reading and frees the reader. What is still in the ring is left there. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#report(this.#loss.check());
    // A listener of `lost` may have closed it.
    if (this.#closed) return;
    this.#loss.freeze();
    this.#closed = true;
    this.#clock.interrupted = true;
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    this.#reader.close();
    this.#source.release?.();
    this.#waiters.end();
    this.emit("close");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The next record if there is one at hand, and time left in this turn. @internal */
  take(): T | undefined {
    // Inside a handler, the loop that called it goes on from where it is.
    if (this.#dispatching || this.#paused || this.#closed || this.#waiters.waiting) return undefined;
    while (!this.#held.empty) {
      if (this.#clock.over()) return undefined;
      this.#dispatching = true;
      try {
        const record = this.#one();
        if (record !== undefined) return record;
      } finally {
        this.#dispatching = false;
        if (this.#held.empty) this.#schedule();
      }
    }
    return undefined;
  }

  /** The next record, when there will be one. @internal */
  wait(signal?: AbortSignal, timeout?: number): Promise<T | undefined> {
    const record = this.#waiters.wait(signal, timeout);
    this.#clock.interrupted = true;
    if (this.#held.empty) this.#schedule();
    else this.#continueSoon();
    return record;
  }

  /** An iterator begins: it sets the pace until the function returned is called. @internal */
  enter(): () => void {
    let open = true;
    this.#iterators++;
    this.#clock.interrupted = true;
    return () => {
      if (!open) return;
      open = false;
      this.#iterators--;
      // Listeners that had waited for this iterator go on by themselves.
      this.#continueSoon();
    };
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closedError(this.#source.label);
  }

  #open(): NativeRingReader {
    this.#mustBeOpen();
    return this.#reader.open();
  }

  #watchListeners(): void {
    const meta = this as EventEmitter;
    meta.on("newListener", (event: string | symbol) => {
      this.#clock.interrupted = true;
      // The listener is added after this call.
      if (CONSUMER_EVENTS.has(event)) queueMicrotask(() => this.#listenersChanged());
    });
    meta.on("removeListener", () => this.#listenersChanged());
  }

  #listenersChanged(): void {
    this.#clock.interrupted = true;
    if (!this.#held.empty) this.#continueSoon();
    this.#schedule();
  }

  #listening(): boolean {
    return this.listenerCount("event") > 0 || this.listenerCount("batch") > 0;
  }

  #wanted(): boolean {
    if (this.#closed || this.#paused) return false;
    return this.#waiters.waiting || (this.#iterators === 0 && this.#listening());
  }

  /** Starts or stops the native reader by whether anyone wants another batch. */
  #schedule(): void {
    const wanted = this.#wanted();
    // Listeners are told once; `next()` tries each time.
    if (!wanted) this.#failed = false;
    else if (this.#failed && !this.#waiters.waiting) return;
    try {
      this.#reader.read(wanted && this.#held.empty);
      if (wanted) this.#failed = false;
    } catch (error) {
      this.#cannotRead(error as BpfError);
    }
  }

  /** Goes on in the next turn of the event loop, with a budget of its own. */
  #continueSoon(): void {
    if (this.#immediate !== undefined || this.#closed) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      this.#clock.begin(this.#budget.milliseconds);
      this.#dispatch();
      this.#schedule();
    });
    if (!this.#reader.referenced) this.#immediate.unref();
  }

  #cannotRead(error: BpfError): void {
    const told = this.#failed;
    this.#failed = this.#iterators === 0 && this.#listening();
    this.#waiters.fail(error);
    if (!told && this.#failed) this.#emitError(error);
  }

  #onBatch(): void {
    this.#clock.begin(this.#flushing ? Number.POSITIVE_INFINITY : this.#budget.milliseconds);
    this.#dispatch();
    this.#report(this.#loss.check());
    this.#schedule();
    this.#reader.delivered();
  }

  /** Hands out records of the held batch, as long as someone takes them and there is time. */
  #dispatch(): void {
    // A handler may get here again (by flush(), say): the loop that called it goes on by itself.
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      while (!this.#held.empty && this.#wanted()) {
        if (!this.#handOut()) {
          this.#continueSoon();
          return;
        }
      }
    } finally {
      this.#dispatching = false;
    }
  }

  /** Some records; false when the time is over. What a handler throws is the process's to see, after the records that follow it. */
  #handOut(): boolean {
    try {
      if (!this.#waiters.waiting) return this.#toListeners();
      const record = this.#one();
      if (record !== undefined) this.#waiters.give(record);
      return !this.#clock.over();
    } catch (error) {
      process.nextTick(rethrow, error);
      return !this.#clock.over();
    }
  }

  /** One record, for whoever waits for it and for listeners; undefined when it was an error. */
  #one(): T | undefined {
    const held = this.#held;
    this.#showBatch();
    if (held.empty || this.#closed) return undefined;
    const at = held.next++;
    const record = this.#decode(held.offset(at), held.length(at));
    if (record === undefined) return undefined;
    for (const listener of this.rawListeners("event")) this.#call(listener as Listener<T>, record);
    return record;
  }

  #decode(offset: number, length: number): T | undefined {
    const held = this.#held;
    if (!this.#fits(length)) {
      this.#emitError(sizeMismatch(this.#source, held, held.next - 1));
      return undefined;
    }
    try {
      return this.#source.codec.decode(this.#held.memory, offset, length);
    } catch (error) {
      this.#emitError(withBytes(error as BpfError, held, held.next - 1));
      return undefined;
    }
  }

  /** Records for listeners alone, until the batch ends, something changes, or the time is over: only then false. */
  #toListeners(): boolean {
    this.#clock.interrupted = false;
    this.#showBatch();
    if (this.#clock.interrupted) return true;
    const held = this.#held;
    const listeners = this.rawListeners("event") as Listener<T>[];
    const only = listeners.length === 1 ? listeners[0] : undefined;
    const { count, stride, size, index, memory } = held;
    const { codec } = this.#source;
    const clock = this.#clock;
    const raw = this.#raw;
    // Of one size: they fit all or none.
    const checked = stride > 0 && this.#fits(size);
    if (checked && only !== undefined) {
      this.#access ??= this.#source.access?.();
      const loop = this.#access?.loop;
      if (loop !== undefined)
        return loop(memory, held, count, stride, size, this.#bind(only) as BoundListener<T>, raw, clock);
    }
    while (held.next < count) {
      const at = held.next++;
      const offset = stride > 0 ? at * stride : (index[2 * at] as number);
      const length = stride > 0 ? size : (index[2 * at + 1] as number);
      if (!checked && !this.#fits(length)) this.#emitError(sizeMismatch(this.#source, held, held.next - 1));
      else {
        let record: T;
        try {
          record = codec.decode(memory, offset, length);
        } catch (error) {
          this.#emitError(withBytes(error as BpfError, held, held.next - 1));
          if (this.#clock.interrupted) return true;
          continue;
        }
        if (only !== undefined) only.call(this, record, raw);
        else for (const listener of listeners) this.#call(listener, record);
      }
      if (this.#clock.interrupted) return true;
      if (clock.over()) return false;
    }
    return true;
  }

  /** The listener with this stream as its `this`. V8 inlines a bound function, the same each time, and not what `call()` is told to. */
  #bind(listener: (...args: never[]) => void): unknown {
    if (listener !== this.#boundFrom) {
      this.#boundFrom = listener;
      this.#bound = listener.bind(this);
    }
    return this.#bound;
  }

  /** One of several listeners: its error must not keep the record from the others. */
  #call(listener: Listener<T>, record: T): void {
    try {
      listener.call(this, record, this.#raw);
    } catch (error) {
      process.nextTick(rethrow, error);
    }
  }

  /** Shows batch listeners what is left of the held batch, once. Where they are alone, that hands the records out. */
  #showBatch(): void {
    const held = this.#held;
    if (held.shown || this.listenerCount("batch") === 0) return;
    held.shown = true;
    if (!held.uniformlyFits(this.#fits)) {
      held.filter((at) => {
        if (this.#fits(held.length(at))) return true;
        this.#emitError(sizeMismatch(this.#source, held, at));
        return false;
      });
      if (held.empty || this.#closed) return;
    }
    const batch = this.#batch.begin();
    if (!this.#waiters.waiting && this.#iterators === 0 && this.listenerCount("event") === 0) held.next = held.count;
    try {
      this.emit("batch", batch);
    } catch (error) {
      process.nextTick(rethrow, error);
    } finally {
      batch.end();
    }
  }

  #emitError(error: BpfError): void {
    try {
      this.emit("error", error);
    } catch (thrown) {
      process.nextTick(rethrow, thrown);
    }
  }

  #report(lost: LostRecords | undefined): void {
    if (lost === undefined || this.#closed) return;
    try {
      this.emit("lost", lost);
    } catch (error) {
      process.nextTick(rethrow, error);
    }
  }
}

type BoundListener<T> = (record: T, raw: RawRecord) => void;
type Listener<T> = (this: unknown, record: T, raw: RawRecord) => void;

function rethrow(error: unknown): never {
  throw error;
}
