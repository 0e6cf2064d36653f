import type { Codec, Memory } from "../codec/codec.js";

/** The half of a codec that writes. @internal */
export type RecordEncoder<T> = Pick<Codec<T>, "encode" | "size" | "minimumSize" | "hasTail" | "type">;

/** Stores a record at the beginning of `memory`, of which it may have `room` bytes; returns how many it takes. @internal */
export function encodeRecord<T>(codec: RecordEncoder<T>, memory: Memory, record: T, room: number): number {
  return codec.hasTail ? codec.encode(memory, 0, record, room) : codec.encode(memory, 0, record);
}
