/** Decoders as generated code: one expression per value, object literals in the order of the C members. */
import { endianness } from "node:os";
import { addressOf, advance, type Place, strided, type Views } from "./access.js";
import { fixedSize } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type IntegerShape, type RecordMember, type RecordShape, type Shape } from "./shape.js";
import { literal, propertyKey, Source } from "./source.js";

const LITTLE_ENDIAN = endianness() === "LE";
/** Elements up to which an array of scalars is written out in place of a loop. */
const UNROLL = 8;

export type Decode = (memory: Memory, offset: number, length?: number) => unknown;

/** Emits expressions that read values of shapes. Used by decoders and by cursors. */
export class DecodeEmitter {
  readonly #source: Source;
  /** First byte past what may be read, counted from the root's base. */
  readonly #limit: number;

  constructor(source: Source, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  /** `end` is a variable that holds where the record ends, for its tail. `limit`: bytes from the base that are there. */
  value(views: Views, shape: Shape, place: Place, path: string, end: string, limit = this.#limit): string {
    switch (shape.kind) {
      case "integer":
        return this.#integer(views, shape, place, path);
      case "boolean":
        return `${views.load("u", shape.size, place)} !== ${shape.size === 8 ? "0n" : "0"}`;
      case "float":
        return views.load("f", shape.size, place);
      case "chars": {
        if (shape.tail) return `readText(memory, ${addressOf(place)}, Math.max(0, ${end} - (${addressOf(place)})))`;
        if (shape.size === 0) return '""';
        if (strided(place, 4) >= 4) {
          views.alignment = Math.max(views.alignment, 4);
          return `${this.#source.textReader(shape.size)}(memory, ${addressOf(place)})`;
        }
        return `readText(memory, ${addressOf(place)}, ${shape.size})`;
      }
      case "bytes":
        if (shape.tail) return `readBytes(memory, ${addressOf(place)}, Math.max(0, ${end} - (${addressOf(place)})))`;
        return `readBytes(memory, ${addressOf(place)}, ${shape.size})`;
      case "address":
        return `readAddress(memory, ${addressOf(place)}, ${shape.size})`;
      case "array":
        return this.#array(views, shape.element, shape.tail ? undefined : shape.length, place, path, end);
      case "record":
        return `{ ${this.#literal(views, shape, place, path, end, limit).join(", ")} }`;
    }
  }

  /** A member of a record that starts at `place`. */
  member(views: Views, member: RecordMember, place: Place, path: string, end: string, limit = this.#limit): string {
    const inner = member.name === "" ? path : `${path}.${member.name}`;
    if (member.bits === undefined)
      return this.value(views, member.shape, advance(place, member.offset), inner, end, limit);
    return this.#bits(views, member.shape, member.bits.offset, member.bits.size, place, inner, limit);
  }

  #literal(views: Views, shape: RecordShape, place: Place, path: string, end: string, limit: number): string[] {
    return shape.members.flatMap((member) => {
      if (member.name === "" && member.shape.kind === "record") {
        return this.#literal(views, member.shape, advance(place, member.offset), path, end, limit);
      }
      return [`${propertyKey(member.name)}: ${this.member(views, member, place, path, end, limit)}`];
    });
  }

