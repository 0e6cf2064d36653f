/** `char[]` and `u8[]` in memory. */
import type { Memory } from "./memory.js";
import { checkBytes, checkRoom, checkText, count, refuse } from "./values.js";

/** The string that starts at `offset` and ends at a NUL or after `size` bytes. Bytes that are not UTF-8 become U+FFFD. */
export function readText(memory: Memory, offset: number, size: number): string {
  const bytes = memory.bytes;
  const limit = offset + size;
  let end = offset;
  while (end < limit && bytes[end] !== 0) end++;
  return end === offset ? "" : memory.text.toString("utf8", offset, end);
}

/** Up to so many bytes V8 keeps an array's contents in its own heap, and making one costs little. */
const ON_HEAP = 64;
/** Up to so many, a loop is faster than a call. */
const LOOP = 8;

/** A copy, never a view of memory that will be overwritten. */
export function readBytes(memory: Memory, offset: number, size: number): Uint8Array {
  const { bytes } = memory;
  if (size > LOOP) {
    if (size > ON_HEAP && memory.copies !== undefined) return memory.copies.take(offset, size);
    return bytes.slice(offset, offset + size);
  }
  const copy = new Uint8Array(size);
  for (let i = 0; i < size; i++) copy[i] = bytes[offset + i] as number;
  return copy;
}

/**
 * Writes `char[size]`. `sparse` leaves what follows the terminating NUL, for members of unions: it may be another member's.
 * A string that fills the array has no NUL after it, as in C.
 */
export function writeText(
  memory: Memory,
  offset: number,
  size: number,
  value: unknown,
  sparse: boolean,
  label: string,
  path: string,
): void {
  const bytes = memory.bytes;
  let length = 0;
  if (typeof value === "string" && value.length <= size) {
    for (; length < value.length; length++) {
      const code = value.charCodeAt(length);
      if (code === 0 || code > 0x7f) break;
      bytes[offset + length] = code;
    }
    if (length < value.length) length = writeSlowText(memory, offset, size, value, label, path);
  } else length = writeSlowText(memory, offset, size, value, label, path);
  if (sparse) {
    if (length < size) bytes[offset + length] = 0;
  } else for (; length < size; length++) bytes[offset + length] = 0;
}

function writeSlowText(
  memory: Memory,
  offset: number,
  size: number,
  value: unknown,
  label: string,
  path: string,
): number {
  const encoded = checkBytes(value, "string", label, path);
  checkText(encoded, value, label, path);
  if (encoded.length > size) refuse(label, path, `too long: ${count(encoded.length, "byte")} for char[${size}]`);
  memory.bytes.set(encoded, offset);
  return encoded.length;
}

/** Writes `u8[size]`: exactly as many bytes, or a string, which is padded with NUL. */
export function writeBytes(
  memory: Memory,
  offset: number,
  size: number,
  value: unknown,
  label: string,
  path: string,
): void {
  const encoded = checkBytes(value, "Uint8Array", label, path);
  if (encoded.length > size || (encoded.length < size && typeof value !== "string")) {
    refuse(label, path, `expected ${count(size, "byte")}, got ${encoded.length}`);
  }
  memory.bytes.set(encoded, offset);
  if (encoded.length < size) memory.bytes.fill(0, offset + encoded.length, offset + size);
}

/** Writes the flexible end of a record and returns its length in bytes. */
export function writeTail(
  memory: Memory,
  offset: number,
  end: number,
  value: unknown,
  expected: string,
  label: string,
  path: string,
): number {
  const encoded = checkBytes(value, expected, label, path);
  if (expected === "string") checkText(encoded, value, label, path);
  checkRoom(encoded.length, end - offset, label, path);
  memory.bytes.set(encoded, offset);
  return encoded.length;
}
