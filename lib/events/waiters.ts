/** Those who wait for the next record, first come first served. @internal */
export class Waiters<T> {
  readonly #queue: Waiter<T>[] = [];
  readonly #changed: () => void;

  /** @param changed is called when someone gave up waiting */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  /** Gives the record to the first in line. */
  give(record: T): void {
    this.#queue.shift()?.settle(record);
  }

  /** Nothing comes any more: undefined for all of them. */
  end(): void {
    for (const waiter of this.#queue.splice(0)) waiter.settle(undefined);
  }

  fail(error: unknown): void {
    for (const waiter of this.#queue.splice(0)) waiter.fail(error);
  }

  wait(signal: AbortSignal | undefined, timeout: number | undefined): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter<T> = {
        settle: (record) => {
          finish();
          resolve(record);
        },
        fail: (error) => {
          finish();
          reject(error);
        },
      };
      const leave = () => {
        const at = this.#queue.indexOf(waiter);
        if (at >= 0) this.#queue.splice(at, 1);
        this.#changed();
      };
      const onAbort = () => {
        leave();
        waiter.fail(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeout !== undefined) {
        timer = setTimeout(() => {
          leave();
          waiter.settle(undefined);
        }, timeout);
      }
      this.#queue.push(waiter);
    });
  }
}

interface Waiter<T> {
  settle(record: T | undefined): void;
  fail(error: unknown): void;
}
