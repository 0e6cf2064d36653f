/** Source text that loads or stores one scalar: through a typed array where it is aligned, through a DataView where it is not. */
import { endianness } from "node:os";

const LITTLE = endianness() === "LE";

/** A place in memory, as text: a variable plus a constant. */
export interface Place {
  /** Variable that holds an offset. */
  readonly base: string;
  /** Bytes after it. */
  readonly offset: number;
  /** What the variable is a multiple of; 1 when nothing is known. */
  readonly alignment: number;
}

export function addressOf(place: Place): string {
  return place.offset === 0 ? place.base : `${place.base} + ${place.offset}`;
}

export function advance(place: Place, by: number): Place {
  return { ...place, offset: place.offset + by };
}

/** The alignment of `place + i * stride` for every i. */
export function strided(place: Place, stride: number): number {
  let alignment = place.alignment;
  while (alignment > 1 && (place.offset % alignment !== 0 || stride % alignment !== 0)) alignment /= 2;
  return alignment;
}

type ScalarKind = "i" | "u" | "f";

const VIEW_METHOD = { i: "Int", u: "Uint", f: "Float" };

/** Collects which views a function uses and how aligned it needs its offset to be. */
export class Views {
  readonly used = new Set<string>();
  alignment = 1;

  load(kind: ScalarKind, size: number, place: Place, swapped = false): string {
    const array = this.#array(kind, size, place, swapped);
    if (array !== undefined) return array;
    this.used.add("view");
    return `view.get${this.#method(kind, size)}(${addressOf(place)}${this.#order(size, swapped)})`;
  }

  store(kind: ScalarKind, size: number, place: Place, value: string, swapped = false): string {
    const array = this.#array(kind, size, place, swapped);
    if (array !== undefined) return `${array} = ${value};`;
    this.used.add("view");
    return `view.set${this.#method(kind, size)}(${addressOf(place)}, ${value}${this.#order(size, swapped)});`;
  }

  bytes(): string {
    this.used.add("bytes");
    return "bytes";
  }

  view(): string {
    this.used.add("view");
    return "view";
  }

  /** `const` declarations of the views used. */
  declarations(memory: string): string {
    return [...this.used].map((name) => `const ${name} = ${memory}.${name};`).join(" ");
  }

  #array(kind: ScalarKind, size: number, place: Place, swapped: boolean): string | undefined {
    if (swapped || place.alignment < size || place.offset % size !== 0) return undefined;
    this.alignment = Math.max(this.alignment, size);
    const name = kind === "u" && size === 1 ? "bytes" : `${kind}${size * 8}`;
    this.used.add(name);
    return size === 1 ? `${name}[${addressOf(place)}]` : `${name}[(${addressOf(place)}) >> ${Math.log2(size)}]`;
  }

  #method(kind: ScalarKind, size: number): string {
    return `${size === 8 && kind !== "f" ? "Big" : ""}${VIEW_METHOD[kind]}${size * 8}`;
  }

  #order(size: number, swapped: boolean): string {
    return size === 1 ? "" : `, ${LITTLE !== swapped}`;
  }
}
