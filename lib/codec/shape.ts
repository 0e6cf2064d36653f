/**
 * What a BTF type is as a JavaScript value, and where it lies: the one place where the rules are kept.
 * Decoders, encoders, cursors, columns and the skeletons' types are all made from a shape.
 */
import { endianness } from "node:os";
import type { Btf } from "../btf/btf.js";
import type { BtfMember, BtfType } from "../btf/types.js";
import { BpfError } from "../errors.js";
import { type AddressBytes, type Declared, declaredAs } from "./declared_tags.js";
import { isKernelOwned } from "./kernel_owned.js";

/** An integer, enum or pointer. */
export interface IntegerShape {
  readonly kind: "integer";
  /** Bytes: 1, 2, 4, 8 or 16. */
  readonly size: number;
  readonly signed: boolean;
  /** Stored in the other byte order than this machine's, as `__be16` is on x86. */
  readonly swapped: boolean;
  /** What it is in JavaScript. A 64-bit integer is a number only by choice. */
  readonly as: "number" | "bigint";
}

export interface BooleanShape {
  readonly kind: "boolean";
  /** Bytes: 1, 2, 4 or 8; 1 for C's bool. */
  readonly size: number;
}

export interface FloatShape {
  readonly kind: "float";
  /** Bytes: 4 or 8. */
  readonly size: number;
}

/** `char[size]`: a string. With `tail`, all that is left of the record. */
export interface CharsShape {
  readonly kind: "chars";
  readonly size: number;
  readonly tail: boolean;
}

/** `u8[size]`, and what has no value in JavaScript: a Uint8Array. */
export interface BytesShape {
  readonly kind: "bytes";
  readonly size: number;
  readonly tail: boolean;
}

/** An IP address that C declares to be one, in the network's byte order: its text. */
export interface AddressShape {
  readonly kind: "address";
  readonly size: AddressBytes;
}

export interface ArrayShape {
  readonly kind: "array";
  readonly size: number;
  readonly element: Shape;
  /** Elements; 0 with `tail`, whose number the record's length decides. */
  readonly length: number;
  readonly tail: boolean;
}

export interface RecordMember {
  /** Empty for an anonymous struct or union, whose members are its parent's in JavaScript too. */
  readonly name: string;
  /** Bytes from the start of the record that has this member; for a bit-field see `bits`. */
  readonly offset: number;
  readonly shape: Shape;
  /** A bit-field: first bit, counted from the start of the record, and number of bits (1 to 64). */
  readonly bits: { readonly offset: number; readonly size: number } | undefined;
  /** The kernel's own, as a `struct bpf_spin_lock` is: what is read of it means nothing, and it may be left out of what is written. */
  readonly owned: boolean;
}

export interface RecordShape {
  readonly kind: "record";
  readonly union: boolean;
  /** Bytes, padding included. */
  readonly size: number;
  /** In the order of the source. */
  readonly members: readonly RecordMember[];
  /** The names that members have in JavaScript, those of anonymous members among them. */
  readonly names: readonly string[];
}

export type Shape =
  | IntegerShape
  | BooleanShape
  | FloatShape
  | CharsShape
  | BytesShape
  | AddressShape
  | ArrayShape
  | RecordShape;

export interface ShapeOptions {
  /**
   * Members of 64 bits to have as `number`, by their path: `["ts", "source.bytes"]`. Elements of an array have the array's path.
   * A value past 2^53 is then an error, never rounded.
   */
  readonly numbers?: readonly string[] | undefined;
  /** `"number"`: every u64 and s64 as `number`, with the same error; pointers and enums stay bigint unless listed in `numbers`. */
  readonly u64?: "bigint" | "number" | undefined;
}

