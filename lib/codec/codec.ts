/** Values of C types as JavaScript values, both ways: one engine for rings, maps, globals, iterators and test runs. */
import type { Btf } from "../btf/btf.js";
import { closureDecoder } from "./closure_decode.js";
import { closureEncoder, type Encode } from "./closure_encode.js";
import { type Decode, generateDecoder } from "./generate_decode.js";
import { generateEncoder } from "./generate_encode.js";
import { fixedSize } from "./layout.js";
import { Memory } from "./memory.js";
import { hasTail, type Shape, type ShapeOptions, shapeOf } from "./shape.js";
import { canGenerate } from "./source.js";

/** Reads and writes values of one C type. */
export interface Codec<T = unknown> {
  /** The type as C writes it, for example `struct flow_key`. */
  readonly type: string;
  /** Bytes that a value takes, without its flexible end. */
  readonly size: number;
  /** Bytes that a record must have: `size`, but for a flexible end that begins in the padding which sizeof counts. */
  readonly minimumSize: number;
  /** The type ends in a flexible array, whose length the record's length decides. */
  readonly hasTail: boolean;
  /**
   * The value at `offset`: plain data that shares nothing with the memory.
   *
   * `length` is that of the whole record, for a type with a flexible end, and else ignored beyond the check that it suffices.
   *
   * @throws BpfError `SIZE_MISMATCH` when the record is too short; `VALUE_INVALID` when a 64-bit integer that is to be a number is past 2^53.
   */
  decode(memory: Memory, offset: number, length?: number): T;
  /**
   * Stores a value at `offset`, padding as zero, and returns the bytes it takes: `size`, or more with a flexible end.
   *
   * `length` is the room there is, for a type with a flexible end: all of it is zeroed first. Without it that is the rest of the memory.
   *
   * @throws BpfError `VALUE_INVALID`, naming the path, for a value that does not fit the type. The memory may then hold a part of it.
   */
  encode(memory: Memory, offset: number, value: T, length?: number): number;
}

export interface CodecOptions extends ShapeOptions {
  /** Begins error messages, for example `flows key`; the type's name by default. */
  readonly label?: string | undefined;
}

const caches = new WeakMap<Btf, Map<string, Codec>>();

/**
 * The codec of a type. Compiled when it first decodes or encodes, and kept for as long as the BTF is.
 *
 * | C | JavaScript |
 * | --- | --- |
 * | integers up to 32 bits, enums, `char` | number |
 * | 64 and 128 bits, 64-bit enums, pointers | bigint (64 bits: number by {@link ShapeOptions.numbers}); a safe integer is taken too |
 * | `__be16`, `__be32`, `__be64` | the value, in host order |
 * | 4 bytes with `EBPF_IPV4`, 16 with `EBPF_IPV6` (<ebpf/address.h>) | the text of the address |
 * | `bool` | boolean |
 * | `float`, `double` | number |
 * | `char[N]` | string, up to the NUL, as UTF-8; bytes are taken too |
 * | `u8[N]`, `unsigned char[N]` | Uint8Array, a copy (of a stream's records, perhaps with its neighbours in one buffer); a string is taken too |
 * | other arrays | array; typed arrays are taken too |
 * | struct | plain object with its members in C's order; members of anonymous structs and unions are the parent's |
 * | union | object with all its members; one is enough to encode, more must agree |
 * | the kernel's own in a map's value (`struct bpf_spin_lock`, `struct bpf_timer`, kptrs ...) | as any other, of which nothing is meant; may be left out to encode |
 * | flexible array at the end | the rest of the record |
 * | long double and other rarities | Uint8Array |
 *
 * @throws BpfError `BTF_INVALID` when the type is not a value or contradicts itself.
 *
 * @example
 * ```ts
 * import { compileCodec, fileBtf, Memory } from "ebpf";
 * const btf = fileBtf("flows.btf");
 * const codec = compileCodec(btf, btf.get("flow_key", "struct"), { label: "flows key" });
 * const memory = Memory.allocate(codec.size);
 * codec.encode(memory, 0, { saddr: 0x0a000001, dport: 443 });
 * ```
 */
export function compileCodec<T = unknown>(btf: Btf, typeId: number, options: CodecOptions = {}): Codec<T> {
  let cache = caches.get(btf);
  if (cache === undefined) {
    cache = new Map();
    caches.set(btf, cache);
  }
  const key = JSON.stringify([typeId, options.label, options.u64, options.numbers]);
  let codec = cache.get(key);
  if (codec === undefined) {
    const type = btf.describe(typeId);
    codec = shapeCodec(shapeOf(btf, typeId, options), type, options.label ?? type);
    cache.set(key, codec);
  }
  return codec as Codec<T>;
}

export interface BytesCodecOptions {
  /** Begins error messages. */
  readonly label?: string | undefined;
  /** Decoding gives the rest of the record, `size` bytes or more. */
  readonly tail?: boolean | undefined;
}

/** Bytes as they are, for a type that BTF does not know. Encoding takes exactly `size` of them, or at least that many with `tail`. */
export function bytesCodec(size: number, options: BytesCodecOptions = {}): Codec<Uint8Array> {
  const { label = "value", tail = false } = options;
  return shapeCodec({ kind: "bytes", size, tail }, `unsigned char[${tail ? "" : size}]`, label) as Codec<Uint8Array>;
}

/** The codec of a shape; `generate` false takes closures where generated code would be permitted. */
export function shapeCodec(shape: Shape, type: string, label: string, generate: boolean = canGenerate()): Codec {
  let decoder: Decode | undefined;
  let encoder: Encode | undefined;
  // Most codecs only ever go one way, so each half is compiled on its first use; the call after that goes straight to it.
  const codec = {
    type,
    size: shape.size,
    minimumSize: fixedSize(shape),
    hasTail: hasTail(shape),
    decode(memory: Memory, offset: number, length?: number): unknown {
      decoder ??= generate ? generateDecoder(shape, label) : closureDecoder(shape, label);
      codec.decode = decoder;
      return decoder(memory, offset, length);
    },
    encode(memory: Memory, offset: number, value: unknown, length?: number): number {
      encoder ??= generate ? generateEncoder(shape, label) : closureEncoder(shape, label);
      codec.encode = encoder;
      return encoder(memory, offset, value, length);
    },
  };
  return codec;
}

export { Memory };
