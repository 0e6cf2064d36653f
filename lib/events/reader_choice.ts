import type { NativeReaderThread } from "../native.js";
import { checkOptions, integer, invalid, shown } from "../options.js";
import { hasThreshold, periodOf, type Wakeup } from "./wakeup.js";

/**
 * Who empties the kernel's buffer.
 *
 * - `"loop"`: the event loop, when it comes to it. While JavaScript is busy with something else nothing is read: what does not fit the
 *   kernel's buffer until then is lost. The default, and the cheapest.
 * - `"thread"` or `{ thread: { bytes } }`: a native thread, which keeps reading while JavaScript is busy, into memory of this process:
 *   up to `bytes` (default 8 MiB), taken as needed. When these are full the thread rests and the kernel's buffer fills, as without
 *   it. A record then goes over two threads and is copied once more; an idle thread sleeps.
 *
 * A thread helps where the kernel's buffer cannot be as large as what is sent while JavaScript is busy. Where it can, a larger buffer
 * does the same for less: see docs/performance.md.
 */
export type ReaderChoice = "loop" | "thread" | { readonly thread: { readonly bytes?: number | undefined } };

const DEFAULT_BYTES = 8 << 20;

/** @throws BpfError INVALID_ARGUMENT */
export function checkReader(name: string, value: unknown): ReaderChoice {
  if (value === "loop" || value === "thread") return value;
  if (typeof value !== "object" || value === null)
    throw invalid(`${name}.reader must be "loop", "thread" or { thread: { bytes } }, got ${shown(value)}`);
  checkOptions(`${name}.reader`, value, { thread: "object" });
  const { thread } = value as { thread?: { bytes?: number } };
  if (thread === undefined) throw invalid(`${name}.reader: "thread" is missing`);
  checkOptions(`${name}.reader.thread`, thread, { bytes: integer(1 << 16, 0xffffffff) });
  return { thread: { bytes: thread.bytes ?? DEFAULT_BYTES } };
}

/** How a thread reads; undefined where none does. @throws BpfError INVALID_ARGUMENT */
export function threadOf(name: string, reader: ReaderChoice, wakeup: Wakeup): NativeReaderThread | undefined {
  if (reader === "loop") return undefined;
  if (wakeup === "adaptive") {
    const message = `${name}: an adaptive wake-up counts the turns of the event loop, and so has no use for a thread`;
    throw invalid(`${message}; choose "event", { bytes }, { records } or { milliseconds }`);
  }
  const { bytes = DEFAULT_BYTES } = reader === "thread" ? {} : reader.thread;
  return { bytes, milliseconds: periodOf(wakeup) ?? -1, watches: wakeup === "event" || hasThreshold(wakeup) };
}