/** Nesting of structs, arrays and references; C compilers guarantee 63 (C17 5.2.4.1). */
const MAX_DEPTH = 96;
/** Members over all nested structs. Hostile BTF nests wide structs into each other; the kernel's widest has 2,700. */
const MAX_MEMBERS = 1 << 14;
/**
 * Values that decoding would make, array elements counted: this many, and then these per byte. The bytes must be there, which
 * bounds arrays; what takes no bytes (empty structs) or takes the same ones (unions) is bounded here.
 */
const MAX_VALUES = 1 << 16;
const MAX_VALUES_PER_BYTE = 64;

const LITTLE_ENDIAN = endianness() === "LE";
const SWAPPED_TYPEDEF = LITTLE_ENDIAN ? /^__be(16|32|64)$/ : /^__le(16|32|64)$/;

function unsupported(btf: Btf, id: number, problem: string): BpfError {
  return new BpfError({ code: "BTF_INVALID", message: `${btf.describe(id)}: ${problem}` });
}

/**
 * The shape of a type; `address` says that a variable of it was declared to be one.
 *
 * @throws BpfError `BTF_INVALID` for a type that is no value (void, a function, a struct only declared) or contradicts itself, and for an EBPF_NUMBER
 * in a union; `INVALID_ARGUMENT` when `numbers` names no 64-bit member.
 */
export function shapeOf(btf: Btf, id: number, options: ShapeOptions = {}, address?: AddressBytes): Shape {
  const numbers = new Set(options.numbers ?? []);
  const number = options.u64 === "number";
  const shape = new Builder(btf, numbers, number).build(id, ROOT, { number, address });
  for (const path of numbers) {
    throw new BpfError({
      code: "INVALID_ARGUMENT",
      message: `${btf.describe(id)} has no 64-bit integer at "${path}" to have as number`,
    });
  }
  if (countValues(shape) > MAX_VALUES + MAX_VALUES_PER_BYTE * shape.size) {
    throw unsupported(btf, id, "too many elements that take no room of their own");
  }
  return shape;
}

/** Whether a value of the shape ends in a flexible array. */
export function hasTail(shape: Shape): boolean {
  switch (shape.kind) {
    case "chars":
    case "bytes":
    case "array":
      return shape.tail;
    case "record":
      return shape.members.some((member) => hasTail(member.shape));
    default:
      return false;
  }
}

function countValues(shape: Shape): number {
  if (shape.kind === "array") return 1 + shape.length * countValues(shape.element);
  if (shape.kind === "record") return shape.members.reduce((sum, member) => sum + countValues(member.shape), 1);
  return 1;
}

/** Where in a value a type is. */
interface Place {
  readonly path: string;
  /** Nothing follows in the record, so an array without length is its tail. */
  readonly last: boolean;
  readonly depth: number;
  /** Its bytes are those of other members of a union too. */
  readonly shared: boolean;
  /** It is a member without a name, whose members are its parent's. */
  readonly anonymous: boolean;
}

const ROOT: Place = { path: "", last: true, depth: 0, shared: false, anonymous: false };

class Builder {
  readonly #btf: Btf;
  /** Paths still to be met. */
  readonly #numbers: Set<string>;
  readonly #listed: ReadonlySet<string>;
  readonly #allNumbers: boolean;
  #members = 0;

  constructor(btf: Btf, numbers: Set<string>, allNumbers: boolean) {
    this.#btf = btf;
    this.#numbers = numbers;
    this.#listed = new Set(numbers);
    this.#allNumbers = allNumbers;
  }

