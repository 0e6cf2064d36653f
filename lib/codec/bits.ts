/**
 * Bit-fields and 128-bit integers: what typed arrays cannot read.
 *
 * Bits are numbered as BTF numbers them: from the least significant bit of the first byte on a little-endian machine, from
 * the most significant on a big-endian one.
 */
import { endianness } from "node:os";

const LITTLE_ENDIAN = endianness() === "LE";

/** Up to 32 bits as an unsigned number. `at` is the first bit, counted from `offset`. */
export function readBits(bytes: Uint8Array, offset: number, at: number, size: number, little = LITTLE_ENDIAN): number {
  const first = offset + (at >>> 3);
  const shift = at & 7;
  const span = (shift + size + 7) >>> 3;
  // At most 5 bytes, 40 bits: exact in a double.
  let value = 0;
  for (let i = 0; i < span; i++) value = value * 256 + (bytes[little ? first + span - 1 - i : first + i] as number);
  const below = little ? shift : span * 8 - shift - size;
  return Math.floor(value / 2 ** below) % 2 ** size;
}

/** As {@link readBits} for a signed field. */
export function readSignedBits(
  bytes: Uint8Array,
  offset: number,
  at: number,
  size: number,
  little = LITTLE_ENDIAN,
): number {
  const value = readBits(bytes, offset, at, size, little);
  return value >= 2 ** (size - 1) ? value - 2 ** size : value;
}

/** Up to 64 bits. */
export function readBigBits(
  bytes: Uint8Array,
  offset: number,
  at: number,
  size: number,
  signed: boolean,
  little = LITTLE_ENDIAN,
): bigint {
  let value: bigint;
  if (size <= 32) value = BigInt(readBits(bytes, offset, at, size, little));
  else {
    const low = readBits(bytes, offset, little ? at : at + size - 32, 32, little);
    const high = readBits(bytes, offset, little ? at + 32 : at, size - 32, little);
    value = (BigInt(high) << 32n) | BigInt(low);
  }
  return signed ? BigInt.asIntN(size, value) : value;
}

/** Stores the low `size` bits (up to 32) of `value`, leaving the bits around them. */
export function writeBits(
  bytes: Uint8Array,
  offset: number,
  at: number,
  size: number,
  value: number,
  little = LITTLE_ENDIAN,
): void {
  let rest = (value >>> 0) % 2 ** size;
  for (let done = 0; done < size; ) {
    const bit = at + done;
    const index = offset + (bit >>> 3);
    const within = bit & 7;
    const take = Math.min(8 - within, size - done);
    const left = size - done - take;
    const chunk = little ? rest % 2 ** take : Math.floor(rest / 2 ** left);
    rest = little ? Math.floor(rest / 2 ** take) : rest % 2 ** left;
    const shift = little ? within : 8 - within - take;
    const mask = (2 ** take - 1) << shift;
    bytes[index] = ((bytes[index] as number) & ~mask) | (chunk << shift);
    done += take;
  }
}

/** As {@link writeBits} for up to 64 bits. */
export function writeBigBits(
  bytes: Uint8Array,
  offset: number,
  at: number,
  size: number,
  value: bigint,
  little = LITTLE_ENDIAN,
): void {
  const low = Number(BigInt.asUintN(32, value));
  if (size <= 32) {
    writeBits(bytes, offset, at, size, low, little);
    return;
  }
  const high = Number(BigInt.asUintN(32, value >> 32n));
  writeBits(bytes, offset, little ? at : at + size - 32, 32, low, little);
  writeBits(bytes, offset, little ? at + 32 : at, size - 32, high, little);
}

export function readWide(view: DataView, offset: number, signed: boolean, little = LITTLE_ENDIAN): bigint {
  const low = view.getBigUint64(little ? offset : offset + 8, little);
  const high = view.getBigUint64(little ? offset + 8 : offset, little);
  const value = (high << 64n) | low;
  return signed ? BigInt.asIntN(128, value) : value;
}

export function writeWide(view: DataView, offset: number, value: bigint, little = LITTLE_ENDIAN): void {
  view.setBigUint64(little ? offset : offset + 8, BigInt.asUintN(64, value), little);
  view.setBigUint64(little ? offset + 8 : offset, BigInt.asUintN(64, value >> 64n), little);
}
