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
  /** Bytes of those `count` records; undefined where the kernel does not say (a perf buffer that the BPF side does not count). */
  readonly bytes: number | undefined;
  /** They were lost after this time (CLOCK_MONOTONIC, ns): that of the loss that was reported before, or when the object was loaded ... */
  readonly sinceNs: bigint;
  /** ... and the last of them at this time, or before it where the BPF side does not count. */
  readonly untilNs: bigint;
  /** The CPU whose buffer was full, where the kernel said so. */
  readonly cpu: number | undefined;
}

/** `produced = delivered + lost + pending`, once the producers rest. */
export interface StreamTotals {
  /** Records that BPF programs wanted to send: submitted or lost. Undefined where the BPF side does not count. */
  readonly produced: number | undefined;
  /** Records handed to listeners, iterators and readers; those reported as errors included. */
  readonly delivered: number;
  /** Records there was no room for. Undefined for a ring that the BPF side does not count; the kernel counts for perf buffers. */
  readonly lost: number | undefined;
  /** Submitted and not yet delivered: in the ring, with a thread that reads ahead, or in the batch being read. Undefined where the BPF side does not count. */
  readonly pending: number | undefined;
}

/** Turns counts of losses into `lost` reports, each loss told once. @internal */
export interface LossReporter {
  /** What was lost since the last call, if the BPF side counts and there was anything. */
  check(): LostRecords | undefined;
  /** The kernel says that it lost records. */
  add(count: number, cpu: number): LostRecords | undefined;
  totals(delivered: number): StreamTotals;
  /** The counters will be gone: keeps what they say now. */
  freeze(): void;
}

/** `bornNs`: since when programs could lose. */
export function lossReporter(read: CountersReader | undefined, bornNs: bigint): LossReporter {
  return read === undefined ? new KernelLoss(bornNs) : new CountedLoss(read, bornNs);
}

/** By the counters of the BPF side, which are exact: the kernel's own reports say the same again. */
class CountedLoss implements LossReporter {
  #read: CountersReader;
  #reported = 0;
  #reportedBytes = 0;
  #sinceNs: bigint;

  constructor(read: CountersReader, bornNs: bigint) {
    this.#read = read;
    this.#sinceNs = bornNs;
  }

  check(): LostRecords | undefined {
    const { lost, lostBytes, lastLostNs } = this.#read();
    if (lost === this.#reported) return undefined;
    const sinceNs = this.#sinceNs;
    // Programs count a loss before they note its time: what is counted next happened after every time that is noted now.
    const late = lastLostNs < sinceNs;
    const untilNs = late ? sinceNs : lastLostNs;
    const count = lost - this.#reported;
    const bytes = lostBytes - this.#reportedBytes;
    this.#reported = lost;
    this.#reportedBytes = lostBytes;
    this.#sinceNs = untilNs;
    return { count, total: lost, bytes, sinceNs, untilNs, cpu: undefined };
  }

  add(): undefined {
    return undefined;
  }

  totals(delivered: number): StreamTotals {
    const { produced, lost } = this.#read();
    return { produced, delivered, lost, pending: produced - lost - delivered };
  }

  freeze(): void {
    const last = this.#read();
    this.#read = () => last;
  }
}

/** By what the kernel reports; for a ring that is nothing. */
class KernelLoss implements LossReporter {
  #total: number | undefined;
  #reportedNs: bigint;

  constructor(bornNs: bigint) {
    this.#reportedNs = bornNs;
  }

  check(): undefined {
    return undefined;
  }

  add(count: number, cpu: number): LostRecords {
    const total = (this.#total ?? 0) + count;
    const sinceNs = this.#reportedNs;
    const untilNs = process.hrtime.bigint();
    this.#total = total;
    this.#reportedNs = untilNs;
    return { count, total, bytes: undefined, sinceNs, untilNs, cpu };
  }

  totals(delivered: number): StreamTotals {
    return { produced: undefined, delivered, lost: this.#total, pending: undefined };
  }

  freeze(): void {}
}
