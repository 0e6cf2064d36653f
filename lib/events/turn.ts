import { invalid, shown } from "../options.js";

/** How much of one turn of the event loop a stream may take. */
export interface TurnBudget {
  /** Records that are read at once, at most. */
  readonly records: number;
  /** Milliseconds of handlers' time, after which the rest waits for the next turn. At least one record is handed out in each. */
  readonly milliseconds: number;
}

/**
 * 8,192 records make the cost of a call into JavaScript vanish per record. 10 ms of handlers, after which timers and sockets have
 * their turn, is less than what people notice.
 */
export const DEFAULT_BUDGET: TurnBudget = { records: 8192, milliseconds: 10 };

const LARGEST_STEP = 128;

/** @throws BpfError INVALID_ARGUMENT */
export function checkBudget(name: string, budget: Partial<TurnBudget>, base: TurnBudget): TurnBudget {
  const { records = base.records, milliseconds = base.milliseconds } = budget;
  if (!Number.isInteger(records) || records < 1 || records > 1 << 20) {
    throw invalid(`${name}.budget.records must be a whole number from 1 to 1048576, got ${shown(records)}`);
  }
  if (typeof milliseconds !== "number" || !(milliseconds > 0)) {
    throw invalid(`${name}.budget.milliseconds must be a number above 0, got ${shown(milliseconds)}`);
  }
  return { records, milliseconds };
}

/**
 * Says when a turn's time is over. Looking at the clock costs as much as handling a record does, so it looks only after as many
 * records as should take half of what is left, by the time that the last ones took.
 */
export class TurnClock {
  /** Something changed that the loop over a batch must look at. */
  interrupted = false;
  #end = 0;
  #seen = 0;
  #step = 1;
  #left = 1;

  begin(milliseconds: number): void {
    this.#seen = performance.now();
    this.#end = this.#seen + milliseconds;
    this.#left = this.#step;
  }

  /** To be asked after each record. */
  over(): boolean {
    return --this.#left <= 0 && this.#look();
  }

  /** Whether time is left, without counting a record. */
  get expired(): boolean {
    return performance.now() >= this.#end;
  }

  #look(): boolean {
    const now = performance.now();
    const perRecord = (now - this.#seen) / this.#step;
    const half = (this.#end - now) / 2;
    // No leaps: the records to come may be slower than those that were.
    const next = Math.min(this.#step * 4, LARGEST_STEP, perRecord > 0 ? Math.floor(half / perRecord) : LARGEST_STEP);
    this.#step = this.#left = Math.max(1, next);
    this.#seen = now;
    return now >= this.#end;
  }
}
