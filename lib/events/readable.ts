import { setMaxListeners } from "node:events";
import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { checkOptions, integer } from "../options.js";

export interface StreamOptions {
  /** Records that wait in the stream before it stops reading. */
  readonly highWaterMark?: number | undefined;
}

/** What is read: a {@link RecordStream}. @internal */
export interface Readables<T> {
  readonly name: string;
  readonly closed: boolean;
  enter(): () => void;
  take(): T | undefined;
  wait(signal?: AbortSignal): Promise<T | undefined>;
}

/** Enough to make waking the reader vanish per record. */
const HIGH_WATER_MARK = 1024;

/** An async iterator over a stream's records. @internal */
export function iterate<T>(stream: Readables<T>): AsyncIterableIterator<T, undefined> {
  const leave = stream.enter();
  let open = true;
  // A record that came after return() would go to nobody.
  const left = new AbortController();
  // Each next() that waits is one.
  setMaxListeners(0, left.signal);
  const end = (): IteratorResult<T, undefined> => {
    open = false;
    leave();
    left.abort();
    return { done: true, value: undefined };
  };
  const iterator: AsyncIterableIterator<T, undefined> = {
    next: async () => {
      if (!open || stream.closed) return end();
      try {
        const record = stream.take() ?? (await stream.wait(left.signal));
        return record === undefined ? end() : { done: false, value: record };
      } catch (error) {
        if (!open) return end();
        // Whoever loops over it calls no return() then, and listeners would wait for this iterator for ever.
        end();
        throw error;
      }
    },
    return: async () => end(),
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

function highWaterMark(what: string, options: StreamOptions): number {
  checkOptions(what, options, { highWaterMark: integer(1, 1 << 24) });
  return options.highWaterMark ?? HIGH_WATER_MARK;
}

/** @internal */
export function toReadable<T>(stream: Readables<T>, options: StreamOptions): Readable {
  const most = highWaterMark(`${stream.name}.toReadable`, options);
  const leave = stream.enter();
  // A record that came after destroy() could not be given back.
  const destroyed = new AbortController();
  // After a push Node may ask again while we wait; what is taken then would overtake the record that the wait is about to bring.
  let waiting = false;
  const read = (readable: Readable): void => {
    if (waiting) return;
    for (let record = stream.take(); record !== undefined; record = stream.take()) if (!readable.push(record)) return;
    if (stream.closed) {
      readable.push(null);
      return;
    }
    waiting = true;
    stream.wait(destroyed.signal).then(
      (record) => {
        waiting = false;
        if (readable.push(record ?? null) && record !== undefined) read(readable);
      },
      (error: Error) => {
        if (!destroyed.signal.aborted) readable.destroy(error);
      },
    );
  };
  return new Readable({
    objectMode: true,
    highWaterMark: most,
    read() {
      read(this);
    },
    destroy(error, done) {
      destroyed.abort();
      leave();
      done(error);
    },
  });
}

/** @internal */
export function toWebStream<T>(stream: Readables<T>, options: StreamOptions): ReadableStream<T> {
  const most = highWaterMark(`${stream.name}.toWebStream`, options);
  const leave = stream.enter();
  const cancelled = new AbortController();
  const next = async () => {
    try {
      return await stream.wait(cancelled.signal);
    } catch (error) {
      leave();
      throw error;
    }
  };
  return new ReadableStream<T>(
    {
      async pull(controller) {
        for (let record = stream.take(); record !== undefined; record = stream.take()) {
          controller.enqueue(record);
          if ((controller.desiredSize ?? 0) <= 0) return;
        }
        const record = stream.closed ? undefined : await next();
        if (record !== undefined) controller.enqueue(record);
        else {
          leave();
          controller.close();
        }
      },
      cancel: () => {
        cancelled.abort();
        leave();
      },
    },
    { highWaterMark: most },
  );
}
