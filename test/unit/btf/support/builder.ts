/** Raw BTF made by hand, valid or not: for kinds that clang does not write, and for what no compiler would. */
import { endianness } from "node:os";
import { Btf, type BtfOptions } from "../../../../lib/btf/btf.js";
import { KIND } from "../../../../lib/btf/records.js";
import type { BtfKind } from "../../../../lib/btf/types.js";

const little = endianness() === "LE";

export interface Header {
  magic?: number;
  version?: number;
  headerLength?: number;
  typeOffset?: number;
  typeLength?: number;
  stringOffset?: number;
  stringLength?: number;
}

export class BtfBuilder {
  readonly #words: number[] = [];
  #strings: number[] = [];
  readonly #firstString: number;
  #nextId: number;

  /** With `base`, split BTF: ids and string offsets go on from the base's. */
  constructor(base?: { types: number; strings: number }) {
    this.#nextId = base?.types ?? 1;
    this.#firstString = base?.strings ?? 0;
    if (base === undefined) this.#strings.push(0);
  }

  get stringLength(): number {
    return this.#strings.length;
  }

  string(text: string): number {
    if (text === "") return 0;
    const offset = this.#firstString + this.#strings.length;
    this.#strings.push(...Buffer.from(text), 0);
    return offset;
  }

  /** A record as the format has it; returns its id. */
  add(
    kind: BtfKind | number,
    name: string | number,
    third: number,
    extra: number[] = [],
    { vlen = 0, flag = false } = {},
  ): number {
    const number = typeof kind === "number" ? kind : KIND[kind];
    const info = ((flag ? 0x80000000 : 0) | (number << 24) | vlen) >>> 0;
    this.#words.push(typeof name === "number" ? name : this.string(name), info, third, ...extra);
    return this.#nextId++;
  }

  int(name: string, size: number, { signed = false, bool = false, bits = size * 8, offset = 0 } = {}): number {
    return this.add("int", name, size, [((signed ? 1 : 0) << 24) | ((bool ? 4 : 0) << 24) | (offset << 16) | bits]);
  }

  /** Members as [name, type, bit offset, bit-field size]. */
  struct(
    name: string,
    size: number,
    members: [string, number, number, number?][],
    kind: "struct" | "union" = "struct",
  ): number {
    const flag = members.some(([, , , bits]) => bits !== undefined);
    const extra = members.flatMap(([member, type, offset, bits = 0]) => [
      this.string(member),
      type,
      ((bits << 24) | offset) >>> 0,
    ]);
    return this.add(kind, name, size, extra, { vlen: members.length, flag });
  }

  array(element: number, length: number): number {
    return this.add("array", "", 0, [element, element, length]);
  }

  bytes(header: Header = {}): Uint8Array {
    const types = this.#words.length * 4;
    const bytes = new Uint8Array(24 + types + this.#strings.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, header.magic ?? 0xeb9f, little);
    view.setUint8(2, header.version ?? 1);
    view.setUint32(4, header.headerLength ?? 24, little);
    view.setUint32(8, header.typeOffset ?? 0, little);
    view.setUint32(12, header.typeLength ?? types, little);
    view.setUint32(16, header.stringOffset ?? types, little);
    view.setUint32(20, header.stringLength ?? this.#strings.length, little);
    for (const [i, word] of this.#words.entries()) view.setUint32(24 + i * 4, word, little);
    bytes.set(this.#strings, 24 + types);
    return bytes;
  }

  parse(options: BtfOptions = {}): Btf {
    return Btf.parse(this.bytes(), options);
  }
}
