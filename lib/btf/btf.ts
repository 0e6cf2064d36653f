import { BpfError } from "../errors.js";
import { suggestion } from "../nearest.js";
import { checkTypes } from "./check/index.js";
import { describeType } from "./describe.js";
import { indexTypes, isModifier, KIND, kindNumber, materialise, nameOffset } from "./records.js";
import { type BtfSections, invalid, readSections } from "./sections.js";
import { BTF_KINDS, type BtfKind, type BtfType } from "./types.js";

export interface BtfOptions {
  /** For split BTF (a kernel module's): the BTF that its first type ids and string offsets refer to. */
  readonly base?: Btf | undefined;
  /** Names the source in errors, for example the path it was read from. */
  readonly name?: string | undefined;
}

/** References (typedefs, qualifiers, array elements) followed before BTF is taken to be cyclic; the kernel's own limit is 32. */
const MAX_DEPTH = 64;

/**
 * BPF Type Format, read where it lies.
 *
 * `parse` looks at the header only. The first question about a type walks the type section once and notes where each type
 * starts; types are made from the bytes when asked for and not kept. So one lookup in a kernel's 130,000 types costs
 * milliseconds, and what is held is the bytes given (not copied: leave them alone) and four bytes per type.
 *
 * Whatever the bytes contain, methods answer or throw a {@link BpfError} with code `BTF_INVALID`; a name or id that is not
 * there is `BTF_NOT_FOUND`.
 *
 * @example
 * ```ts
 * import { kernelBtf } from "ebpf";
 * const btf = kernelBtf();
 * const task = btf.find("task_struct", "struct");
 * if (task !== undefined) console.log(btf.describe(task), btf.size(task));
 * ```
 */
export class Btf {
  readonly #base: Btf | undefined;
  readonly #name: string;
  readonly #words: Uint32Array;
  readonly #strings: Buffer;
  /** Where each of this BTF's own types starts, in words; made on first need. */
  #starts: Uint32Array | undefined;
  /** First own type id. */
  #firstId: number | undefined;
  /** First own string offset. */
  readonly #firstString: number;
  #checked = false;
  #pointerSize: 4 | 8 | undefined;

  private constructor(sections: BtfSections, name: string, base: Btf | undefined) {
    this.#base = base;
    this.#name = name;
    this.#words = sections.words;
    this.#strings = sections.strings;
    this.#firstString = base === undefined ? 0 : base.#firstString + base.#strings.byteLength;
  }

  /**
   * Takes raw BTF, as the `.BTF` section of an object or /sys/kernel/btf/vmlinux holds it, in this machine's byte order.
   *
   * @throws BpfError `BTF_INVALID` when the header does not hold; damage further in shows when it is met.
   */
  static parse(bytes: Uint8Array, options: BtfOptions = {}): Btf {
    const name = options.name ?? "BTF";
    return new Btf(readSections(bytes, name, options.base !== undefined), name, options.base);
  }

