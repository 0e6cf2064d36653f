import { BpfError } from "../errors.js";

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait. */
  readonly timeout?: number | undefined;
}

/** Tries once: false while there is no room. It may throw, which ends the wait. @internal */
export type TryWrite = () => boolean;

interface Waiting {
  /** Whether the wait is over. */
  go(): boolean;
  fail(error: unknown): void;
}

/** Those who wait for room in a ring, first come first served: a small record does not overtake a large one. @internal */
export class SpaceQueue {
  readonly #queue: Waiting[] = [];
  /** Told when the first one comes and when the last one goes. */
  readonly #watch: (watching: boolean) => void;

  constructor(watch: (watching: boolean) => void) {
    this.#watch = watch;
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  /** There may be room. */
  retry(): void {
    while (this.#queue[0]?.go() === true);
  }

  fail(error: BpfError): void {
    for (const waiting of [...this.#queue]) waiting.fail(error);
  }

  /** Resolves when `attempt` succeeded. @throws BpfError TIMEOUT; the signal's reason; what `attempt` throws */
  wait(attempt: TryWrite, label: string, { signal, timeout }: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        if (this.#queue.length === 0) this.#watch(false);
      };
      const waiting: Waiting = {
        go: () => {
          try {
            if (!attempt()) return false;
          } catch (error) {
            waiting.fail(error);
            return true;
          }
          leave();
          resolve();
          return true;
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const giveUp = (error: unknown) => {
        waiting.fail(error);
        // There may be room for those behind, who wanted less.
        this.retry();
      };
      const onAbort = () => giveUp(signal?.reason);
      this.#queue.push(waiting);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeout !== undefined) {
        timer = setTimeout(() => {
          // A program that drains with BPF_RB_NO_WAKEUP tells nobody.
          if (this.#queue[0] === waiting && waiting.go()) return;
          const message = `${label} had no room within ${timeout} ms: no program drained it, or not enough`;
          giveUp(new BpfError({ code: "TIMEOUT", message }));
        }, timeout);
      }
      try {
        if (this.#queue.length === 1) this.#watch(true);
      } catch (error) {
        waiting.fail(error);
        return;
      }
      // Room that was made before the watch began told nobody.
      if (this.#queue[0] === waiting) waiting.go();
    });
  }
}
