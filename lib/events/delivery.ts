import type { EventEmitter } from "node:events";
import type { BpfError } from "../errors.js";
import { type HeldBatch, lengthCheck, sizeMismatch, withBytes } from "./held_batch.js";
import type { Listener, Listeners } from "./listeners.js";
import { RawRecord, RecordBatch } from "./record_batch.js";
import type { RecordAccess, RecordSource } from "./record_source.js";
import type { StreamEvents } from "./stream_events.js";
import type { TurnClock } from "./turn.js";
import type { Waiters } from "./waiters.js";

/** Whom records are handed to. @internal */
export interface Audience<T> {
  /** The `this` of listeners. */
  readonly emitter: EventEmitter<StreamEvents<T>>;
  readonly listeners: Listeners;
  readonly waiters: Waiters<T>;
  /** Closed, or paused: nothing more is handed out, errors included. */
  readonly halted: boolean;
  /** Whether an iterator sets the pace. */
  readonly paced: boolean;
  /** Whether anyone wants another record. */
  wanted(): boolean;
}

/** Hands out the records of a held batch: to listeners, to whoever waits for one, as a batch. @internal */
export class Delivery<T> {
  readonly #source: RecordSource<T>;
  readonly #held: HeldBatch;
  readonly #clock: TurnClock;
  readonly #audience: Audience<T>;
  readonly #emitter: EventEmitter<StreamEvents<T>>;
  readonly #batch: RecordBatch<T>;
  readonly #raw: RawRecord;
  readonly #fits: (length: number) => boolean;
  #access: RecordAccess<T> | undefined;
  // Untyped: a stream of T is to be one of unknown too.
  #boundFrom: unknown;
  #bound: unknown;

  constructor(source: RecordSource<T>, held: HeldBatch, clock: TurnClock, audience: Audience<T>) {
    this.#source = source;
    this.#held = held;
    this.#clock = clock;
    this.#audience = audience;
    this.#emitter = audience.emitter;
    this.#batch = new RecordBatch<T>(source, held);
    this.#raw = new RawRecord(held, source.codec.size);
    this.#fits = lengthCheck(source.codec, source.padding);
  }

  /** A record is being handed out: this was called by its handler. */
  get dispatching(): boolean {
    return this.#held.inUse;
  }

  /** Hands out records as long as someone takes them and there is time; false when the time is over. */
  dispatch(): boolean {
    // A handler may get here again (by flush(), say): the loop that called it goes on by itself.
    if (this.#held.inUse) return true;
    this.#held.inUse = true;
    try {
      while (!this.#held.empty && this.#audience.wanted()) if (!this.#handOut()) return false;
      return true;
    } finally {
      this.#held.inUse = false;
    }
  }

  /** The next record, for who asks for it; listeners see it too. Undefined when it was an error. */
  take(): T | undefined {
    this.#held.inUse = true;
    try {
      return this.#one();
    } finally {
      this.#held.inUse = false;
    }
  }

  /** Some records; false when the time is over. What a handler throws is the process's to see, after the records that follow it. */
  #handOut(): boolean {
    try {
      if (!this.#audience.waiters.waiting) return this.#toListeners();
      const record = this.#one();
      if (record !== undefined) this.#audience.waiters.give(record);
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
    if (held.empty || this.#audience.halted) return undefined;
    const at = held.next++;
    const record = this.#decode(held.offset(at), held.length(at));
    if (record === undefined) return undefined;
    for (const listener of this.#audience.listeners.event) this.#call(listener, record);
    return record;
  }

  #decode(offset: number, length: number): T | undefined {
    const held = this.#held;
    if (!this.#fits(length)) {
      this.emitError(sizeMismatch(this.#source, held, held.next - 1));
      return undefined;
    }
    try {
      return this.#source.codec.decode(this.#held.memory, offset, length);
    } catch (error) {
      this.emitError(withBytes(error as BpfError, held, held.next - 1));
      return undefined;
    }
  }

  /** Records for listeners alone, until the batch ends, something changes, or the time is over: only then false. */
  #toListeners(): boolean {
    this.#clock.interrupted = false;
    this.#showBatch();
    if (this.#clock.interrupted) return true;
    const held = this.#held;
    const listeners = this.#audience.listeners.event;
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
      if (!checked && !this.#fits(length)) this.emitError(sizeMismatch(this.#source, held, held.next - 1));
      else {
        let record: T;
        try {
          record = codec.decode(memory, offset, length);
        } catch (error) {
          this.emitError(withBytes(error as BpfError, held, held.next - 1));
          if (this.#clock.interrupted) return true;
          continue;
        }
        if (only !== undefined) only.call(this.#emitter, record as never, raw);
        else for (const listener of listeners) this.#call(listener, record);
      }
      if (this.#clock.interrupted) return true;
      if (clock.over()) return false;
    }
    return true;
  }

  /** The listener with this stream as its `this`. V8 inlines a bound function, the same each time, and not what `call()` is told to. */
  #bind(listener: Listener): unknown {
    if (listener !== this.#boundFrom) {
      this.#boundFrom = listener;
      this.#bound = listener.bind(this.#emitter);
    }
    return this.#bound;
  }

  /** One of several listeners: its error must not keep the record from the others. */
  #call(listener: Listener, record: T): void {
    try {
      listener.call(this.#emitter, record as never, this.#raw);
    } catch (error) {
      process.nextTick(rethrow, error);
    }
  }

  /** Shows batch listeners what is left of the held batch, once. Where they are alone, that hands the records out. */
  #showBatch(): void {
    const held = this.#held;
    const { listeners } = this.#audience;
    if (held.shown || listeners.batch === 0) return;
    if (!held.uniformlyFits(this.#fits) && !this.#sortOut()) return;
    held.shown = true;
    if (held.empty) return;
    const batch = this.#batch.begin();
    if (!this.#audience.waiters.waiting && !this.#audience.paced && listeners.event.length === 0)
      held.next = held.count;
    try {
      this.#emitter.emit("batch", batch);
    } catch (error) {
      process.nextTick(rethrow, error);
    } finally {
      batch.end();
    }
  }

  /** Takes the records that do not fit out of what is left, and tells of them; false when a handler had it stop before the end. */
  #sortOut(): boolean {
    const held = this.#held;
    for (let at = held.next; at < held.count; at++) {
      if (this.#fits(held.length(at))) continue;
      const error = sizeMismatch(this.#source, held, at);
      held.drop(at);
      this.emitError(error);
      // What was not looked at is pending, and its errors are told when it is.
      if (this.#audience.halted || this.#audience.listeners.batch === 0) return false;
    }
    return true;
  }

  /** Tells of a record that cannot be handed out, or a buffer that cannot be read. */
  emitError(error: BpfError): void {
    tell(() => this.#emitter.emit("error", error));
  }
}

type BoundListener<T> = (record: T, raw: RawRecord) => void;

/** Calls who listens; what a handler throws is the process's to see, and neither reading nor closing ends by it. @internal */
export function tell(emit: () => void): void {
  try {
    emit();
  } catch (error) {
    process.nextTick(rethrow, error);
  }
}

/** For what a handler throws: it is the process's to see, and no record is lost by it. @internal */
export function rethrow(error: unknown): never {
  throw error;
}
