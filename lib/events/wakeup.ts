import type { NativeRingReader } from "../native.js";
import { checkOptions, integer, invalid, shown } from "../options.js";

/**
 * When a reader is woken. A wake-up is paid for by the traced side, in the middle of what it does: some 1,400 ns against 25 without.
 *
 * - `"event"`: at each record that finds the reader waiting; at most one wake-up per record, none while the reader is behind. Lowest
 *   latency. The default.
 * - `{ bytes, milliseconds }` or `{ records, milliseconds }`: when so much waits in the ring, and what stays below it after
 *   `milliseconds` (default 10).
 * - `{ milliseconds }`: never; the reader looks by itself, so often. The traced side pays nothing.
 * - `"adaptive"`: at each record while they are rare; on a timer of 5 ms while they are not. Costs nothing when idle, as `"event"`.
 *
 * The timed ones keep a timer while somebody reads, and only then.
 */
export type Wakeup =
  | "event"
  | "adaptive"
  | { readonly bytes: number; readonly milliseconds?: number | undefined }
  | { readonly records: number; readonly milliseconds?: number | undefined }
  | { readonly milliseconds: number };

/** As the BPF side has it (EBPF_WAKEUP_* in bpf/include/ebpf/events.h). */
export const WAKEUP_DEFAULT = 0n;
export const WAKEUP_NONE = 0xffffffffffffffffn;
export const WAKEUP_LIVE = 0xfffffffffffffffen;

/** How a stream waits, and how it tells the BPF side. @internal */
export interface WakeupControl {
  readonly wakeup: Wakeup;
  /** Writes what programs read for each record; only where the ring was loaded with EBPF_WAKEUP_LIVE. */
  readonly set: ((value: bigint) => void) | undefined;
}

const DEFAULT_MILLISECONDS = 10;
const ADAPTIVE_MILLISECONDS = 5;
/** So many batches within one period of the timer mean that wake-ups are too many. */
const BUSY_BATCHES = 4;

/** @throws BpfError INVALID_ARGUMENT */
export function checkWakeup(name: string, value: unknown): Wakeup {
  if (value === "event" || value === "adaptive") return value;
  if (typeof value !== "object" || value === null) {
    const wants = `"event", "adaptive", { bytes }, { records } or { milliseconds }`;
    throw invalid(`${name}.wakeup must be ${wants}, got ${shown(value)}`);
  }
  checkOptions(`${name}.wakeup`, value, {
    bytes: integer(1, 0x7fffffff),
    records: integer(1, 0x7fffffff),
    milliseconds: integer(1, 0x7fffffff),
  });
  const { bytes, records, milliseconds } = value as { bytes?: number; records?: number; milliseconds?: number };
  if (bytes !== undefined && records !== undefined) throw invalid(`${name}.wakeup: either bytes or records, not both`);
  if (bytes !== undefined) return { bytes, milliseconds };
  if (records !== undefined) return { records, milliseconds };
  if (milliseconds !== undefined) return { milliseconds };
  throw invalid(`${name}.wakeup: one of bytes, records and milliseconds is needed`);
}

/** The constant that a ring is loaded with. A record takes its size rounded up to 8, and 8 bytes. */
export function wakeupConstant(wakeup: Wakeup, recordSize: number): bigint {
  if (wakeup === "event") return WAKEUP_DEFAULT;
  if (wakeup === "adaptive") return WAKEUP_LIVE;
  if ("bytes" in wakeup) return BigInt(wakeup.bytes);
  if ("records" in wakeup) return BigInt(wakeup.records * (((recordSize + 7) & ~7) + 8));
  return WAKEUP_NONE;
}

/** What a ring that was loaded with a constant needs of its reader. */
export function wakeupOf(constant: bigint): Wakeup {
  if (constant === WAKEUP_DEFAULT) return "event";
  if (constant === WAKEUP_LIVE) return "adaptive";
  if (constant === WAKEUP_NONE) return { milliseconds: DEFAULT_MILLISECONDS };
  return { bytes: Number(constant), milliseconds: DEFAULT_MILLISECONDS };
}

