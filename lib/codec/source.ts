/**
 * Source text of a codec under construction, and the one place where text becomes code.
 *
 * No name from BTF reaches the text except through JSON.stringify: names are quoted keys and string literals, never identifiers.
 */
import { Views } from "./access.js";
import { readAddress, writeAddress } from "./addresses.js";
import { readBigBits, readBits, readSignedBits, readWide, writeBigBits, writeBits, writeWide } from "./bits.js";
import { readBytes, readText, writeBytes, writeTail, writeText } from "./strings.js";
import { textReader } from "./text_cache.js";
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
  exactNumber,
  ownProperty,
  sizeMismatch,
  unknownMember,
} from "./values.js";

/** Functions that generated code calls, under the names it calls them by. */
const RUNTIME = {
  readBits,
  readSignedBits,
  readBigBits,
  readWide,
  writeBits,
  writeBigBits,
  writeWide,
  readAddress,
  writeAddress,
  readText,
  readBytes,
  writeText,
  writeBytes,
  writeTail,
  checkAnyList,
  checkBigint,
  checkBoolean,
  checkExact,
  checkFloat,
  checkList,
  checkNumber,
  checkRecord,
  checkRoom,
  exactNumber,
  ownProperty,
  sizeMismatch,
  unknownMember,
};

/** A path within a value: literal text, and variables that hold indexes. */
export type Path = readonly (string | { readonly variable: string })[];

export function literal(text: string): string {
  return JSON.stringify(text);
}

export function pathText(path: Path): string {
  const merged: (string | { readonly variable: string })[] = [""];
  for (const part of path) {
    const last = merged.at(-1);
    if (typeof part === "string" && typeof last === "string") merged[merged.length - 1] = last + part;
    else merged.push(part);
  }
  const terms = merged
    .filter((part) => part !== "")
    .map((part) => (typeof part === "string" ? literal(part) : part.variable));
  return terms.length === 0 ? '""' : terms.join(" + ");
}

/** A property key in an object literal. `__proto__: x` would set the prototype; computed, it is a property like any other. */
export function propertyKey(name: string): string {
  return name === "__proto__" ? `["__proto__"]` : literal(name);
}

/** A variable's property, or undefined: names that every object inherits count only where they are its own. */
export function propertyRead(variable: string, name: string): string {
  return name in Object.prototype ? `ownProperty(${variable}, ${literal(name)})` : `${variable}[${literal(name)}]`;
}

let permitted: boolean | undefined;

/** Whether this process may make code from text: not under --disallow-code-generation-from-strings. */
export function canGenerate(): boolean {
  if (permitted === undefined) {
    try {
      new Function("");
      permitted = true;
    } catch {
      permitted = false;
    }
  }
  return permitted;
}

/** Functions under construction that share constants. */
export class Source {
  readonly #functions: string[] = [];
  readonly #constants: unknown[] = [];
  readonly #readers = new Map<number, string>();
  #names = 0;

  constructor(label: string) {
    this.labelText = label;
    this.constant(label);
  }

  readonly labelText: string;

  /** The variable that holds the caller's label. */
  readonly label = "k0";

  unique(prefix: string): string {
    // The underscore keeps `i` from becoming `i16`, which is a view of the memory.
    return `${prefix}_${this.#names++}`;
  }

  /** The name of a variable that holds `value`. */
  constant(value: unknown): string {
    return `k${this.#constants.push(value) - 1}`;
  }

  /** The name of a function that reads `char[size]` at aligned offsets. */
  textReader(size: number): string {
    let name = this.#readers.get(size);
    if (name === undefined) {
      name = this.constant(textReader(size));
      this.#readers.set(size, name);
    }
    return name;
  }

  /** Adds a function; `body` is made with views of its own, which are declared at its start. */
  function(name: string, parameters: string, body: (views: Views) => string): void {
    const views = new Views();
    const text = body(views);
    this.#functions.push(`function ${name}(${parameters}) {\n${views.declarations("memory")}\n${text}\n}`);
  }

  add(text: string): void {
    this.#functions.push(text);
  }

  /** Compiles all functions and returns what `result` evaluates to. */
  compile(result: string): unknown {
    const constants = this.#constants.map((_, i) => `k${i}`);
    const text = `"use strict";\nconst { ${Object.keys(RUNTIME).join(", ")} } = runtime;\nconst [${constants.join(", ")}] = constants;\n${this.#functions.join("\n")}\nreturn ${result};`;
    return (new Function("runtime", "constants", text) as (runtime: object, constants: readonly unknown[]) => unknown)(
      RUNTIME,
      this.#constants,
    );
  }
}
