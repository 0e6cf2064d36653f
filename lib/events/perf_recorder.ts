import { type Codec, Memory } from "../codec/codec.js";
import { closedError } from "../errors.js";
import { attempt } from "../kernel/explain.js";
import type { NativePerfRecorder } from "../native.js";

/** What a recorder looks into. @internal */
export interface RecorderSource<T> {
  readonly name: string;
  /** For messages: `perf recorder trail`. */
  readonly label: string;
  readonly codec: Codec<T>;
  open(): NativePerfRecorder;
}

/** One of the newest records. */
export interface RecordedEvent<T> {
  readonly record: T;
  /** The CPU that it was written on. */
  readonly cpu: number;
  /** A copy of all its bytes; what is behind the type's members is appended data, and padding. */
  readonly bytes: Uint8Array;
}

/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY whose buffers overwrite what is oldest (minimum kernel 4.7): a flight recorder. Nothing is ever lost for want of room,
 * nobody is woken, and nothing is read until somebody asks what happened last.
 *
 * Records from its making on are kept, as many as each CPU's buffer holds, in the order of each CPU.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Step { pid: number; state: number }
 * using object = await BpfObject.load("trail.bpf.o");
 * const trail = object.perfRecorder<Step>("trail", { type: "struct step", pages: 16 });
 * object.attach();
 * process.on("SIGUSR2", () => {
 *   for (const { record, cpu } of trail.snapshot()) console.log(cpu, record.pid, record.state);
 * });
 * ```
 */
export class PerfRecorder<T> implements Disposable {
  readonly name: string;
  readonly #source: RecorderSource<T>;
  readonly #native: NativePerfRecorder;
  #closed = false;

  /** @internal */
  constructor(source: RecorderSource<T>) {
    this.#source = source;
    this.name = source.name;
    this.#native = source.open();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * What is in the buffers now: CPU by CPU, of each the oldest first. They keep it. While a CPU's buffer is read, a moment, programs on it cannot
   * write: bpf_perf_event_output() returns an error there.
   * @throws BpfError CLOSED; SIZE_MISMATCH, VALUE_INVALID for a record that is not of the type
   */
  snapshot(): RecordedEvent<T>[] {
    if (this.#closed) throw closedError(this.#source.label);
    const { label, codec } = this.#source;
    const pairs = attempt({ doing: `read ${label}` }, () => this.#native.snapshot());
    const events: RecordedEvent<T>[] = [];
    for (let i = 0; i < pairs.length; i += 2) {
      const bytes = pairs[i + 1] as Uint8Array;
      const record = codec.decode(Memory.copyOf(bytes), 0, bytes.length);
      events.push({ record, cpu: pairs[i] as number, bytes });
    }
    return events;
  }

  /** Frees the buffers. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