/** Milliseconds after which a reader looks by itself; undefined where it need not. */
export function periodOf(wakeup: Wakeup): number | undefined {
  if (wakeup === "event") return undefined;
  return wakeup === "adaptive" ? ADAPTIVE_MILLISECONDS : (wakeup.milliseconds ?? DEFAULT_MILLISECONDS);
}

/** Whether the BPF side wakes when so much waits. */
export function hasThreshold(wakeup: Wakeup): boolean {
  return typeof wakeup === "object" && ("bytes" in wakeup || "records" in wakeup);
}

/** Starts and stops a native reader so that it wakes as was chosen. */
export class Waker {
  readonly #reader: NativeRingReader;
  readonly #wakeup: Wakeup;
  readonly #set: (value: bigint) => void;
  readonly #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #referenced = true;
  /** The reader rests between ticks: always where nothing wakes it, and in an adaptive stream while records are many. */
  #timed: boolean;
  #batches = 0;
  #since = 0;
  #emptyTicks = 0;

  constructor(reader: NativeRingReader, control: WakeupControl | undefined) {
    this.#reader = reader;
    const wakeup = control?.wakeup ?? "event";
    this.#wakeup = wakeup;
    this.#set = control?.set ?? (() => {});
    this.#timed = typeof wakeup === "object" && !hasThreshold(wakeup);
    this.#milliseconds = periodOf(wakeup) ?? 0;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#wakeup === "event") {
      this.#reader.start();
      return;
    }
    if (this.#wakeup !== "adaptive" || this.#timed) this.#arm();
    if (!this.#timed) this.#reader.start();
    else if (this.#reader.available() > 0) this.#look();
  }

  stop(): void {
    if (!this.#started) return;
    this.#started = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reader.stop();
  }

  /** The reader will be closed. A ring that is loaded on should wake whoever reads it next. */
  close(): void {
    this.stop();
    if (this.#wakeup === "adaptive" && this.#timed) this.#set(WAKEUP_DEFAULT);
  }

  ref(): void {
    this.#referenced = true;
    this.#reader.ref();
    this.#timer?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#reader.unref();
    this.#timer?.unref();
  }

  /** A batch was read and, as far as that went, handed out. */
  delivered(): void {
    if (this.#wakeup === "event" || !this.#started) return;
    if (this.#wakeup === "adaptive" && !this.#timed) this.#countBatch();
    if (this.#timed && this.#reader.available() === 0) this.#reader.stop();
  }

  #countBatch(): void {
    const now = performance.now();
    if (now - this.#since > this.#milliseconds) {
      this.#since = now;
      this.#batches = 0;
    }
    if (++this.#batches < BUSY_BATCHES) return;
    this.#timed = true;
    this.#emptyTicks = 0;
    this.#set(WAKEUP_NONE);
    this.#arm();
  }

  #arm(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#milliseconds);
    if (!this.#referenced) this.#timer.unref();
  }

  #tick(): void {
    this.#arm();
    if (this.#reader.available() > 0) {
      if (this.#wakeup === "adaptive" && this.#emptyTicks >= 2) this.#set(WAKEUP_NONE);
      this.#emptyTicks = 0;
      this.#look();
    } else if (this.#wakeup === "adaptive") this.#quieten();
  }

  /**
   * Back to wake-ups after two empty ticks, and only then off the timer: a program that read NONE just before it was changed submits
   * its record without a wake-up, and the kernel wakes nobody for the next ones either, as it takes the reader to be busy.
   */
  #quieten(): void {
    this.#emptyTicks++;
    if (this.#emptyTicks === 2) this.#set(WAKEUP_DEFAULT);
    if (this.#emptyTicks < 3) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timed = false;
    this.#batches = 0;
    this.#look();
  }

  /** A descriptor that was not woken is only found readable when it is added anew. */
  #look(): void {
    this.#reader.stop();
    this.#reader.start();
  }
}
