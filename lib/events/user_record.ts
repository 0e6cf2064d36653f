import { Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { encodeRecord, type RecordEncoder } from "./record_encoder.js";

/** What a reservation does with its room in the ring. @internal */
export interface ReservedRoom {
  readonly label: string;
  submit(bytes: Uint8Array): void;
  discard(): void;
}

/**
 * Room for one record in a user ring buffer, kept until `submit()` or `discard()`: programs see neither this record nor those written after
 * it before that. Its bytes are memory of its own, zero at first, and are copied into the ring by `submit()`.
 */
export class UserRecord<T> implements Disposable {
  readonly #memory: Memory;
  readonly #codec: RecordEncoder<T>;
  #room: ReservedRoom | undefined;
  readonly #label: string;

  /** From `reserve()`. @internal */
  constructor(room: ReservedRoom, codec: RecordEncoder<T>, size: number) {
    this.#room = room;
    this.#label = room.label;
    this.#codec = codec;
    // Codecs want whole words.
    this.#memory = Memory.allocate((size + 7) & ~7);
    this.bytes = this.#memory.bytes.subarray(0, size);
  }

  /** What `submit()` sends when it is given no record. */
  readonly bytes: Uint8Array;

  /** Whether it was submitted or discarded. */
  get done(): boolean {
    return this.#room === undefined;
  }

  /**
   * Hands the record to the programs: the one given, or what is in `bytes`. A record that does not fit leaves the room reserved.
   * @throws BpfError VALUE_INVALID, SIZE_MISMATCH; INVALID_STATE when it was submitted or discarded before
   */
  submit(record?: T): void {
    const room = this.#use("submit");
    if (record !== undefined) {
      const size = encodeRecord(this.#codec, this.#memory, record, this.bytes.length);
      if (size > this.bytes.length) {
        const message = `${this.#label}: a record of ${size} bytes does not fit the ${this.bytes.length} that were reserved`;
        throw new BpfError({ code: "SIZE_MISMATCH", message });
      }
    }
    this.#room = undefined;
    room.submit(this.bytes);
  }

  /** Gives the room up. Does nothing after `submit()`. */
  discard(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.discard();
  }

  [Symbol.dispose](): void {
    this.discard();
  }

  #use(operation: string): ReservedRoom {
    if (this.#room !== undefined) return this.#room;
    const message = `${this.#label}: ${operation}() of a record that was submitted or discarded already`;
    throw new BpfError({ code: "INVALID_STATE", message });
  }
}
