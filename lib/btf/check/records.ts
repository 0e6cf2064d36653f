/** Each record by itself: its names and references lead somewhere, and to a kind that may be there. */
import { isModifier, KIND, kindNumber, nameOffset } from "../records.js";
import { invalid } from "../sections.js";
import { BTF_KINDS } from "../types.js";

/** What is checked: all types from id 1, those of a base first. */
export interface CheckedTypes {
  /** Names the source in errors. */
  readonly what: string;
  /** One more than the highest id. */
  readonly count: number;
  /** The words among which a type's record is; the record is whole. */
  words(id: number): Uint32Array;
  /** Where it starts in them. */
  start(id: number): number;
  /** Every string offset below this one has a string. */
  readonly stringEnd: number;
  readonly pointerSize: number;
}

/** libbpf keeps sizes in an `int`. */
export const MAX_SIZE = 0x7fffffff;

const INT_SIZES: readonly number[] = [1, 2, 4, 8, 16];
const ENUM_SIZES: readonly number[] = [1, 2, 4, 8];
const FLOAT_SIZES: readonly number[] = [2, 4, 8, 12, 16];

export class Records {
  readonly types: CheckedTypes;

  constructor(types: CheckedTypes) {
    this.types = types;
  }

  kind(id: number): number {
    return id === 0 ? KIND.void : kindNumber(this.types.words(id), this.types.start(id));
  }

  fail(id: number, problem: string): never {
    throw invalid(this.types.what, `type ${id} (${BTF_KINDS[this.kind(id)]}) ${problem}`);
  }

  check(id: number): void {
    const words = this.types.words(id);
    const start = this.types.start(id);
    const third = words[start + 2] as number;
    const elements = (words[start + 1] as number) & 0xffff;
    this.#string(id, nameOffset(words, start));
    const kind = this.kind(id);
    if (isModifier(kind) || kind === KIND.ptr || kind === KIND.var) this.#type(id, third);
    switch (kind) {
      case KIND.int: {
        const encoding = words[start + 3] as number;
        const bits = (encoding & 0xff) + ((encoding >>> 16) & 0xff);
        this.#size(id, third, INT_SIZES);
        if (bits > third * 8) this.fail(id, `has ${bits} bits in ${third} bytes`);
        return;
      }
      case KIND.float:
        this.#size(id, third, FLOAT_SIZES);
        return;
      case KIND.enum:
      case KIND.enum64: {
        this.#size(id, third, ENUM_SIZES);
        const width = kind === KIND.enum ? 2 : 3;
        for (let at = start + 3; at < start + 3 + elements * width; at += width) this.#string(id, words[at] as number);
        return;
      }
      case KIND.array:
        this.#type(id, words[start + 3] as number);
        this.#type(id, words[start + 4] as number);
        return;
      case KIND.struct:
      case KIND.union:
        if (third > MAX_SIZE) this.fail(id, `has a size of ${third} bytes`);
        for (let at = start + 3; at < start + 3 + elements * 3; at += 3) this.#named(id, words, at);
        return;
      case KIND.func_proto:
        this.#type(id, third);
        for (let at = start + 3; at < start + 3 + elements * 2; at += 2) this.#named(id, words, at);
        return;
      case KIND.func:
        if (this.kind(this.#reference(id, third)) !== KIND.func_proto) this.#refuse(id, third);
        return;
      case KIND.datasec:
        for (let at = start + 3; at < start + 3 + elements * 3; at += 3) this.#sectionEntry(id, words, at, third);
        return;
      case KIND.decl_tag:
        if (this.kind(this.#reference(id, third)) === KIND.decl_tag) this.#refuse(id, third);
        return;
    }
  }

  #size(id: number, size: number, allowed: readonly number[]): void {
    if (!allowed.includes(size)) this.fail(id, `has a size of ${size} bytes`);
  }

  #string(id: number, offset: number): void {
    if (offset >= this.types.stringEnd) this.fail(id, `has string offset ${offset}, past the end of the strings`);
  }

  /** A member or parameter: a name and a type. */
  #named(id: number, words: Uint32Array, at: number): void {
    this.#string(id, words[at] as number);
    this.#type(id, words[at + 1] as number);
  }

  /** A section's variable, or in `.ksyms` a function. As clang writes an object, the section's size and all offsets are still 0. */
  #sectionEntry(id: number, words: Uint32Array, at: number, size: number): void {
    const [type, offset, length] = [words[at] as number, words[at + 1] as number, words[at + 2] as number];
    const kind = this.kind(this.#reference(id, type));
    if (kind !== KIND.var && kind !== KIND.func) this.#refuse(id, type);
    if (size > MAX_SIZE) this.fail(id, `has a size of ${size} bytes`);
    if (size !== 0 && offset + length > size)
      this.fail(id, `has type ${type} from ${offset} to ${offset + length} of its ${size} bytes`);
  }

  #reference(id: number, to: number): number {
    if (to >= this.types.count) this.fail(id, `refers to type ${to}; there are ${this.types.count}`);
    return to;
  }

  /** What types are made of is types, not declarations. */
  #type(id: number, to: number): void {
    const kind = this.kind(this.#reference(id, to));
    if (kind === KIND.var || kind === KIND.datasec || kind === KIND.decl_tag || kind === KIND.func)
      this.#refuse(id, to);
  }

  #refuse(id: number, to: number): never {
    this.fail(id, `refers to type ${to} (${BTF_KINDS[this.kind(to)]})`);
  }
}
