/** What tells a skeleton that its object is no longer the one it was made from. */
import { createHash } from "node:crypto";
import type { Btf } from "../btf/btf.js";
import { type AddressBytes, type Declared, declaredAs } from "../codec/declared_tags.js";
import type { ObjectDescription } from "./description.js";

/**
 * A hash of everything that a skeleton says: programs with their sections, maps, variables, and the layout of all their types.
 * A change of code that changes none of these changes nothing here, nor does a compiler that arranges them in another order.
 */
export function fingerprint(object: ObjectDescription): string {
  const hash = createHash("sha256");
  const { btf } = object;
  const types = btf === undefined ? undefined : new Layouts(btf);
  const type = (id: number | undefined) =>
    id === undefined || id === 0 || types === undefined ? "" : types.layout(id);
  const facts = [
    byName(object.programs).map(({ name, section }) => [name, section]),
    byName(object.maps).map((map) => [
      ...[map.name, map.type, map.keySize, map.valueSize],
      ...[type(map.keyType), type(map.valueType), type(map.recordType)],
    ]),
    byName(object.sections).map(({ name, variables }) => [
      name,
      byName(variables).map((variable) => [
        variable.name,
        variable.size,
        type(variable.type),
        mark({ number: variable.isNumber, address: variable.address }),
      ]),
    ]),
  ];
  hash.update(JSON.stringify(facts));
  hash.update(JSON.stringify(types?.definitions ?? []));
  return hash.digest("hex").slice(0, 32);
}

function byName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** What was declared, if anything was. */
function mark({ number, address }: Declared): boolean | AddressBytes {
  return number || (address ?? false);
}

/** Types as text in which a struct or enum is named once and its definition is listed apart, so that cycles end. */
class Layouts {
  /** Each distinct struct, union and enum, in the order met. */
  readonly definitions: unknown[] = [];
  readonly #btf: Btf;
  readonly #numbers = new Map<number, number>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** As C writes it, and which definition is meant. Pointers are not followed: they are numbers to us. */
  layout(id: number): string {
    const numbers: number[] = [];
    let declared = "";
    for (let at = id, depth = 0; depth < 64; depth++) {
      const type = this.#btf.type(at);
      if (type.kind === "struct" || type.kind === "union" || type.kind === "enum" || type.kind === "enum64")
        numbers.push(this.#define(at));
      if (type.kind === "typedef") {
        const { number, address } = declaredAs(this.#btf, at);
        if (number || address !== undefined) declared = `!${address ?? ""}`;
      }
      if (type.kind === "array") at = type.element;
      else if ("type" in type && type.kind !== "ptr" && type.kind !== "func") at = type.type;
      else break;
    }
    return `${this.#btf.describe(id)}#${numbers.join()}${declared}`;
  }

  #define(id: number): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(id, number);
    const type = this.#btf.type(id);
    const entry: unknown[] = [type.kind, type.name];
    this.definitions[number] = entry;
    if (type.kind === "struct" || type.kind === "union") {
      entry.push(
        type.size,
        type.members.map((member, i) => [
          ...[member.name, member.bitOffset, member.bitfieldSize, this.layout(member.type)],
          mark(declaredAs(this.#btf, id, i)),
        ]),
      );
    } else if (type.kind === "enum" || type.kind === "enum64") {
      entry.push(
        type.size,
        type.signed,
        type.values.map(({ name, value }) => [name, String(value)]),
      );
    }
    return number;
  }
}
