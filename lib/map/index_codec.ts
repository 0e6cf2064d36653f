/** Codecs of what is a number in the kernel whatever C calls it. */
import { type Codec, shapeCodec } from "../codec/codec.js";

/** A u32 key that is an index, a CPU or an id: objects declare it as int, __u32 or an enum alike, and some without BTF. */
export function indexCodec(label: string): Codec<number> {
  return shapeCodec(
    { kind: "integer", size: 4, signed: false, swapped: false, as: "number" },
    "__u32",
    label,
  ) as Codec<number>;
}
