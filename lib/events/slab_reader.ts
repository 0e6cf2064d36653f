import { errno } from "../kernel/errno.js";
import { explain, type Meaning } from "../kernel/explain.js";
import { type NativeFailure, type NativeRingReader, REPORT_LENGTH, Report } from "../native.js";
import type { HeldBatch } from "./held_batch.js";
import type { RecordSource } from "./record_source.js";
import { DEFAULT_BUDGET } from "./turn.js";
import { Waker } from "./wakeup.js";

/** Large enough to make the call into JavaScript vanish per record, small enough to stay in a core's second-level cache. */
const SLAB_BYTES = 256 * 1024;

/** The one page of a ring that whoever has its map may write. */
const TAMPERED: Meaning = {
  code: "SYSTEM",
  text: "what comes next in it is no record, as somebody else has written the position to read from: two readers of one ring do that",
};

/** What a reader tells. */
export interface SlabEvents {
  /** So many records were put where the held batch has its memory, which is empty: the time for `filled()`. */
  turn(count: number): void;
  /** The kernel says that it had no room for records. */
  lost(count: number, cpu: number): void;
}

/** The native reader of a stream, opened when first needed, with the memory that it fills. @internal */
export class SlabReader<T> {
  readonly #source: RecordSource<T>;
  readonly #held: HeldBatch;
  readonly #events: SlabEvents;
  #native: NativeRingReader | undefined;
  #waker: Waker | undefined;
  #records = DEFAULT_BUDGET.records;
  #referenced = true;
  readonly #report = new Float64Array(REPORT_LENGTH);
  #ahead = false;

  constructor(source: RecordSource<T>, held: HeldBatch, events: SlabEvents) {
    this.#source = source;
    this.#held = held;
    this.#events = events;
  }

  get referenced(): boolean {
    return this.#referenced;
  }

  /** @throws BpfError BUSY, PERMISSION_DENIED, ... */
  open(): NativeRingReader {
    if (this.#native !== undefined) return this.#native;
    const held = this.#held;
    held.allocate(SLAB_BYTES);
    held.index = new Int32Array(2 * this.#records);
    const native = this.#source.open({
      slab: held.memory.buffer,
      index: held.index,
      report: this.#report,
      onReady: (count) => this.#events.turn(count),
    });
    this.#native = native;
    // A thread keeps time by itself.
    this.#waker = new Waker(native, this.#source.reader === "loop" ? this.#source.wakeup : undefined);
    if (!this.#referenced) this.#waker.unref();
    return native;
  }

  /** Starts or stops reading. */
  read(wanted: boolean): void {
    if (wanted) {
      this.open();
      this.#makeRoom();
      this.#waker?.start();
    } else this.#waker?.stop();
  }

  /** Lets a thread go on while records are handed out, or has it rest. Without a thread there is nothing to do. */
  readAhead(on: boolean): void {
    if (this.#source.reader === "loop" || on === this.#ahead) return;
    if (on) this.open().readAhead(true);
    else this.#native?.readAhead(false);
    this.#ahead = on;
  }

  /**
   * Fills the held batch, which must be empty, with what is there now; returns how many records.
   * @throws BpfError BUSY, PERMISSION_DENIED, ...; with EBADMSG when what is there is no record: the native reader rests then
   */
  fill(): number {
    const native = this.open();
    this.#makeRoom();
    return this.filled(this.#nativeFill(native));
  }

  #nativeFill(native: NativeRingReader): number {
    try {
      return native.fill();
    } catch (failure) {
      // The native reader rests, and begins anew for whoever asks anew.
      if ((failure as NativeFailure).errno === errno.EBADMSG) this.#waker?.stop();
      throw explain(failure, { doing: `read ${this.#source.label}`, meanings: { [errno.EBADMSG]: TAMPERED } });
    }
  }

  /** The held batch is of so many records that the native reader has put there; returns how many they are in the end. */
  filled(count: number): number {
    const report = this.#report;
    let lost = report[Report.lost] as number;
    if (count === 0 && report[Report.oversize] !== 0) {
      this.#grow(report[Report.oversize] as number);
      count = this.#nativeFill(this.open());
      lost += report[Report.lost] as number;
    }
    const cpu = whole(report[Report.cpu] as number);
    if (count > 0)
      this.#held.fill(count, whole(report[Report.stride] as number), whole(report[Report.size] as number), cpu);
    // Whoever hears of it finds the batch complete.
    if (lost > 0) this.#events.lost(lost, cpu);
    return count;
  }

  /** Whether the last `fill()` left anything. */
  get more(): boolean {
    return this.#report[Report.more] === 1;
  }

  /**
   * Before anything is read: other memory in place of what was handed out with its records. What there is then is nobody else's. A handler that asks
   * for more is not done with the last record; there will be another call before anything is read.
   */
  #makeRoom(): void {
    const held = this.#held;
    if (held.inUse) return;
    this.#applyLimit();
    if (held.spent) {
      held.allocate(held.memory.byteLength);
      this.#native?.setBuffers(held.memory.buffer, held.index);
    }
    held.memory.copies?.stay();
  }

  /** At most so many records per batch, from the next one on that is read when none is held. */
  limit(records: number): void {
    this.#records = records;
    this.#applyLimit();
  }

  /** What this turn of the event loop read was handed out, as far as that went. */
  delivered(): void {
    this.#waker?.delivered();
  }

  #applyLimit(): void {
    const held = this.#held;
    const rests = held.empty && !held.inUse;
    if (this.#native === undefined || !rests || held.index.length === 2 * this.#records) return;
    held.index = new Int32Array(2 * this.#records);
    this.#native.setBuffers(held.memory.buffer, held.index);
  }

  ref(): void {
    this.#referenced = true;
    this.#waker?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#waker?.unref();
  }

  close(): void {
    this.#waker?.close();
    this.#native?.close();
    this.#native = undefined;
    this.#waker = undefined;
  }

  /** The next record is larger than the slab. */
  #grow(bytes: number): void {
    this.#held.allocate(2 ** Math.ceil(Math.log2(bytes)));
    this.#native?.setBuffers(this.#held.memory.buffer, this.#held.index);
  }
}

/** What comes out of a Float64Array is a double to V8 until it is told otherwise, and then so are all offsets computed with it. */
function whole(number: number): number {
  return number | 0;
}
