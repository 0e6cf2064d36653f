import type { Walk } from "./walk.js";

/** What an iteration gives of entry `index` of the walk's chunk. */
export type Pick<T> = (walk: Walk, index: number) => T;

/**
 * Iterates what `pick` makes of each entry. A class, not a generator: a million entries are iterated, and resuming a generator costs
 * more than decoding one.
 */
export class EntryIterator<T> implements IterableIterator<T> {
  readonly #start: () => Walk;
  readonly #pick: Pick<T>;
  #walk: Walk | undefined;
  #index = 0;
  #count = 0;
  #done = false;

  /** The walk starts with the first `next()`. */
  constructor(start: () => Walk, pick: Pick<T>) {
    this.#start = start;
    this.#pick = pick;
  }

  next(): IteratorResult<T, undefined> {
    if (this.#index === this.#count && !this.#fill()) return { value: undefined, done: true };
    return { value: this.#pick(this.#walk as Walk, this.#index++), done: false };
  }

  return(): IteratorResult<T, undefined> {
    this.#end();
    return { value: undefined, done: true };
  }

  [Symbol.iterator](): this {
    return this;
  }

  #fill(): boolean {
    if (this.#done) return false;
    this.#walk ??= this.#start();
    let more = false;
    try {
      more = this.#walk.next();
    } finally {
      if (!more) this.#end();
    }
    this.#index = 0;
    this.#count = this.#walk?.count ?? 0;
    return more;
  }

  #end(): void {
    this.#done = true;
    this.#walk = undefined;
    this.#index = 0;
    this.#count = 0;
  }
}
