/**
 * Decoders and encoders as closures, for processes that may not make code from text (--disallow-code-generation-from-strings).
 * Same results as the generated ones, several times slower.
 */
import { endianness } from "node:os";
import { readBigBits, readBits, readSignedBits, readWide, writeBigBits, writeBits, writeWide } from "./bits.js";
import type { Decode } from "./generate_decode.js";
import type { Encode } from "./generate_encode.js";
import { fixedSize, uncovered } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type IntegerShape, type RecordMember, type RecordShape, type Shape } from "./shape.js";
import { readBytes, readText, writeBytes, writeTail, writeText } from "./strings.js";
import {
  checkAnyList,
  checkBigint,
  checkBoolean,
  checkExact,
  checkFloat,
  checkList,
  checkNumber,
  checkRecord,
  checkRoom,
  contradiction,
  exactNumber,
  noAlternative,
  sizeMismatch,
  unknownMember,
} from "./values.js";

const LITTLE_ENDIAN = endianness() === "LE";

/** Reads the value at `offset`; `end` is where the record ends, for its tail. */
export type Read = (memory: Memory, offset: number, end: number) => unknown;

/** Stores a value and returns the end of what it wrote, where that is past the type's own size, else 0. */
type Write = (memory: Memory, offset: number, value: unknown, end: number, path: string, sparse: boolean) => number;

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
      return ({ bytes }, offset, end) => readBytes(bytes, offset, shape.tail ? Math.max(0, end - offset) : shape.size);
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

function writeInteger(shape: IntegerShape, label: string): Write {
  const { size, signed } = shape;
  const bits = size * 8;
  const little = LITTLE_ENDIAN !== shape.swapped;
  if (size >= 8) {
    const check = shape.as === "number" ? checkExact : checkBigint;
    return ({ view }, offset, value, _end, path) => {
      const big = check(value, bits, signed, label, path);
      if (size === 16) writeWide(view, offset, big);
      else view.setBigUint64(offset, BigInt.asUintN(64, big), little);
      return 0;
    };
  }
  const low = signed ? -(2 ** (bits - 1)) : 0;
  const high = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return ({ view }, offset, value, _end, path) => {
    const checked = checkNumber(value, low, high, label, path);
    if (size === 4) view.setInt32(offset, checked, little);
    else if (size === 2) view.setInt16(offset, checked, little);
    else view.setInt8(offset, checked);
    return 0;
  };
}

function closureWrite(shape: Shape, label: string): Write {
  switch (shape.kind) {
    case "integer":
      return writeInteger(shape, label);
    case "boolean":
      return ({ bytes }, offset, value, _end, path) => {
        const checked = checkBoolean(value, label, path);
        bytes.fill(0, offset, offset + shape.size);
        bytes[LITTLE_ENDIAN ? offset : offset + shape.size - 1] = checked ? 1 : 0;
        return 0;
      };
    case "float":
      return ({ view }, offset, value, _end, path) => {
        const checked = checkFloat(value, label, path);
        if (shape.size === 4) view.setFloat32(offset, checked, LITTLE_ENDIAN);
        else view.setFloat64(offset, checked, LITTLE_ENDIAN);
        return 0;
      };
    case "chars":
      if (shape.tail)
        return (memory, offset, value, end, path) =>
          offset + writeTail(memory, offset, end, value, "string", label, path);
      return (memory, offset, value, _end, path, sparse) => {
        writeText(memory, offset, shape.size, value, sparse, label, path);
        return 0;
      };
    case "bytes":
      if (shape.tail)
        return (memory, offset, value, end, path) =>
          offset + writeTail(memory, offset, end, value, "Uint8Array", label, path);
      return (memory, offset, value, _end, path) => {
        writeBytes(memory, offset, shape.size, value, label, path);
        return 0;
      };
    case "array": {
      const { element, tail, length } = shape;
      const write = closureWrite(element, label);
      return (memory, offset, value, end, path, sparse) => {
        const list = tail ? checkAnyList(value, label, path) : checkList(value, length, label, path);
        const bytes = list.length * element.size;
        if (tail) checkRoom(bytes, end - offset, label, path);
        for (let i = 0; i < list.length; i++)
          write(memory, offset + i * element.size, list[i], end, `${path}[${i}]`, sparse);
        return tail ? offset + bytes : 0;
      };
    }
    case "record": {
      const names = new Set(shape.names);
      const write = writeMembers(shape, label);
      return (memory, offset, value, end, path, sparse) => {
        const record = checkRecord(value, label, path);
        for (const name in record) if (!names.has(name)) unknownMember(name, names, label, path);
        return write(memory, offset, record, end, path, sparse);
      };
    }
  }
}