  build(id: number, place: Place, declared: Declared): Shape {
    const { path } = place;
    if (place.depth > MAX_DEPTH) throw unsupported(this.#btf, id, "nested too deeply, or contains itself");
    let at = id;
    let swapped = false;
    let { number, address } = declared;
    let type = this.#btf.type(at);
    for (let step = 0; ; step++) {
      if (type.kind === "typedef") {
        if (SWAPPED_TYPEDEF.test(type.name)) swapped = true;
        const own = declaredAs(this.#btf, at);
        number ||= own.number;
        address ??= own.address;
      } else if (!isWrapper(type)) break;
      if (step > MAX_DEPTH) throw unsupported(this.#btf, id, "refers to itself");
      at = type.type;
      type = this.#btf.type(at);
    }
    if (address !== undefined && this.#isAddress(id, type, address, path)) return { kind: "address", size: address };
    switch (type.kind) {
      case "int":
        if (type.bool && type.size <= 8 && isPowerOfTwo(type.size)) return { kind: "boolean", size: type.size };
        if (number && type.size === 8 && place.shared && !this.#allNumbers)
          throw unsupported(this.#btf, id, sharedNumber(path));
        return this.#integer(type.size, type.signed, swapped, path, number);
      case "enum":
      case "enum64":
        return this.#integer(type.size, type.signed, false, path, false);
      case "ptr":
        return this.#integer(this.#btf.pointerSize, false, false, path, false, true);
      case "float":
        // long double and _Float16 have no JavaScript number of their own.
        return type.size === 4 || type.size === 8
          ? { kind: "float", size: type.size }
          : { kind: "bytes", size: type.size, tail: false };
      case "array":
        return this.#array(at, type.element, type.length, place, { number, address });
      case "struct":
      case "union":
        return this.#record(at, type.size, type.members, type.kind === "union", place);
      case "datasec":
        return this.#record(at, type.size, this.#variables(type.variables), false, { ...place, last: false });
      case "fwd":
        throw unsupported(this.#btf, id, "only declared, not defined, so it has no members to read");
      default:
        throw unsupported(this.#btf, id, type.kind === "void" ? "has no value" : `a ${type.kind} is not a value`);
    }
  }

  /** Whether a type that was declared to be an address is one; an array of them is not one itself. */
  #isAddress(id: number, type: BtfType, bytes: AddressBytes, path: string): boolean {
    if (type.kind === "array" && (type.length === 0 || this.#btf.size(type.element) >= bytes)) return false;
    const bears = type.kind === "array" || type.kind === "struct" || type.kind === "union" || type.kind === "int";
    const size = type.kind === "array" ? this.#btf.size(type.element) * type.length : bears ? type.size : 0;
    if (size === bytes && !(type.kind === "int" && type.bool)) return true;
    const what = path === "" ? "" : `member "${path}" `;
    throw unsupported(
      this.#btf,
      id,
      `${what}is declared EBPF_IPV${bytes === 4 ? 4 : 6} and is neither ${bytes} bytes nor an array of such`,
    );
  }

  #integer(size: number, signed: boolean, swapped: boolean, path: string, allNumbers: boolean, pointer = false): Shape {
    if (size > 16 || !isPowerOfTwo(size)) return { kind: "bytes", size, tail: false };
    const listed = size === 8 && this.#listed.has(path);
    if (listed) this.#numbers.delete(path);
    const big = pointer || size > 4;
    const chosen = size === 8 && (listed || allNumbers);
    return {
      kind: "integer",
      size,
      signed,
      swapped: swapped && size > 1 && size < 16,
      as: big && !chosen ? "bigint" : "number",
    };
  }

  #array(id: number, element: number, length: number, place: Place, declared: Declared): Shape {
    const tail = place.last && length === 0 && place.depth > 0;
    const inner = this.#btf.type(this.#btf.resolve(element));
    if (declared.address === undefined && inner.kind === "int" && inner.size === 1 && !inner.bool) {
      if (inner.char) return { kind: "chars", size: length, tail };
      if (!inner.signed) return { kind: "bytes", size: length, tail };
    }
    const shape = this.build(element, { ...place, last: false, depth: place.depth + 1 }, declared);
    const size = shape.size * length;
    if (!Number.isSafeInteger(size)) throw unsupported(this.#btf, id, "larger than memory");
    return { kind: "array", size, element: shape, length, tail: tail && shape.size > 0 };
  }

  #variables(variables: readonly { type: number; offset: number }[]): BtfMember[] {
    return variables.flatMap(({ type, offset }) => {
      // .ksyms lists functions too; they have no storage.
      if (this.#btf.kind(type) !== "var") return [];
      return [{ name: this.#btf.name(type), type, bitOffset: offset * 8, bitfieldSize: 0 }];
    });
  }

  #record(id: number, size: number, members: readonly BtfMember[], union: boolean, place: Place): Shape {
    const shared = (union && members.length > 1) || (place.shared && place.anonymous);
    const built: RecordMember[] = [];
    const names: string[] = [];
    this.#members += members.length;
    if (this.#members > MAX_MEMBERS)
      throw unsupported(this.#btf, id, `more than ${MAX_MEMBERS} members, those of nested structs counted`);
    for (const [index, member] of members.entries()) {
      const anonymous = member.name === "";
      const path = anonymous ? place.path : place.path === "" ? member.name : `${place.path}.${member.name}`;
      const last = place.last && (union || index === members.length - 1);
      const { number, address } = declaredAs(this.#btf, id, index);
      const shape = this.build(
        member.type,
        { path, last, depth: place.depth + 1, shared, anonymous },
        { number: this.#allNumbers || number, address },
      );
      const made = this.#member(id, size, member, shape);
      // The one thing without a name that is read is a struct or union; anything else would be padding.
      if (!anonymous) names.push(member.name);
      else if (shape.kind === "record") names.push(...shape.names);
      else continue;
      built.push(made);
    }
    return { kind: "record", union, size, members: built, names };
  }

  #member(id: number, size: number, member: BtfMember, shape: Shape): RecordMember {
    let { bitOffset, bitfieldSize } = member;
    if (bitfieldSize === 0) {
      // Before kind_flag (clang 8, pahole 1.13) a bit-field's place and size were those of its int.
      const type = this.#btf.type(this.#btf.resolve(member.type));
      if (type.kind === "int" && type.bits !== 0 && (type.bits !== type.size * 8 || type.bitOffset !== 0)) {
        bitOffset += type.bitOffset;
        bitfieldSize = type.bits;
      }
    }
    const outside = (): BpfError =>
      unsupported(this.#btf, id, `member "${member.name}" lies outside of its ${size} bytes`);
    if (bitfieldSize !== 0) {
      if (bitOffset + bitfieldSize > size * 8) throw outside();
      const allowed =
        (shape.kind === "integer" || shape.kind === "boolean") && bitfieldSize <= Math.min(64, shape.size * 8);
      if (!allowed)
        throw unsupported(
          this.#btf,
          id,
          `member "${member.name}" is a bit-field of ${bitfieldSize} bits and not an integer of as many`,
        );
      return {
        name: member.name,
        offset: bitOffset >>> 3,
        shape,
        bits: { offset: bitOffset, size: bitfieldSize },
        owned: false,
      };
    }
    if (bitOffset % 8 !== 0)
      throw unsupported(this.#btf, id, `member "${member.name}" starts within a byte and is no bit-field`);
    const offset = bitOffset / 8;
    if (offset + shape.size > size) throw outside();
    return { name: member.name, offset, shape, bits: undefined, owned: isKernelOwned(this.#btf, member.type) };
  }
}

/**
 * Whether a u64 of a union is past 2^53 is up to the union's other members: to read it would fail whenever one of those is there. A struct that is a
 * union's member is let be, as which one is there may be told by its tag.
 */
function sharedNumber(path: string): string {
  return `member "${path}" is declared EBPF_NUMBER and shares its bytes with other members of a union, which may be past 2^53: leave it a bigint`;
}

type Wrapper = Extract<BtfType, { kind: "const" | "volatile" | "restrict" | "type_tag" | "var" }>;

function isWrapper(type: BtfType): type is Wrapper {
  return (
    type.kind === "const" ||
    type.kind === "volatile" ||
    type.kind === "restrict" ||
    type.kind === "type_tag" ||
    type.kind === "var"
  );
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
