/** One member over many records, as a typed array. */
import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";
import { suggestion } from "../nearest.js";
import type { Memory } from "./memory.js";
import { type RecordShape, type Shape, shapeOf } from "./shape.js";

const ARRAYS = {
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
};

/** The name of a typed array's constructor. */
export type ColumnArrayName = keyof typeof ARRAYS;
export type ColumnArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** Where a member lies in each record, and the typed array that its values fill. */
export interface Column {
  /** Bytes from the start of a record. */
  readonly offset: number;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly array: ColumnArrayName;
  /** Stored in the other byte order, as `__be16` is on x86; {@link gather} returns host order. */
  readonly swapped: boolean;
}

/**
 * The column of a member, given by its path (`"pid"`, `"key.saddr"`).
 *
 * Integers, enums, pointers, floats and booleans (as 0 and 1) have one. 64-bit integers come as BigInt64Array or BigUint64Array.
 *
 * @throws BpfError `INVALID_ARGUMENT` when there is no such member, or its values fit no typed array (bit-fields, strings, arrays, structs).
 */
export function column(btf: Btf, typeId: number, field: string): Column {
  return shapeColumn(shapeOf(btf, typeId), field, btf.describe(typeId));
}

/** As {@link column}, of a shape. */
export function shapeColumn(shape: Shape, field: string, type: string): Column {
  let at: Shape = shape;
  let offset = 0;
  let bits = false;
  for (const name of field.split(".")) {
    const found: Found | undefined = at.kind === "record" && !bits ? find(at, name) : undefined;
    if (found === undefined) {
      const names = at.kind === "record" ? at.names : [];
      throw new BpfError({
        code: "INVALID_ARGUMENT",
        message: `${type} has no member "${field}"${suggestion(name, names)}`,
      });
    }
    at = found.shape;
    offset += found.offset;
    bits = found.bits;
  }
  const array = bits ? undefined : arrayOf(at);
  if (array === undefined) {
    const what = bits
      ? "a bit-field"
      : at.kind === "integer"
        ? "128 bits wide"
        : `${at.kind === "array" || at.kind === "address" ? "an" : "a"} ${at.kind}`;
    throw new BpfError({
      code: "INVALID_ARGUMENT",
      message: `"${field}" of ${type} is ${what}, which no typed array holds`,
    });
  }
  return { offset, size: at.size, array, swapped: at.kind === "integer" && at.swapped };
}

interface Found {
  readonly shape: Shape;
  readonly offset: number;
  readonly bits: boolean;
}

function find(record: RecordShape, name: string): Found | undefined {
  for (const member of record.members) {
    if (member.name === name) return { shape: member.shape, offset: member.offset, bits: member.bits !== undefined };
    if (member.name !== "" || member.shape.kind !== "record") continue;
    const inner = find(member.shape, name);
    if (inner !== undefined) return { ...inner, offset: inner.offset + member.offset };
  }
  return undefined;
}

function arrayOf(shape: Shape): ColumnArrayName | undefined {
  if (shape.kind === "float") return shape.size === 4 ? "Float32Array" : "Float64Array";
  if (shape.kind !== "integer" && shape.kind !== "boolean") return undefined;
  const signed = shape.kind === "integer" && shape.signed;
  switch (shape.size) {
    case 1:
      return signed ? "Int8Array" : "Uint8Array";
    case 2:
      return signed ? "Int16Array" : "Uint16Array";
    case 4:
      return signed ? "Int32Array" : "Uint32Array";
    case 8:
      return signed ? "BigInt64Array" : "BigUint64Array";
    default:
      return undefined;
  }
}

/** An empty typed array for `length` values of a column. */
export function columnArray(from: Column, length: number): ColumnArray {
  return new ARRAYS[from.array](length);
}

/**
 * Copies a column of `count` records, `stride` bytes apart from `start` on, into `into` (which must be of the column's own kind) or
 * a new typed array. Host byte order.
 *
 * @throws BpfError `INVALID_ARGUMENT` when `into` is of another kind or too short; `SIZE_MISMATCH` when records are outside the memory.
 */
export function gather(
  from: Column,
  memory: Memory,
  start: number,
  stride: number,
  count: number,
  into = columnArray(from, count),
): ColumnArray {
  checkInto(from, count, into);
  if (
    count > 0 &&
    (start < 0 || stride < 0 || start + (count - 1) * stride + from.offset + from.size > memory.byteLength)
  ) {
    throw new BpfError({
      code: "SIZE_MISMATCH",
      message: `${count} records from ${start} on, ${stride} bytes apart, end past the ${memory.byteLength} bytes there are`,
    });
  }
  copy(memory, start + from.offset, stride, count, from, into);
  return into;
}

/** Whether an array takes a column of so many values. @throws BpfError INVALID_ARGUMENT */
export function checkInto({ array }: Column, count: number, into: ColumnArray): void {
  if (into.constructor.name === array && into.length >= count) return;
  throw new BpfError({
    code: "INVALID_ARGUMENT",
    message: `a column of ${count} goes into a ${array} of as many elements, not a ${into.constructor.name} of ${into.length}`,
  });
}

/** By the width of the values, not by their kind: each loop sees one kind of typed array, and no bigint is made on the way. */
function copy(
  memory: Memory,
  first: number,
  stride: number,
  count: number,
  { size, swapped }: Column,
  into: ColumnArray,
): void {
  const unit = Math.min(size, 4);
  const aligned = first % unit === 0 && stride % unit === 0;
  const { buffer, byteOffset } = into;
  if (!aligned)
    copyUnaligned(memory.bytes, first, stride, count, size, new Uint8Array(buffer, byteOffset, count * size));
  else if (size === 1) copyBytes(memory.bytes, first, stride, count, new Uint8Array(buffer, byteOffset, count));
  else if (size === 2)
    copyHalves(memory.u16, first >> 1, stride >> 1, count, new Uint16Array(buffer, byteOffset, count));
  else if (size === 4)
    copyWords(memory.u32, first >> 2, stride >> 2, count, new Uint32Array(buffer, byteOffset, count));
  else copyPairs(memory.u32, first >> 2, stride >> 2, count, new Uint32Array(buffer, byteOffset, count * 2));
  if (swapped) swap(Buffer.from(buffer, byteOffset, count * size), size);
}

function copyUnaligned(
  from: Uint8Array,
  first: number,
  stride: number,
  count: number,
  size: number,
  into: Uint8Array,
): void {
  for (let i = 0, at = first; i < count; i++, at += stride) {
    for (let byte = 0; byte < size; byte++) into[i * size + byte] = from[at + byte] as number;
  }
}

function copyBytes(from: Uint8Array, first: number, step: number, count: number, into: Uint8Array): void {
  for (let i = 0, at = first; i < count; i++, at += step) into[i] = from[at] as number;
}

function copyHalves(from: Uint16Array, first: number, step: number, count: number, into: Uint16Array): void {
  for (let i = 0, at = first; i < count; i++, at += step) into[i] = from[at] as number;
}

function copyWords(from: Uint32Array, first: number, step: number, count: number, into: Uint32Array): void {
  for (let i = 0, at = first; i < count; i++, at += step) into[i] = from[at] as number;
}

function copyPairs(from: Uint32Array, first: number, step: number, count: number, into: Uint32Array): void {
  for (let i = 0, at = first; i < count; i++, at += step) {
    into[2 * i] = from[at] as number;
    into[2 * i + 1] = from[at + 1] as number;
  }
}

function swap(bytes: Buffer, size: number): void {
  if (size === 2) bytes.swap16();
  else if (size === 4) bytes.swap32();
  else if (size === 8) bytes.swap64();
}