  #integer(views: Views, shape: IntegerShape, place: Place, path: string): string {
    const { size, signed, swapped } = shape;
    if (size === 16) return `readWide(${views.view()}, ${addressOf(place)}, ${signed})`;
    const kind = signed ? "i" : "u";
    if (size < 8 || shape.as === "bigint") return views.load(kind, size, place, swapped);
    // Two halves and no bigint in between; a sum past 2^53 may be rounded but stays past 2^53.
    const lowFirst = LITTLE_ENDIAN !== swapped;
    const low = views.load("u", 4, lowFirst ? place : advance(place, 4), swapped);
    const high = views.load(kind, 4, lowFirst ? advance(place, 4) : place, swapped);
    return `exactNumber(${high} * 4294967296 + ${low}, ${this.#source.label}, ${literal(path)})`;
  }

  #bits(views: Views, shape: Shape, at: number, size: number, place: Place, path: string, limit: number): string {
    const start = addressOf(place);
    if (shape.kind === "boolean") return `readBits(${views.bytes()}, ${start}, ${at}, ${size}) !== 0`;
    const { as, signed, size: width } = shape as IntegerShape;
    if (as === "bigint") return `readBigBits(${views.bytes()}, ${start}, ${at}, ${size}, ${signed})`;
    if (width === 8) {
      return `exactNumber(Number(readBigBits(${views.bytes()}, ${start}, ${at}, ${size}, ${signed})), ${this.#source.label}, ${literal(path)})`;
    }
    // Most bit-fields lie within one 32-bit word: two shifts.
    const absolute = place.offset * 8 + at;
    const word = absolute >>> 5;
    const shift = absolute & 31;
    if (LITTLE_ENDIAN && shift + size <= 32 && word * 4 + 4 <= limit) {
      const load = views.load("u", 4, { ...place, offset: word * 4 });
      return `(${load} << ${32 - shift - size}) ${signed ? ">>" : ">>>"} ${32 - size}`;
    }
    return `${signed ? "readSignedBits" : "readBits"}(${views.bytes()}, ${start}, ${at}, ${size})`;
  }

  #array(views: Views, element: Shape, length: number | undefined, place: Place, path: string, end: string): string {
    const inner = `${path}[]`;
    const scalar = element.kind === "integer" || element.kind === "boolean" || element.kind === "float";
    if (scalar && length !== undefined && length <= UNROLL) {
      const elements = Array.from({ length }, (_, i) =>
        this.value(views, element, advance(place, i * element.size), inner, end),
      );
      return `[${elements.join(", ")}]`;
    }
    const name = this.#source.unique("array");
    const alignment = strided(place, element.size);
    this.#source.function(name, "memory, at, count", (own) => {
      const value = this.value(own, element, { base: "at", offset: 0, alignment }, inner, end, element.size);
      views.alignment = Math.max(views.alignment, own.alignment);
      return `const list = []; for (let i = 0; i < count; i++, at += ${element.size}) list.push(${value}); return list;`;
    });
    const start = addressOf(place);
    const count = length ?? `Math.max(0, Math.floor((${end} - (${start})) / ${element.size}))`;
    return `${name}(memory, ${start}, ${count})`;
  }
}

/** Adds function `name` that decodes at offsets that are multiples of `alignment`; returns the alignment it needs in fact. */
export function addDecoder(source: Source, name: string, shape: Shape, alignment: number): number {
  const fixed = fixedSize(shape);
  const emitter = new DecodeEmitter(source, fixed);
  let needed = 1;
  source.function(name, "memory, offset, end", (views) => {
    const value = emitter.value(views, shape, { base: "offset", offset: 0, alignment }, "", "end");
    needed = views.alignment;
    return `return ${value};`;
  });
  return needed;
}

/** Checks of size and alignment before a decoder runs. Text, for the head of a function `(memory, offset, length)`. */
export function entryChecks(source: Source, shape: Shape): string {
  const fixed = fixedSize(shape);
  const mismatch = `sizeMismatch(${source.label}, ${fixed}, length === undefined ? memory.byteLength - offset : Math.min(length, memory.byteLength - offset))`;
  if (hasTail(shape)) {
    return `const end = offset + (length === undefined ? ${shape.size} : length); if (end - offset < ${fixed} || end > memory.byteLength) ${mismatch};`;
  }
  // An absent length compares false.
  return `if (length < ${fixed} || offset + ${fixed} > memory.byteLength) ${mismatch};`;
}

export function generateDecoder(shape: Shape, label: string): Decode {
  const source = new Source(label);
  const needed = addDecoder(source, "aligned", shape, 8);
  const end = hasTail(shape) ? "end" : "0";
  let dispatch = "";
  if (needed > 1) {
    // Made when first wanted: rings and map buffers are always aligned.
    let unaligned: ((memory: Memory, offset: number, end: number) => unknown) | undefined;
    const slow = source.constant((memory: Memory, offset: number, last: number) => {
      if (unaligned === undefined) {
        const other = new Source(label);
        addDecoder(other, "unaligned", shape, 1);
        unaligned = other.compile("unaligned") as typeof unaligned;
      }
      return unaligned?.(memory, offset, last);
    });
    dispatch = `if ((offset & ${needed - 1}) !== 0) return ${slow}(memory, offset, ${end});`;
  }
  source.add(
    `function decode(memory, offset, length) { ${entryChecks(source, shape)} ${dispatch} return aligned(memory, offset, ${end}); }`,
  );
  return source.compile("decode") as Decode;
}
