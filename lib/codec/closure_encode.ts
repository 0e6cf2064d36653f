/**
 * Encoders as closures, for processes that may not make code from text, and for what is not worth generating: unions of which
 * several members are given.
 */
import { endianness } from "node:os";
import { BpfError } from "../errors.js";
import { writeAddress } from "./addresses.js";
import { writeBigBits, writeBits, writeWide } from "./bits.js";
import { uncovered } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type IntegerShape, type RecordMember, type RecordShape, type Shape } from "./shape.js";
import { readText, writeBytes, writeTail, writeText } from "./strings.js";
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
  noAlternative,
  ownProperty,
  sizeMismatch,
  unknownMember,
} from "./values.js";

/** Returns the number of bytes that the value takes. */
export type Encode = (memory: Memory, offset: number, value: unknown, length?: number) => number;

const LITTLE_ENDIAN = endianness() === "LE";

/** Stores a value and returns the end of what it wrote, where that is past the type's own size, else 0. */
type Write = (memory: Memory, offset: number, value: unknown, end: number, path: string, sparse: boolean) => number;

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
      return ({ bytes }, offset, value, _end, path, sparse) => {
        const checked = checkBoolean(value, label, path);
        const there = bytes.subarray(offset, offset + shape.size);
        if (sparse && there.some((byte) => byte !== 0) === checked) return 0;
        bytes.fill(0, offset, offset + shape.size);
        bytes[LITTLE_ENDIAN ? offset : offset + shape.size - 1] = checked ? 1 : 0;
        return 0;
      };
    case "float":
      return ({ view }, offset, value, _end, path, sparse) => {
        const checked = checkFloat(value, label, path);
        // A NaN has many forms.
        const there =
          shape.size === 4 ? view.getFloat32(offset, LITTLE_ENDIAN) : view.getFloat64(offset, LITTLE_ENDIAN);
        if (sparse && Object.is(there, checked)) return 0;
        if (shape.size === 4) view.setFloat32(offset, checked, LITTLE_ENDIAN);
        else view.setFloat64(offset, checked, LITTLE_ENDIAN);
        return 0;
      };
    case "chars":
      if (shape.tail)
        return (memory, offset, value, end, path) =>
          offset + writeTail(memory, offset, end, value, "string", label, path);
      return (memory, offset, value, _end, path, sparse) => {
        if (sparse && readText(memory, offset, shape.size) === value) return 0;
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
    case "address":
      return (memory, offset, value, _end, path) => {
        writeAddress(memory, offset, shape.size, value, label, path);
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

/** Stores the members of a record that was found to be an object. */
function writeMembers(shape: RecordShape, label: string): Write {
  if (shape.union) return closureUnion(shape, label);
  const members = shape.members.map((member) => writeMember(member, label));
  return (memory, offset, value, end, path, sparse) => {
    let last = 0;
    for (const write of members) last = Math.max(last, write(memory, offset, value, end, path, sparse));
    return last;
  };
}

/** Rounds after which several members of a union must have settled; more than two are for text that is not UTF-8. */
const ROUNDS = 3;

/**
 * Stores what a value has of a union's members.
 *
 * One is enough. Decoding gives all of them, and what it gives is taken back: all given are stored one after another until none
 * changes a byte any more. What decoding may have changed (text that was not UTF-8, a bool of 2) leaves bytes that decode to it as
 * they are. When no round is quiet, two of them contradict each other.
 */
export function closureUnion(shape: RecordShape, label: string): Write {
  const alternatives = shape.members
    .map((member) => ({ name: member.name, names: namesOf(member), write: writeMember(member, label) }))
    .filter(({ names }) => names.length > 0);
  const tail = hasTail(shape);
  return (memory, offset, value, end, path) => {
    const present = alternatives.filter(({ names }) => names.some((name) => ownProperty(value, name) !== undefined));
    const [first] = present;
    if (first === undefined) return alternatives.length === 0 ? 0 : noAlternative(shape.names, label, path);
    if (present.length === 1) return first.write(memory, offset, value, end, path, true);

    const region = memory.bytes.subarray(offset, tail ? end : offset + shape.size);
    let last = 0;
    let failure: BpfError | undefined;
    let restless: string | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      failure = undefined;
      restless = undefined;
      for (const { name, write } of present) {
        const before = region.slice();
        try {
          last = Math.max(last, write(memory, offset, value, end, path, true));
        } catch (error) {
          if (!(error instanceof BpfError)) throw error;
          failure ??= error;
          region.set(before);
        }
        if (before.some((byte, i) => region[i] !== byte)) {
          restless ??= name;
        }
      }
      if (restless === undefined && failure === undefined) return last;
    }
    throw failure ?? contradiction(restless ?? "", label, path);
  };
}

/** What a member is in JavaScript: one name, or those of an anonymous struct's members. */
function namesOf({ name, shape }: RecordMember): readonly string[] {
  if (name !== "") return [name];
  return shape.kind === "record" ? shape.names : [];
}

function writeMember(member: RecordMember, label: string): Write {
  const { name, bits, shape, offset: within } = member;
  if (name === "" && shape.kind === "record") {
    const write = writeMembers(shape, label);
    return (memory, offset, value, end, path, sparse) => write(memory, offset + within, value, end, path, sparse);
  }
  if (bits === undefined) {
    const write = closureWrite(shape, label);
    return (memory, offset, value, end, path, sparse) => {
      const given = ownProperty(value, name);
      if (member.owned && given === undefined) return 0;
      return write(memory, offset + within, given, end, `${path}.${name}`, sparse);
    };
  }
  const { offset: at, size } = bits;
  return ({ bytes }, offset, record, _end, outer) => {
    const value = ownProperty(record, name);
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
