import { EventEmitter } from "node:events";
import type { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { type BpfError, closedError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import type { NativeRingReader } from "../native.js";
import { abortSignal, checkOptions, integer } from "../options.js";
import { Delivery, tell } from "./delivery.js";
import { HeldBatch } from "./held_batch.js";
import { Listeners } from "./listeners.js";
import { type LossReporter, type LostRecords, lossReporter, type StreamTotals } from "./loss.js";
import { iterate, type StreamOptions, toReadable, toWebStream } from "./readable.js";
import type { ReaderChoice } from "./reader_choice.js";
import type { RecordSource } from "./record_source.js";
import { SlabReader } from "./slab_reader.js";
import type { StreamEvents } from "./stream_events.js";
import { checkBudget, DEFAULT_BUDGET, type TurnBudget, TurnClock } from "./turn.js";
import { Waiters } from "./waiters.js";
import type { Wakeup } from "./wakeup.js";

export interface NextOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait. */
  readonly timeout?: number | undefined;
}

/** A listener more or less of these decides who reads, or who is to be told of losses. */
const WATCHED_EVENTS = new Set<string | symbol>(["event", "batch", "lost"]);

/** How often a stream that is not being read looks for losses, in milliseconds, where somebody listens for them. */
const LOSS_WATCH_MS = 500;

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
  readonly #clock = new TurnClock();
  readonly #listeners = new Listeners(this as EventEmitter);
  readonly #delivery: Delivery<T>;
  readonly #waiters = new Waiters<T>(() => this.#schedule());
  #budget = DEFAULT_BUDGET;
  #paused = false;
  #closed = false;
  /** The kernel's buffer could not be opened, and listeners know. */
  #failed = false;
  #iterators = 0;
  #immediate: NodeJS.Immediate | undefined;
  #lossWatch: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(source: RecordSource<T>) {
    super();
    this.name = source.name;
    this.#source = source;
    this.#loss = lossReporter(source.counters, source.bornNs);
    this.#reader = new SlabReader<T>(source, this.#held, {
      turn: (count) => this.#turn(count),
      lost: (count, cpu) => this.#report(this.#loss.add(count, cpu)),
    });
    const stream = this;
    this.#delivery = new Delivery<T>(source, this.#held, this.#clock, {
      emitter: this,
      listeners: this.#listeners,
      waiters: this.#waiters,
      get halted() {
        return stream.#halted;
      },
      get paced() {
        return stream.#iterators > 0;
      },
      wanted: () => this.#wanted(),
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

  /** Bytes that were not read yet, record headers included: in the kernel's buffer, and with a thread that reads ahead. @throws BpfError CLOSED, BUSY */
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

  /** Who empties the kernel's buffer. */
  get reader(): ReaderChoice {
    return this.#source.reader;
  }

  /**
   * Stops reading until `resume()`: the kernel's buffer fills meanwhile. A thread rests too. Called by a handler, nothing comes after what it was told
   * of, neither records nor errors.
   */
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
    if (this.#paused || this.#delivery.dispatching || this.#iterators > 0 || !this.#listening()) return 0;
    const before = this.#held.delivered;
    this.#clock.begin(Number.POSITIVE_INFINITY);
    this.#dispatch();
    // A steady producer must not keep us here: no further than what was there at the call.
    let left = reader.available();
    while (left > 0 && this.#held.empty && this.#wanted() && this.#reader.fill() > 0) {
      left -= this.#held.bytesInRing();
      this.#dispatch();
    }
    this.#delivered();
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
    // Not with undefined as the argument, which would be taken for the name of an event.
    if (event !== undefined) super.removeAllListeners(event as never);
    else super.removeAllListeners();
    // That may have taken our own watch over the listeners with it.
    this.#watchListeners();
    this.#listenersChanged();
    return this;
  }

  /**
   * Stops reading and frees the reader. What is still in the kernel's buffer is left there; what was read and not handed out, by a thread
   * say, goes: `totals` keeps it as pending, and `flush()` before hands it out. Idempotent.
   */
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
    this.#watchLoss(false);
    this.#reader.close();
    this.#source.release?.(this.#held.read);
    this.#waiters.end();
    tell(() => this.emit("close"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The next record if there is one at hand, and time left in this turn. @internal */
  take(): T | undefined {
    // Inside a handler, the loop that called it goes on from where it is.
    if (this.#delivery.dispatching || this.#waiters.waiting) return undefined;
    // Whoever is told of an error may pause or close the stream.
    while (!this.#held.empty && !this.#halted) {
      if (this.#clock.over()) return undefined;
      try {
        const record = this.#delivery.take();
        if (record !== undefined) return record;
      } finally {
        if (this.#held.empty) this.#schedule();
      }
    }
    return undefined;
  }

  /** The next record, when there will be one. @internal */
  wait(signal?: AbortSignal, timeout?: number): Promise<T | undefined> {
    // By whoever was told of an error, a moment ago.
    if (this.#closed) return Promise.resolve(undefined);
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
    if (!meta.listeners("newListener").includes(this.#onNewListener)) meta.on("newListener", this.#onNewListener);
    if (!meta.listeners("removeListener").includes(this.#onRemoveListener))
      meta.on("removeListener", this.#onRemoveListener);
  }

  readonly #onNewListener = (event: string | symbol): void => {
    this.#clock.interrupted = true;
    this.#listeners.forget();
    // The listener is added after this call.
    if (WATCHED_EVENTS.has(event)) queueMicrotask(() => this.#listenersChanged());
  };

  readonly #onRemoveListener = (): void => this.#listenersChanged();

  #listenersChanged(): void {
    this.#clock.interrupted = true;
    this.#listeners.forget();
    if (!this.#held.empty) this.#continueSoon();
    this.#schedule();
  }

  get #halted(): boolean {
    return this.#closed || this.#paused;
  }

  #listening(): boolean {
    return this.#listeners.event.length > 0 || this.#listeners.batch > 0;
  }

  /** Whether the next record would be taken. */
  #wanted(): boolean {
    return this.#reading() && (this.#waiters.waiting || this.#iterators === 0);
  }

  /** Whether anyone is at it, though perhaps busy with a record. */
  #reading(): boolean {
    if (this.#halted) return false;
    return this.#waiters.waiting || this.#iterators > 0 || this.#listening();
  }

  /** Starts or stops the native reader by whether anyone wants another batch. */
  #schedule(): void {
    const wanted = this.#wanted();
    // Whoever reads is told in the turn that reads; nobody else has a turn.
    this.#watchLoss(!this.#closed && !this.#reading() && this.#listeners.lost > 0);
    // Listeners are told once; `next()` tries each time.
    if (!wanted) this.#failed = false;
    else if (this.#failed && !this.#waiters.waiting) return;
    try {
      this.#reader.readAhead(this.#reading());
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
    if (!told && this.#failed) this.#delivery.emitError(error);
  }

  #readingFailed(error: BpfError): void {
    if (error.errno === errno.EBADMSG) this.#cannotRead(error);
    else this.#delivery.emitError(error);
  }

  /** One turn of the event loop: batch after batch, as long as there is more, time is left, and handlers keep up. */
  #turn(first: number): void {
    this.#clock.begin(this.#budget.milliseconds);
    let read = 0;
    try {
      // Nothing, or an error that is told to who asks.
      let count = this.#reader.filled(first) || this.#reader.fill();
      while (count > 0) {
        read += count;
        this.#dispatch();
        if (read + count > this.#budget.records || !this.#reader.more || !this.#goesOn()) break;
        count = this.#reader.fill();
      }
    } catch (error) {
      this.#readingFailed(error as BpfError);
    }
    if (read > 0) this.#delivered();
    // Woken for nothing to read: a record larger than the ring was lost.
    else this.#report(this.#loss.check());
  }

  /** While nobody reads, the kernel's buffer fills, and no record comes that would bring the news of the loss. */
  #watchLoss(on: boolean): void {
    if (on === (this.#lossWatch !== undefined)) return;
    clearInterval(this.#lossWatch);
    this.#lossWatch = on ? setInterval(() => this.#report(this.#loss.check()), LOSS_WATCH_MS).unref() : undefined;
  }

  /** Whether there is anyone to read on for in this turn. */
  #goesOn(): boolean {
    return this.#held.empty && this.#wanted() && !this.#clock.expired;
  }

  #delivered(): void {
    this.#report(this.#loss.check());
    this.#schedule();
    this.#reader.delivered();
  }

  #dispatch(): void {
    if (!this.#delivery.dispatch()) this.#continueSoon();
  }

  #report(lost: LostRecords | undefined): void {
    if (lost === undefined || this.#closed) return;
    tell(() => this.emit("lost", lost));
  }
}
