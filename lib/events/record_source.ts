import type { Codec } from "../codec/codec.js";
import type { Column } from "../codec/column.js";
import type { RecordLoop } from "../codec/loop.js";
import type { ReaderFactory } from "../codec/reader.js";
import type { NativeRingReader, NativeRingReaderOptions } from "../native.js";
import type { CountersReader } from "./loss.js";
import type { ReaderChoice } from "./reader_choice.js";
import type { WakeupControl } from "./wakeup.js";

/** What the C type of a record offers beyond decoding it. @internal */
export interface RecordAccess<T> {
  /** Reads single members where they lie. */
  readonly reader: ReaderFactory<T>;
  /** @throws BpfError INVALID_ARGUMENT for a member that no typed array holds */
  column(field: string): Column;
  /** Undefined where code must not be generated. */
  readonly loop: RecordLoop<T> | undefined;
}

export type SourceBuffers = Pick<NativeRingReaderOptions, "slab" | "index" | "report" | "onReady">;

/** What a stream reads from. @internal */
export interface RecordSource<T> {
  /** For messages: `ring verdicts`. */
  readonly label: string;
  readonly name: string;
  readonly codec: Codec<T>;
  /** Compiled when the first batch comes. Absent where records are not what BTF describes. */
  readonly access: (() => RecordAccess<T>) | undefined;
  readonly counters: CountersReader | undefined;
  /** CLOCK_MONOTONIC nanoseconds since when programs could send. */
  readonly bornNs: bigint;
  readonly wakeup: WakeupControl | undefined;
  readonly reader: ReaderChoice;
  /**
   * Bytes that a record may have after those of its type: the perf buffer pads raw data to 8 bytes, less the 4 of its own length
   * (kernel/events/core.c: perf_prepare_sample).
   */
  readonly padding: boolean;
  /** The map's descriptor. */
  fd(): number;
  open(buffers: SourceBuffers): NativeRingReader;
  /** The stream is closed, and the reader with it; so many records were read. */
  release?(read: number): void;
}
