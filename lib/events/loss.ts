/** What the BPF side counted of a ring declared with `EBPF_RINGBUF` (bpf/include/ebpf/events.h), over all CPUs. */
export interface RingCounters {
  /** Records that BPF programs tried to send: submitted or lost. */
  readonly produced: number;
  /** Records that the ring had no room for. */
  readonly lost: number;
  /** Bytes of the lost records. */
  readonly lostBytes: number;
  /** CLOCK_MONOTONIC nanoseconds of the latest loss; 0n when there was none. */
  readonly lastLostNs: bigint;
}

/** Reads the counters now, from mapped memory. */
export type CountersReader = () => RingCounters;

/** The `lost` event: records that were produced and will never arrive. */
export interface LostRecords {
  /** How many were lost since the last report. */
  readonly count: number;
  /** How many were lost since load. */
  readonly total: number;
  /** Bytes of those `count` records. */
  readonly bytes: number;
  /** They were lost after this time (CLOCK_MONOTONIC, ns), the time of the check before ... */
  readonly sinceNs: bigint;
  /** ... and the last of them at this time. */
  readonly untilNs: bigint;
}

/** `produced = delivered + lost + pending`, once the producers rest. */
export interface StreamTotals {
  /** Records that BPF programs wanted to send: submitted or lost. Undefined where the BPF side does not count. */
  readonly produced: number | undefined;
  /** Records handed to listeners, iterators and readers; those reported as errors included. */
  readonly delivered: number;
  /** Records the ring had no room for. Undefined where the BPF side does not count. */
  readonly lost: number | undefined;
  /** Submitted and not yet delivered: in the ring, or in the batch being read. Undefined where the BPF side does not count. */
  readonly pending: number | undefined;
}

/** Turns counters into `lost` reports, each loss told once. */
export class LossReporter {
  readonly #read: CountersReader;
  #reported = 0;
  #reportedBytes = 0;
  #checkedNs = process.hrtime.bigint();

  constructor(read: CountersReader) {
    this.#read = read;
  }

  counters(): RingCounters {
    return this.#read();
  }

  /** What was lost since the last call, if anything. */
  check(): LostRecords | undefined {
    const { lost, lostBytes, lastLostNs } = this.#read();
    const sinceNs = this.#checkedNs;
    if (lost === this.#reported) return undefined;
    const count = lost - this.#reported;
    const bytes = lostBytes - this.#reportedBytes;
    this.#reported = lost;
    this.#reportedBytes = lostBytes;
    this.#checkedNs = process.hrtime.bigint();
    return { count, total: lost, bytes, sinceNs, untilNs: lastLostNs };
  }
}
