/**
 * Strings that were read before.
 *
 * Names of processes, interfaces and files repeat from record to record. Making a string of them costs 70 ns, so strings of up
 * to MAX_CACHED bytes are kept in tables: hash the words up to the NUL, compare, give the same string again (3 to 10 ns).
 * What follows the NUL does not count: bpf_probe_read_kernel_str() leaves there whatever the ring held before.
 *
 * A slot and its neighbour take each other's overflow: with one place per hash, of 200 names that a busy machine has a fifth put each other
 * out again and again.
 */
import { endianness } from "node:os";
import type { Memory } from "./memory.js";
import { readText } from "./strings.js";

const LITTLE_ENDIAN = endianness() === "LE";
const MAX_CACHED = 64;
/** 64 KiB for names of tasks; a machine may have hundreds. */
const SLOT_BITS = 12;

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
  return neighbour16(memory, offset, slot, a, b, c, d);
}

/** Of the slot next to it; else it is made, takes the slot, and what was there moves over. */
function neighbour16(memory: Memory, offset: number, slot: number, a: number, b: number, c: number, d: number): string {
  const key = slot * 4;
  const neighbour = slot ^ 1;
  const there = neighbour * 4;
  if (keys16[there] === a && keys16[there + 1] === b && keys16[there + 2] === c && keys16[there + 3] === d)
    return texts16[neighbour] as string;
  const text = readText(memory, offset, 16);
  keys16.copyWithin(there, key, key + 4);
  texts16[neighbour] = texts16[slot] as string;
  keys16[key] = a;
  keys16[key + 1] = b;
  keys16[key + 2] = c;
  keys16[key + 3] = d;
  texts16[slot] = text;
  return text;
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
    const neighbour = slot ^ 1;
    const there = neighbour * count;
    same = full === count || keys[there + full] === last;
    for (let i = 0; same && i < full; i++) same = keys[there + i] === words[at + i];
    if (same) return texts[neighbour] as string;
    const text = readText(memory, offset, size);
    keys.copyWithin(there, key, key + count);
    texts[neighbour] = texts[slot] as string;
    for (let i = 0; i < full; i++) keys[key + i] = words[at + i] as number;
    if (full < count) keys[key + full] = last;
    texts[slot] = text;
    return text;
  };
}
