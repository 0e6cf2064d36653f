/**
 * Decoders as closures, for processes that may not make code from text (--disallow-code-generation-from-strings).
 * Same results as the generated ones, several times slower.
 */
import { endianness } from "node:os";
import { readAddress } from "./addresses.js";
import { readBigBits, readBits, readSignedBits, readWide } from "./bits.js";
import type { Decode } from "./generate_decode.js";
import { fixedSize } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type IntegerShape, type RecordMember, type RecordShape, type Shape } from "./shape.js";
import { readBytes, readText } from "./strings.js";
import { exactNumber, sizeMismatch } from "./values.js";

const LITTLE_ENDIAN = endianness() === "LE";

/** Reads the value at `offset`; `end` is where the record ends, for its tail. */
export type Read = (memory: Memory, offset: number, end: number) => unknown;

function readInteger(shape: IntegerShape, label: string, path: string): Read {
  const { size, signed } = shape;
  const little = LITTLE_ENDIAN !== shape.swapped;
  if (size === 16) return ({ view }, offset) => readWide(view, offset, signed);
  if (size === 8) {
    const big: (memory: Memory, offset: number) => bigint = signed
      ? ({ view }, offset) => view.getBigInt64(offset, little)
      : ({ view }, offset) => view.getBigUint64(offset, little);
    return shape.as === "bigint" ? big : (memory, offset) => exactNumber(Number(big(memory, offset)), label, path);
  }
  if (size === 4)
    return signed
      ? ({ view }, offset) => view.getInt32(offset, little)
      : ({ view }, offset) => view.getUint32(offset, little);
  if (size === 2)
    return signed
      ? ({ view }, offset) => view.getInt16(offset, little)
      : ({ view }, offset) => view.getUint16(offset, little);
  return signed ? ({ view }, offset) => view.getInt8(offset) : ({ view }, offset) => view.getUint8(offset);
}

function readUnsigned(bytes: Uint8Array, offset: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (bytes[offset + i] !== 0) return true;
  return false;
}

/** Reads a value of the shape, without any check that it is there. */
export function closureRead(shape: Shape, label: string, path = ""): Read {
  switch (shape.kind) {
    case "integer":
      return readInteger(shape, label, path);
    case "boolean":
      return ({ bytes }, offset) => readUnsigned(bytes, offset, shape.size);
    case "float":
      if (shape.size === 4) return ({ view }, offset) => view.getFloat32(offset, LITTLE_ENDIAN);
      return ({ view }, offset) => view.getFloat64(offset, LITTLE_ENDIAN);
    case "chars":
      return (memory, offset, end) => readText(memory, offset, shape.tail ? Math.max(0, end - offset) : shape.size);
    case "bytes":
      return (memory, offset, end) => readBytes(memory, offset, shape.tail ? Math.max(0, end - offset) : shape.size);
    case "address":
      return (memory, offset) => readAddress(memory, offset, shape.size);
    case "array": {
      const { element, tail } = shape;
      const read = closureRead(element, label, `${path}[]`);
      return (memory, offset, end) => {
        const length = tail ? Math.max(0, Math.floor((end - offset) / element.size)) : shape.length;
        const list: unknown[] = [];
        for (let i = 0; i < length; i++) list.push(read(memory, offset + i * element.size, end));
        return list;
      };
    }
    case "record": {
      const members = flatten(shape, 0, path).map((member) => ({
        ...member,
        read: closureMember(member.member, label, member.path),
      }));
      return (memory, offset, end) => {
        const record: Record<string, unknown> = {};
        for (const { name, base, read } of members) {
          const value = read(memory, offset + base, end);
          if (name === "__proto__")
            Object.defineProperty(record, name, { value, enumerable: true, writable: true, configurable: true });
          else record[name] = value;
        }
        return record;
      };
    }
  }
}

/** Reads a member of the record that starts at the offset given. */
export function closureMember(member: RecordMember, label: string, path: string): Read {
  const { bits, shape, offset: within } = member;
  if (bits === undefined) {
    const read = closureRead(shape, label, path);
    return (memory, offset, end) => read(memory, offset + within, end);
  }
  const { offset: at, size } = bits;
  if (shape.kind === "boolean") return ({ bytes }, offset) => readBits(bytes, offset, at, size) !== 0;
  const { as, signed, size: width } = shape as IntegerShape;
  if (width === 8) {
    const big = ({ bytes }: Memory, offset: number): bigint => readBigBits(bytes, offset, at, size, signed);
    return as === "bigint" ? big : (memory, offset) => exactNumber(Number(big(memory, offset)), label, path);
  }
  return signed
    ? ({ bytes }, offset) => readSignedBits(bytes, offset, at, size)
    : ({ bytes }, offset) => readBits(bytes, offset, at, size);
}

interface FlatMember {
  readonly name: string;
  /** Bytes from the start of the outer record to that of the record that has the member. */
  readonly base: number;
  readonly path: string;
  readonly member: RecordMember;
}

/** The members that a record has in JavaScript: its own and those of its anonymous members. */
export function flatten(shape: RecordShape, base: number, path: string): FlatMember[] {
  return shape.members.flatMap((member) => {
    if (member.name === "" && member.shape.kind === "record") return flatten(member.shape, base + member.offset, path);
    return [{ name: member.name, base, path: `${path}.${member.name}`, member }];
  });
}

export function closureDecoder(shape: Shape, label: string): Decode {
  const fixed = fixedSize(shape);
  const tail = hasTail(shape);
  const read = closureRead(shape, label);
  return (memory, offset, length) => {
    const end = offset + (length ?? shape.size);
    if (end - offset < fixed || (tail ? end : offset + fixed) > memory.byteLength) {
      sizeMismatch(label, fixed, Math.min(end, memory.byteLength) - offset);
    }
    return read(memory, offset, end);
  };
}
