import { BpfError } from "../errors.js";
import type { Copies } from "./copies.js";

/**
 * What codecs read and write: one stretch of an ArrayBuffer under every view they need.
 *
 * A ring's slab is one, a map's key and value buffers are others. It is made once and used for long: the views cost microseconds.
 * Codecs copy what they return, so the contents may change as soon as a call is over.
 *
 * @example
 * ```ts
 * import { bytesCodec, Memory } from "ebpf";
 * const codec = bytesCodec(16);
 * const memory = new Memory(new ArrayBuffer(codec.size));
 * codec.encode(memory, 0, new Uint8Array(16));
 * ```
 */
export class Memory {
  readonly buffer: ArrayBuffer;
  readonly byteOffset: number;
  /** Bytes from `byteOffset` on; below 2 GiB. */
  readonly byteLength: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The same bytes as a Buffer, for its text methods. */
  readonly text: Buffer;
  readonly i8: Int8Array;
  readonly i16: Int16Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  /** Where bytes are copied from, for memory whose owner says when its contents change. @internal */
  copies: Copies | undefined = undefined;

  /**
   * `byteOffset` must be a multiple of 8: on it rests that an aligned offset is an index into the typed arrays.
   *
   * @throws BpfError `INVALID_ARGUMENT` when it is not, or when the stretch is outside the buffer or 2 GiB and more.
   */
  constructor(buffer: ArrayBuffer, byteOffset = 0, byteLength = buffer.byteLength - byteOffset) {
    if (
      byteOffset % 8 !== 0 ||
      byteOffset < 0 ||
      byteLength < 0 ||
      byteOffset + byteLength > buffer.byteLength ||
      byteLength > 0x7fffffff
    ) {
      throw new BpfError({
        code: "INVALID_ARGUMENT",
        message: `memory of ${byteLength} bytes at ${byteOffset} in a buffer of ${buffer.byteLength}: it must lie inside, start at a multiple of 8 and be under 2 GiB`,
      });
    }
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.byteLength = byteLength;
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.text = Buffer.from(buffer, byteOffset, byteLength);
    this.i8 = new Int8Array(buffer, byteOffset, byteLength);
    this.i16 = new Int16Array(buffer, byteOffset, byteLength >> 1);
    this.u16 = new Uint16Array(buffer, byteOffset, byteLength >> 1);
    this.i32 = new Int32Array(buffer, byteOffset, byteLength >> 2);
    this.u32 = new Uint32Array(buffer, byteOffset, byteLength >> 2);
    this.i64 = new BigInt64Array(buffer, byteOffset, byteLength >> 3);
    this.u64 = new BigUint64Array(buffer, byteOffset, byteLength >> 3);
    this.f32 = new Float32Array(buffer, byteOffset, byteLength >> 2);
    this.f64 = new Float64Array(buffer, byteOffset, byteLength >> 3);
  }

  /** Zeroed memory of its own. */
  static allocate(byteLength: number): Memory {
    return new Memory(new ArrayBuffer(byteLength));
  }

  /** Memory of its own that starts as a copy of `bytes`, which may lie at any address. */
  static copyOf(bytes: Uint8Array): Memory {
    const memory = Memory.allocate(bytes.byteLength);
    memory.bytes.set(bytes);
    return memory;
  }
}
