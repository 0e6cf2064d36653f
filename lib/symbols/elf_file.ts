/** The functions of an ELF file, by where they are in it. */
import { native } from "../native.js";
import { covering } from "./covering.js";

/** A function, and how far into it. */
export interface FoundFunction {
  readonly name: string;
  readonly offset: number;
}

/** Bytes of symbol tables and their names in one file; those of the largest browsers have half of it. */
const MOST_TABLE_BYTES = 256 * 1024 * 1024;
/** Compilers write names of some thousand bytes. */
const MOST_NAME_BYTES = 64 * 1024;
const STB_LOCAL = 0;
const STB_WEAK = 2;

export class ElfFile {
  /** In hex; undefined when there is none. */
  readonly buildId: string | undefined;
  /** Its symbol tables are larger than is read. */
  readonly tooLarge: boolean;
  /** Bytes that it takes in memory. */
  readonly bytes: number;
  readonly #addresses: BigUint64Array;
  readonly #sizes: BigUint64Array;
  readonly #reaches: BigUint64Array;
  readonly #names: Uint32Array;
  readonly #bindings: Uint8Array;
  readonly #strings: Buffer;
  readonly #segments: BigUint64Array;

  /** Reads the file that a descriptor is of; undefined when it is no ELF file. What is damaged in it is left out. */
  static read(fd: number): ElfFile | undefined {
    const found = native().readElfSymbols(fd, MOST_TABLE_BYTES);
    return found === undefined ? undefined : new ElfFile(found);
  }

  private constructor(found: NonNullable<ReturnType<ReturnType<typeof native>["readElfSymbols"]>>) {
    this.#addresses = found.addresses;
    this.#sizes = found.sizes;
    this.#reaches = found.reaches;
    this.#names = found.names;
    this.#bindings = found.bindings;
    this.#strings = Buffer.from(found.strings.buffer);
    this.#segments = found.segments;
    this.buildId = found.buildId.length === 0 ? undefined : Buffer.from(found.buildId).toString("hex");
    this.tooLarge = found.tooLarge;
    // 8 + 8 + 8 + 4 + 1 for each function.
    this.bytes = found.strings.length + found.addresses.length * 29;
  }

  /** The function that a place of the file is in; of several within one another the innermost. */
  find(fileOffset: bigint): FoundFunction | undefined {
    const address = this.#addressOf(fileOffset);
    if (address === undefined) return undefined;
    const addresses = this.#addresses;
    const endOf = (i: number): bigint => (addresses[i] as bigint) + (this.#sizes[i] as bigint);
    let innermost: number | undefined;
    for (const i of covering(addresses, this.#reaches, endOf, address)) {
      if (innermost !== undefined && addresses[i] !== addresses[innermost]) break;
      if (innermost === undefined || this.#isBetter(i, innermost)) innermost = i;
    }
    if (innermost === undefined) return undefined;
    return { name: this.#name(innermost), offset: Number(address - (addresses[innermost] as bigint)) };
  }

  /** Where the linker put what is at this place, as programs and libraries are moved as a whole. */
  #addressOf(fileOffset: bigint): bigint | undefined {
    const segments = this.#segments;
    for (let i = 0; i + 2 < segments.length; i += 3) {
      const [address, offset, size] = [segments[i] as bigint, segments[i + 1] as bigint, segments[i + 2] as bigint];
      if (fileOffset >= offset && fileOffset - offset < size) return fileOffset - offset + address;
    }
    return undefined;
  }

  /** Of the names of one function the one that users know: `read` rather than `__read`, and no file's own. */
  #isBetter(one: number, other: number): boolean {
    const rank = (i: number): number => {
      const binding = this.#bindings[i];
      return binding === STB_LOCAL ? 2 : binding === STB_WEAK ? 1 : 0;
    };
    const underscores = (i: number): number => /^_*/.exec(this.#name(i))?.[0].length ?? 0;
    return rank(one) - rank(other) < 0 || (rank(one) === rank(other) && underscores(one) < underscores(other));
  }

  #name(i: number): string {
    const start = this.#names[i] as number;
    const bytes = this.#strings.subarray(start, start + MOST_NAME_BYTES);
    const end = bytes.indexOf(0);
    return bytes.toString("utf8", 0, end === -1 ? bytes.length : end);
  }
}
