/** BTF that says what a map's key and value are, for the kernel to keep with the map. */
import { endianness } from "node:os";
import type { Btf } from "../btf/btf.js";
import { BTF_KINDS, type BtfKind, type BtfType } from "../btf/types.js";

const LITTLE_ENDIAN = endianness() === "LE";
/** struct btf_header as first released (4.18). */
const HEADER_BYTES = 24;
/** BTF_INT_SIGNED, BTF_INT_CHAR, BTF_INT_BOOL of include/uapi/linux/btf.h. */
const INT_SIGNED = 1;
const INT_CHAR = 2;
const INT_BOOL = 4;

/** Types, in an order in which they were asked for; those that they need come along. */
export class BtfBuilder {
  readonly #words: number[] = [];
  #count = 0;
  readonly #strings: Buffer[] = [Buffer.from("\0")];
  #stringBytes = 1;
  readonly #names = new Map<string, number>();
  readonly #copied = new Map<Btf, Map<number, number>>();

  integer(name: string, size: number, signed: boolean): number {
    return this.#add("int", name, 0, size, [((signed ? INT_SIGNED : 0) << 24) | (size * 8)]);
  }

  array(element: number, length: number): number {
    const index = this.integer("__ARRAY_SIZE_TYPE__", 4, false);
    return this.#add("array", "", 0, 0, [element, index, length]);
  }

  /** Members are names, types and, where it is not 0, the offset in bytes. */
  struct(
    name: string,
    size: number,
    members: readonly (readonly [name: string, type: number, offset?: number])[],
  ): number {
    const words = members.flatMap(([member, type, offset = 0]) => [this.#string(member), type, offset * 8]);
    return this.#add("struct", name, members.length, size, words);
  }

  /** A type of another BTF with all that it is made of; what pointers point to is left out. */
  copy(btf: Btf, id: number): number {
    let copied = this.#copied.get(btf);
    if (copied === undefined) {
      copied = new Map();
      this.#copied.set(btf, copied);
    }
    const there = copied.get(id);
    if (there !== undefined) return there;
    const made = this.#copy(btf, btf.type(id));
    copied.set(id, made);
    return made;
  }

  /** The BTF as BPF_BTF_LOAD takes it. */
  bytes(): Uint8Array {
    const strings = Buffer.concat(this.#strings);
    const bytes = Buffer.alloc(HEADER_BYTES + this.#words.length * 4 + strings.byteLength);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const u32 = (at: number, value: number): void => view.setUint32(at, value, LITTLE_ENDIAN);
    view.setUint16(0, 0xeb9f, LITTLE_ENDIAN);
    view.setUint8(2, 1);
    u32(4, HEADER_BYTES);
    u32(12, this.#words.length * 4);
    u32(16, this.#words.length * 4);
    u32(20, strings.byteLength);
    for (const [i, word] of this.#words.entries()) u32(HEADER_BYTES + i * 4, word);
    strings.copy(bytes, HEADER_BYTES + this.#words.length * 4);
    return bytes;
  }

  #copy(btf: Btf, type: BtfType): number {
    switch (type.kind) {
      case "int": {
        const encoding =
          (type.signed ? INT_SIGNED : 0) | (type.bool ? INT_BOOL : 0) | (type.char && !type.signed ? INT_CHAR : 0);
        return this.#add("int", type.name, 0, type.size, [(encoding << 24) | (type.bitOffset << 16) | type.bits]);
      }
      case "float":
        return this.#add("float", type.name, 0, type.size, []);
      case "ptr":
        return this.#add("ptr", "", 0, 0, []);
      case "array":
        return this.array(this.copy(btf, type.element), type.length);
      case "struct":
      case "union": {
        const bitFields = type.members.some(({ bitfieldSize }) => bitfieldSize !== 0);
        const members = type.members.flatMap(({ name, type: of, bitOffset, bitfieldSize }) => [
          this.#string(name),
          this.copy(btf, of),
          bitFields ? (bitfieldSize << 24) | bitOffset : bitOffset,
        ]);
        return this.#add(type.kind, type.name, type.members.length | (bitFields ? 1 << 31 : 0), type.size, members);
      }
      case "enum":
      case "enum64": {
        const values =
          type.kind === "enum"
            ? type.values.flatMap(({ name, value }) => [this.#string(name), value])
            : type.values.flatMap(({ name, value }) => [
                this.#string(name),
                Number(BigInt.asUintN(32, value)),
                Number(BigInt.asUintN(32, value >> 32n)),
              ]);
        return this.#add(type.kind, type.name, type.values.length | (type.signed ? 1 << 31 : 0), type.size, values);
      }
      case "typedef":
      case "const":
      case "volatile":
      case "restrict": {
        const of = this.copy(btf, type.type);
        return this.#add(type.kind, type.kind === "typedef" ? type.name : "", 0, of, []);
      }
      case "type_tag":
      case "var":
      case "decl_tag":
        return this.copy(btf, type.type);
      default:
        // void, functions and declared types are no part of a value; a codec has refused them before.
        return 0;
    }
  }

  #add(kind: BtfKind, name: string, info: number, sizeOrType: number, rest: readonly number[]): number {
    // The name first: what is added on the way has words of its own.
    const words = [this.#string(name), ((BTF_KINDS.indexOf(kind) << 24) | info) >>> 0, sizeOrType, ...rest];
    for (const word of words) this.#words.push(word >>> 0);
    return ++this.#count;
  }

  #string(text: string): number {
    if (text === "") return 0;
    const there = this.#names.get(text);
    if (there !== undefined) return there;
    const at = this.#stringBytes;
    const bytes = Buffer.from(`${text}\0`);
    this.#strings.push(bytes);
    this.#stringBytes += bytes.byteLength;
    this.#names.set(text, at);
    return at;
  }
}
