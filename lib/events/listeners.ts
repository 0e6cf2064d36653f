import type { EventEmitter } from "node:events";
import type { RawRecord } from "./record_batch.js";

/** Untyped, as a stream of T is to be one of unknown too. */
export type Listener = (this: unknown, record: never, raw: RawRecord) => void;

/**
 * Who listens to a stream. An EventEmitter finds that out anew for each question, in 0.3 us and more, and a turn of the event loop asks six:
 * what it said is remembered until it says that something changed. @internal
 */
export class Listeners {
  readonly #emitter: EventEmitter;
  #known = false;
  #event: readonly Listener[] = [];
  #batch = 0;
  #lost = 0;

  constructor(emitter: EventEmitter) {
    this.#emitter = emitter;
  }

  /** Something changed, or is about to: an emitter tells before it adds, so it is to be told of after that as well. */
  forget(): void {
    this.#known = false;
  }

  /** Of `event`, in their order. This list does not change; there will be another. */
  get event(): readonly Listener[] {
    if (!this.#known) this.#look();
    return this.#event;
  }

  /** How many there are of `batch`, ... */
  get batch(): number {
    if (!this.#known) this.#look();
    return this.#batch;
  }

  /** ... and of `lost`. */
  get lost(): number {
    if (!this.#known) this.#look();
    return this.#lost;
  }

  #look(): void {
    this.#event = this.#emitter.rawListeners("event") as Listener[];
    this.#batch = this.#emitter.listenerCount("batch");
    this.#lost = this.#emitter.listenerCount("lost");
    this.#known = true;
  }
}
