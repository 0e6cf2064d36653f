import type { BpfError } from "../errors.js";
import type { LostRecords } from "./loss.js";
import type { RawRecord, RecordBatch } from "./record_batch.js";

/** What a stream of records tells its listeners. */
export interface StreamEvents<T> {
  /** One record, and what else is known of it (valid until the listener returns). */
  event: [record: T, raw: RawRecord];
  /** All records that were read at once, as a view that is valid until the handler returns. */
  batch: [batch: RecordBatch<T>];
  /**
   * Records that there was no room for. Told in the turn that reads; while nobody reads (paused, no consumer) a timer looks twice a second, which
   * does not keep the process alive and is there only while this event has listeners.
   */
  lost: [lost: LostRecords];
  /**
   * A record that is not what its type says, with its bytes in `bytes`; or the stream cannot be read. The stream goes on; where nobody listens for
   * errors, they are the process's to see (`uncaughtException`), as with any emitter.
   */
  error: [error: BpfError];
  /** It was closed: once, when all is freed. */
  close: [];
}