function property(record: unknown, name: string): unknown {
  if (name in Object.prototype && !Object.hasOwn(record as object, name)) return undefined;
  return (record as Record<string, unknown>)[name];
}

/** Stores the members of a record that was found to be an object. */
function writeMembers(shape: RecordShape, label: string): Write {
  const members = shape.members.map((member) => ({
    name: member.name,
    names: member.name !== "" ? [member.name] : member.shape.kind === "record" ? member.shape.names : [],
    write: writeMember(member, label),
  }));
  if (!shape.union) {
    return (memory, offset, value, end, path, sparse) => {
      let last = 0;
      for (const { write } of members) last = Math.max(last, write(memory, offset, value, end, path, sparse));
      return last;
    };
  }
  const alternatives = members.filter(({ names }) => names.length > 0);
  return (memory, offset, value, end, path) => {
    const present = alternatives.filter(({ names }) => names.some((name) => property(value, name) !== undefined));
    if (present.length === 0 && alternatives.length > 0) noAlternative(shape.names, label, path);
    let last = 0;
    for (const { write } of present) last = Math.max(last, write(memory, offset, value, end, path, true));
    if (present.length > 1) {
      // Stored once more, each must find its bytes as they are: see the generated form.
      const before = memory.bytes.slice(offset, offset + shape.size);
      for (const { name, write } of present) {
        write(memory, offset, value, end, path, true);
        if (before.some((byte, i) => memory.bytes[offset + i] !== byte)) contradiction(name, label, path);
      }
    }
    return last;
  };
}

function writeMember(member: RecordMember, label: string): Write {
  const { name, bits, shape, offset: within } = member;
  if (name === "" && shape.kind === "record") {
    const write = writeMembers(shape, label);
    return (memory, offset, value, end, path, sparse) => write(memory, offset + within, value, end, path, sparse);
  }
  if (bits === undefined) {
    const write = closureWrite(shape, label);
    return (memory, offset, value, end, path, sparse) =>
      write(memory, offset + within, property(value, name), end, `${path}.${name}`, sparse);
  }
  const { offset: at, size } = bits;
  return ({ bytes }, offset, record, _end, outer) => {
    const value = property(record, name);
    const path = `${outer}.${name}`;
    if (shape.kind === "boolean") writeBits(bytes, offset, at, size, checkBoolean(value, label, path) ? 1 : 0);
    else {
      const { as, signed, size: width } = shape as IntegerShape;
      if (width === 8)
        writeBigBits(
          bytes,
          offset,
          at,
          size,
          (as === "number" ? checkExact : checkBigint)(value, size, signed, label, path),
        );
      else {
        const low = signed ? -(2 ** (size - 1)) : 0;
        const high = signed ? 2 ** (size - 1) - 1 : 2 ** size - 1;
        writeBits(bytes, offset, at, size, checkNumber(value, low, high, label, path));
      }
    }
    return 0;
  };
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

export function closureEncoder(shape: Shape, label: string): Encode {
  const tail = hasTail(shape);
  const gaps = uncovered(shape);
  const write = closureWrite(shape, label);
  return (memory, offset, value, length) => {
    const end = length !== undefined ? offset + length : tail ? memory.byteLength : offset + shape.size;
    if (end > memory.byteLength || end - offset < shape.size)
      sizeMismatch(label, shape.size, Math.min(end, memory.byteLength) - offset);
    if (tail) memory.bytes.fill(0, offset, end);
    else for (const [from, to] of gaps) memory.bytes.fill(0, offset + from, offset + to);
    return Math.max(shape.size, write(memory, offset, value, end, "", false) - offset);
  };
}
