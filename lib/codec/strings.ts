/** `char[]` and `u8[]` in memory. */
import { endianness } from "node:os";
import type { Memory } from "./memory.js";
import { checkBytes, checkRoom, checkText, count, refuse } from "./values.js";

const LITTLE_ENDIAN = endianness() === "LE";

/** The string that starts at `offset` and ends at a NUL or after `size` bytes. Bytes that are not UTF-8 become U+FFFD. */
export function readText(memory: Memory, offset: number, size: number): string {
  const bytes = memory.bytes;
  const limit = offset + size;
  let end = offset;
  while (end < limit && bytes[end] !== 0) end++;
  return end === offset ? "" : memory.text.toString("utf8", offset, end);
}

/*
 * Names of processes, interfaces and files repeat from record to record. Making a string of them costs 70 ns, so strings of up
 * to MAX_CACHED bytes are kept in direct-mapped tables: hash the words up to the NUL, compare, give the same string again (10 ns).
 * What follows the NUL does not count: bpf_probe_read_kernel_str() leaves there whatever the ring held before.
 */
const SLOT_BITS = 10;
const MAX_CACHED = 64;

/** The lowest set bit of this marks the first zero byte of a word, as seen by a little-endian machine; 0 when there is none. */
function zeroByte(word: number): number {
  return (word - 0x01010101) & ~word & 0x80808080;
}

/** The bits of a word below the first zero byte. */
function beforeZero(word: number, zero: number): number {
  return word & (((zero & -zero) >>> 7) - 1);
}

const keys16 = new Int32Array(4 << SLOT_BITS);
const texts16: string[] = new Array<string>(1 << SLOT_BITS).fill("");

function remember16(memory: Memory, offset: number, slot: number, a: number, b: number, c: number, d: number): string {
  const text = readText(memory, offset, 16);
  keys16[slot * 4] = a;
  keys16[slot * 4 + 1] = b;
  keys16[slot * 4 + 2] = c;
  keys16[slot * 4 + 3] = d;
  texts16[slot] = text;
  return text;
}

/** `char[16]` (TASK_COMM_LEN, IFNAMSIZ) at a multiple of 4, on a little-endian machine. */
function readText16(memory: Memory, offset: number): string {
  const words = memory.i32;
  const at = offset >> 2;
  let a = words[at] as number;
  let b = 0;
  let c = 0;
  let d = 0;
  let zero = zeroByte(a);
  if (zero !== 0) a = beforeZero(a, zero);
  else {
    b = words[at + 1] as number;
    zero = zeroByte(b);
    if (zero !== 0) b = beforeZero(b, zero);
    else {
      c = words[at + 2] as number;
      zero = zeroByte(c);
      if (zero !== 0) c = beforeZero(c, zero);
      else {
        d = words[at + 3] as number;
        zero = zeroByte(d);
        if (zero !== 0) d = beforeZero(d, zero);
      }
    }
  }
  const mixed = a ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
  const slot = Math.imul(mixed, 0x9e3779b1) >>> (32 - SLOT_BITS);
  const key = slot * 4;
  if (keys16[key] === a && keys16[key + 1] === b && keys16[key + 2] === c && keys16[key + 3] === d)
    return texts16[slot] as string;
  return remember16(memory, offset, slot, a, b, c, d);
}

export type TextReader = (memory: Memory, offset: number) => string;

const readers = new Map<number, TextReader>();

/** Reads `char[size]` at offsets that are multiples of 4, with the table of that size. */
export function textReader(size: number): TextReader {
  if (!LITTLE_ENDIAN || size % 4 !== 0 || size > MAX_CACHED || size === 0)
    return (memory, offset) => readText(memory, offset, size);
  if (size === 16) return readText16;
  let reader = readers.get(size);
  if (reader === undefined) {
    reader = cachingReader(size);
    readers.set(size, reader);
  }
  return reader;
}

function cachingReader(size: number): TextReader {
  const count = size >> 2;
  const keys = new Int32Array(count << SLOT_BITS);
  const texts: string[] = new Array<string>(1 << SLOT_BITS).fill("");
  return (memory, offset) => {
    const words = memory.i32;
    const at = offset >> 2;
    let hash = 0;
    let last = 0;
    let full = 0;
    // `full` words without NUL, then the part of one that has it.
    for (; full < count; full++) {
      const word = words[at + full] as number;
      const zero = zeroByte(word);
      if (zero !== 0) {
        last = beforeZero(word, zero);
        break;
      }
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ last, 0x9e3779b1);
    const slot = hash >>> (32 - SLOT_BITS);
    const key = slot * count;
    // Of two texts of different lengths, one has a NUL in a word where the other has none.
    let same = full === count || keys[key + full] === last;
    for (let i = 0; same && i < full; i++) same = keys[key + i] === words[at + i];
    if (same) return texts[slot] as string;
    const text = readText(memory, offset, size);
    for (let i = 0; i < full; i++) keys[key + i] = words[at + i] as number;
    if (full < count) keys[key + full] = last;
    texts[slot] = text;
    return text;
  };
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