  /**
   * Looks at every type once, the base's too: that names and references lead somewhere, that no type is within itself, that what a type
   * holds fits in it. Methods do not need it, they answer or throw whatever the bytes are; what hands BTF on to libbpf or to the kernel
   * does. Objects, `open({ btfPath })` and `ebpf vmlinux` have it done.
   *
   * @throws BpfError `BTF_INVALID`, naming the first type that is not sound
   */
  check(): this {
    if (this.#checked) return this;
    const whole = this.#base === undefined;
    const starts = this.#index();
    checkTypes({
      what: this.#name,
      count: this.typeCount,
      words: whole ? () => this.#words : (id) => this.#locate(id)[0].#words,
      start: whole ? (id) => starts[id - 1] as number : (id) => this.#locate(id)[1],
      stringEnd: this.#firstString + this.#strings.byteLength,
      pointerSize: this.pointerSize,
    });
    this.#checked = true;
    return this;
  }

  /** One more than the highest type id: void, which is id 0, counts, and so do the base's types. */
  get typeCount(): number {
    return this.#first() + this.#index().length;
  }

  /** Bytes of a pointer: that of `long`, as libbpf infers it, and 8 where there is no `long`, as in most BPF objects. */
  get pointerSize(): 4 | 8 {
    if (this.#base !== undefined) return this.#base.pointerSize;
    if (this.#pointerSize === undefined) {
      const long =
        this.find("long unsigned int", "int") ??
        this.find("unsigned long", "int") ??
        this.find("long int", "int") ??
        this.find("long", "int");
      this.#pointerSize = long !== undefined && this.size(long) === 4 ? 4 : 8;
    }
    return this.#pointerSize;
  }

  /** The type, made anew on each call. */
  type(id: number): BtfType {
    if (id === 0) return { id: 0, kind: "void", name: "" };
    const [owner, start] = this.#locate(id);
    const limit = this.typeCount;
    return materialise(owner.#words, start, id, {
      string: (offset) => this.#string(offset),
      reference: (to) => {
        if (to >= limit) throw invalid(this.#name, `type ${id} refers to type ${to}; there are ${limit}`);
        return to;
      },
    });
  }

  /** The type's kind, without the cost of making it. */
  kind(id: number): BtfKind {
    return BTF_KINDS[this.#kind(id)] as BtfKind;
  }

  /** The type's own name: empty for an anonymous type and for kinds that have none; see {@link describe} for a readable one. */
  name(id: number): string {
    if (id === 0) return "";
    const [owner, start] = this.#locate(id);
    return this.#string(nameOffset(owner.#words, start));
  }

  /** Id of the first type of that name, and of that kind when one is given. Names are without `struct` and its kin. */
  find(name: string, kind?: BtfKind): number | undefined {
    for (const id of this.#named(name)) if (kind === undefined || this.kind(id) === kind) return id;
    return undefined;
  }

  /** Ids of all types of that name: a C name can be a struct, a typedef and a function at once. */
  findAll(name: string): number[] {
    return [...this.#named(name)];
  }

  /**
   * As {@link find}, for a name that must be there.
   *
   * @throws BpfError `BTF_NOT_FOUND`, with the nearest name there is.
   */
  get(name: string, kind?: BtfKind): number {
    const id = this.find(name, kind);
    if (id !== undefined) return id;
    const names = new Set<string>();
    for (const type of this.types())
      if (type.name !== "" && (kind === undefined || type.kind === kind)) names.add(type.name);
    const wanted = kind === undefined ? `type "${name}"` : `${kind} "${name}"`;
    throw new BpfError({ code: "BTF_NOT_FOUND", message: `${this.#name} has no ${wanted}${suggestion(name, names)}` });
  }

  /**
   * Bytes that a value of the type takes, typedefs and arrays followed.
   *
   * @throws BpfError `BTF_INVALID` for a type that has no size (void, a function, a struct only declared) and for a cycle.
   */
  size(id: number): number {
    let at = id;
    let count = 1;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const kind = this.#kind(at);
      if (isModifier(kind) || kind === KIND.var) {
        at = this.#reference(at, 2);
        continue;
      }
      switch (kind) {
        case KIND.int:
        case KIND.struct:
        case KIND.union:
        case KIND.enum:
        case KIND.enum64:
        case KIND.float:
        case KIND.datasec:
          return this.#checkedSize(id, count * this.#word(at, 2));
        case KIND.ptr:
          return this.#checkedSize(id, count * this.pointerSize);
        case KIND.array:
          count *= this.#word(at, 5);
          at = this.#reference(at, 3);
          break;
        default:
          throw invalid(
            this.#name,
            `${this.describe(id)} (type ${id}) has no size: ${at === 0 ? "void" : `a ${BTF_KINDS[kind]}`}`,
          );
      }
    }
    throw invalid(this.#name, `type ${id} refers to itself`);
  }

  /** The id past any typedef, const, volatile, restrict and type tag. */
  resolve(id: number): number {
    let at = id;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (!isModifier(this.#kind(at))) return at;
      at = this.#reference(at, 2);
    }
    throw invalid(this.#name, `type ${id} refers to itself`);
  }

  /**
   * The names of an enum's values, for one that the kernel defines and changes, such as `skb_drop_reason`: what a value is called depends on the kernel
   * that runs, and a skeleton knows that on which it was made. Of several names of one value the first.
   *
   * @throws BpfError `BTF_NOT_FOUND`, with the nearest name there is
   * @example
   * ```ts
   * import { kernelBtf } from "ebpf";
   * const reasons = kernelBtf().enumerators("skb_drop_reason");
   * console.log(reasons.get(3)); // SKB_DROP_REASON_NO_SOCKET
   * ```
   */
  enumerators(name: string): ReadonlyMap<number | bigint, string> {
    const names = new Map<number | bigint, string>();
    for (const id of this.#named(name)) {
      const type = this.type(id);
      if (type.kind !== "enum" && type.kind !== "enum64") continue;
      for (const { name, value } of type.values) if (!names.has(value)) names.set(value, name);
      // One that is only declared has no values; the definition may follow.
      if (names.size > 0) return names;
    }
    this.get(name, "enum");
    return names;
  }

  /** All types in the order of their ids, from 1, the base's included; each is made when it is reached. */
  *types(): IterableIterator<BtfType> {
    const count = this.typeCount;
    for (let id = 1; id < count; id++) yield this.type(id);
  }

  /** The type as C would write it: `struct flow_key`, `__u32`, `char[16]`, `const char *`, `int (*)(void *)`. */
  describe(id: number): string {
    return describeType(this, id);
  }

  /** The string at an offset of the string section, as .BTF.ext refers to them. @throws BpfError `BTF_INVALID` */
  string(offset: number): string {
    return this.#string(offset);
  }

  #checkedSize(id: number, size: number): number {
    if (!Number.isSafeInteger(size)) throw invalid(this.#name, `type ${id} is larger than memory`);
    return size;
  }

  #index(): Uint32Array {
    this.#starts ??= indexTypes(this.#words, this.#name, this.#first());
    return this.#starts;
  }

  #first(): number {
    this.#firstId ??= this.#base === undefined ? 1 : this.#base.typeCount;
    return this.#firstId;
  }

  #locate(id: number): [Btf, number] {
    const own = id - this.#first();
    if (own < 0 && id > 0 && this.#base !== undefined) return this.#base.#locate(id);
    const start = this.#index()[own];
    if (start === undefined) {
      throw new BpfError({
        code: "BTF_NOT_FOUND",
        message: `${this.#name} has no type ${id}; its ids are 0 to ${this.typeCount - 1}`,
      });
    }
    return [this, start];
  }

  #kind(id: number): number {
    if (id === 0) return 0;
    const [owner, start] = this.#locate(id);
    return kindNumber(owner.#words, start);
  }

  /** A word of the type's record. The index pass made sure that the record is whole. */
  #word(id: number, word: number): number {
    const [owner, start] = this.#locate(id);
    return owner.#words[start + word] as number;
  }

  #reference(id: number, word: number): number {
    const to = this.#word(id, word);
    if (to >= this.typeCount) throw invalid(this.#name, `type ${id} refers to type ${to}; there are ${this.typeCount}`);
    return to;
  }

  #string(offset: number): string {
    if (offset < this.#firstString) return (this.#base as Btf).#string(offset);
    const start = offset - this.#firstString;
    // `readSections` made sure that the last string ends.
    if (start >= this.#strings.byteLength)
      throw invalid(this.#name, `string offset ${offset} is past the end of the strings`);
    return this.#strings.toString("utf8", start, this.#strings.indexOf(0, start));
  }

  /** Whether the string at `offset` is `wanted`, which ends in NUL. */
  #stringIs(offset: number, wanted: Uint8Array): boolean {
    if (offset < this.#firstString) return (this.#base as Btf).#stringIs(offset, wanted);
    const start = offset - this.#firstString;
    // Past the end there is undefined, which equals no byte.
    for (let i = 0; i < wanted.length; i++) if (this.#strings[start + i] !== wanted[i]) return false;
    return true;
  }

  /** A plain scan: comparing bytes at 130,000 offsets takes a millisecond or two, less than building a table of names would. */
  *#named(name: string): Generator<number> {
    if (name === "" || name.includes("\0")) return;
    if (this.#base !== undefined) yield* this.#base.#named(name);
    const wanted = Buffer.from(`${name}\0`, "utf8");
    const words = this.#words;
    const starts = this.#index();
    const first = this.#first();
    for (let own = 0; own < starts.length; own++) {
      if (this.#stringIs(nameOffset(words, starts[own] as number), wanted)) yield first + own;
    }
  }
}
