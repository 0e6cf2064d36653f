/** From the BTF types that an object's maps and variables have to TypeScript declarations under their C names. */
import type { Btf } from "../btf/btf.js";
import type { BtfMember } from "../btf/types.js";
import { type RecordMember, type RecordShape, type Shape, shapeOf } from "../codec/shape.js";
import { type TaggedUnion, taggedUnion } from "../object/records.js";
import type { ModuleNames } from "./names.js";

export interface PropertyDeclaration {
  readonly name: string;
  readonly type: string;
  readonly doc: string;
  /** The type when it is written, and why it may be left out then, if it may: it shares its bytes, or is the kernel's own. */
  readonly input: string;
  readonly optional: LeftOut | undefined;
}

export type LeftOut = "shared" | "owned";

export type Declaration =
  | {
      readonly kind: "record";
      readonly name: string;
      readonly doc: string;
      readonly properties: readonly PropertyDeclaration[];
    }
  | {
      readonly kind: "input";
      readonly name: string;
      readonly of: string;
      /** What may be left out in it, or within its members. */
      readonly leftOut: ReadonlySet<LeftOut>;
      readonly properties: readonly PropertyDeclaration[];
    }
  | {
      readonly kind: "live";
      readonly name: string;
      readonly of: string;
      readonly properties: readonly (PropertyDeclaration & { readonly live: string })[];
    }
  | {
      readonly kind: "enum";
      readonly name: string;
      readonly doc: string;
      readonly values: readonly { readonly name: string; readonly value: number | bigint }[];
    }
  | { readonly kind: "union"; readonly name: string; readonly doc: string; readonly alternatives: readonly string[] };

interface Tag {
  readonly member: string;
  readonly enumType: number;
  readonly enumerator: string;
}

/** The declarations that are needed so far, in the order in which they were met. */
export class TypeCatalog {
  readonly declarations: Declaration[] = [];
  readonly #btf: Btf;
  readonly #names: ModuleNames;
  /** Names of structs, unions and enums by type id. */
  readonly #named = new Map<number, string>();
  /** Unions of records, by their type; and what they are to be called, where that is settled before they are met. */
  readonly #records = new Map<number, string>();
  readonly #recordNames = new Map<number, string>();
  /** Names of records' types when they are written, where those differ, by the names when they are read. */
  readonly #inputs = new Map<string, string>();
  /** Names of records' types where they are variables, where those differ, likewise. */
  readonly #lives = new Map<string, string>();
  /** For structs that are one of several records of a ring: what its tag must be. */
  readonly #tags = new Map<number, Tag>();

  constructor(btf: Btf, names: ModuleNames) {
    this.#btf = btf;
    this.#names = names;
  }

  /** Must be told of every ring's record before types are asked for. */
  noteRecord(id: number): void {
    const union = taggedUnion(this.#btf, id);
    if (union === undefined) return;
    const { member, enumType } = union;
    for (const { type, enumerator } of union.alternatives) this.#tags.set(type, { member, enumType, enumerator });
  }

  /**
   * Settles what a ring's records are called, once all were noted and before types are asked for: where the same union is a value in a map
   * too, it is the records that have its name, since they are what tools write functions for.
   */
  nameRecord(id: number, hint: string): void {
    const union = taggedUnion(this.#btf, id);
    if (union === undefined || !this.#agrees(union) || this.#recordNames.has(id)) return;
    this.#recordNames.set(id, this.#names.take(this.#cName(id, hint)));
  }

  /** The type of a value; what is anonymous in C is named for where it is: `hint`. */
  typeOf(id: number, hint: string, shape: Shape = shapeOf(this.#btf, id)): string {
    return this.#text(id, shape, hint);
  }

  /** The type that is taken where `type`, from {@link typeOf}, is given: the same unless there is a union in it. */
  inputOf(type: string): string {
    const [, name = type, brackets = ""] = /^(.*?)((?:\[\])*)$/.exec(type) ?? [];
    return `${this.#inputs.get(name) ?? name}${brackets}`;
  }

  /**
   * The type that a variable has where `type`, from {@link typeOf}, is a copy of it: the same unless a member has a union in it, and is set
   * as such. An element of an array cannot differ in TypeScript.
   */
  liveOf(type: string): string {
    if (type.endsWith("[]")) return `${this.liveOf(type.slice(0, -2))}[]`;
    const known = this.#lives.get(type);
    if (known !== undefined) return known;
    const place = this.declarations.findIndex(({ kind, name }) => kind === "record" && name === type);
    const record = this.declarations[place];
    if (record?.kind !== "record" || !this.#inputs.has(type)) return type;
    const properties = record.properties
      .filter((member) => member.input !== member.type)
      .map((member) => ({ ...member, live: this.liveOf(member.type) }));
    if (properties.length === 0) return type;
    const name = this.#names.take(`${type}_live`);
    this.#lives.set(type, name);
    // After what is written of it.
    const after = this.declarations.findIndex(({ name: other }) => other === this.#inputs.get(type));
    this.declarations.splice(after + 1, 0, { kind: "live", name, of: type, properties });
    return name;
  }

  /** The type of a ring's records: one, or the union of several. */
  recordOf(id: number, hint: string): string {
    const union = taggedUnion(this.#btf, id);
    if (union === undefined || !this.#agrees(union)) return this.typeOf(id, hint);
    const known = this.#records.get(id);
    if (known !== undefined) return known;
    const name = this.#recordNames.get(id) ?? this.#names.take(this.#cName(id, hint));
    this.#records.set(id, name);
    const place = this.declarations.length;
    const alternatives = union.alternatives.map(({ type, name: own }) => this.typeOf(type, `${hint}_${own}`));
    const doc = `\`${this.#btf.describe(id)}\`: which record it is, its \`${union.member}\` tells.`;
    this.declarations.splice(place, 0, { kind: "union", name, doc, alternatives });
    return name;
  }

  /** Structs that have a name in C which is no other's, with the names of their types, in the order in which they were met. */
  structs(): [string, string][] {
    const btf = this.#btf;
    return [...this.#named]
      .filter(([id]) => btf.kind(id) === "struct" && btf.name(id) !== "" && btf.find(btf.name(id), "struct") === id)
      .map(([id, name]) => [btf.describe(id), name]);
  }

  /** A struct can be on two rings under two tags: then it has none of its own. */
  #agrees(union: TaggedUnion): boolean {
    return union.alternatives.every(({ type, enumerator }) => this.#tags.get(type)?.enumerator === enumerator);
  }

  #text(id: number, shape: Shape, hint: string): string {
    switch (shape.kind) {
      case "boolean":
        return "boolean";
      case "float":
        return "number";
      case "chars":
      case "address":
        return "string";
      case "bytes":
        return "Uint8Array";
      case "integer":
        return this.#enum(id, hint) ?? shape.as;
      case "array": {
        const array = this.#btf.type(this.#resolve(id));
        return array.kind === "array" ? `${this.#text(array.element, shape.element, hint)}[]` : "unknown";
      }
      case "record":
        return this.#record(id, shape, hint);
    }
  }

  #enum(id: number, hint: string): string | undefined {
    const resolved = this.#resolve(id);
    const known = this.#named.get(resolved);
    if (known !== undefined) return known;
    const type = this.#btf.type(resolved);
    if ((type.kind !== "enum" && type.kind !== "enum64") || type.values.length === 0) return undefined;
    const name = this.#names.take(this.#cName(id, hint));
    this.#named.set(resolved, name);
    const values = type.values.map((value) => ({
      name: value.name,
      value: type.size > 4 ? BigInt(value.value) : value.value,
    }));
    const doc = `${this.#cType(id)}, ${bytes(type.size)}, ${type.signed ? "signed" : "unsigned"}; a value may also be none of these.`;
    this.declarations.push({ kind: "enum", name, doc, values });
    return name;
  }

  #record(id: number, shape: RecordShape, hint: string): string {
    const resolved = this.#resolve(id);
    const known = this.#named.get(resolved);
    if (known !== undefined) return known;
    const name = this.#names.take(this.#cName(id, hint));
    this.#named.set(resolved, name);
    // Before the types of its members, as a reader meets them.
    const place = this.declarations.length;
    const properties = this.#properties(resolved, shape, 0, name, this.#tags.get(resolved));
    const sharing = shape.union ? " Its members share the same bytes; to set one is enough." : "";
    const doc = `${this.#cType(id)}, ${bytes(shape.size)}.${sharing}`;
    this.declarations.splice(place, 0, { kind: "record", name, doc, properties });
    if (properties.some(({ type, input, optional }) => optional !== undefined || input !== type)) {
      const input = this.#names.take(`${name}_input`);
      this.#inputs.set(name, input);
      const leftOut = new Set(
        properties.flatMap(({ input, optional }) => [
          ...(optional === undefined ? [] : [optional]),
          ...this.#leftOut(input),
        ]),
      );
      this.declarations.splice(place + 1, 0, { kind: "input", name: input, of: name, leftOut, properties });
    }
    return name;
  }

  #properties(
    id: number,
    shape: RecordShape,
    base: number,
    parent: string,
    tag: Tag | undefined,
    outer?: LeftOut,
  ): PropertyDeclaration[] {
    const properties: PropertyDeclaration[] = [];
    const shared = shape.union && shape.members.length > 1 ? "shared" : outer;
    for (const [member, inner] of this.#members(id, shape)) {
      if (member.name === "" && inner.shape.kind === "record") {
        properties.push(
          ...this.#properties(this.#resolve(member.type), inner.shape, base + inner.offset, parent, undefined, shared),
        );
      } else {
        const tagged = tag !== undefined && tag.member === member.name && base === 0;
        const type = this.#text(member.type, inner.shape, `${parent}_${member.name}`);
        properties.push({
          name: member.name,
          type: tagged ? `typeof ${type}.${tag.enumerator}` : type,
          input: tagged ? `typeof ${type}.${tag.enumerator}` : this.inputOf(type),
          optional: shared ?? (inner.owned ? "owned" : undefined),
          doc: describePlace(this.#btf, member, inner, base, shape.union),
        });
      }
    }
    return properties;
  }

  #leftOut(input: string): readonly LeftOut[] {
    const name = input.replace(/(\[\])*$/, "");
    const found = this.declarations.find((each) => each.kind === "input" && each.name === name);
    return found?.kind === "input" ? [...found.leftOut] : [];
  }

  /** BTF's members beside those of the shape, which leaves unnamed padding out. */
  #members(id: number, shape: RecordShape): [BtfMember, RecordMember][] {
    const type = this.#btf.type(id);
    if (type.kind !== "struct" && type.kind !== "union") return [];
    const kept = type.members.filter(({ name, type: of }) => {
      if (name !== "") return true;
      const kind = this.#btf.kind(this.#resolve(of));
      return kind === "struct" || kind === "union";
    });
    return kept.map((member, i) => [member, shape.members[i] as RecordMember]);
  }

  /** The tag's name; for an anonymous type, the typedef's through which it was reached; else `hint`. */
  #cName(id: number, hint: string): string {
    const name = this.#btf.name(this.#resolve(id));
    if (name !== "") return name;
    for (let at = id, type = this.#btf.type(at); "type" in type; at = type.type, type = this.#btf.type(at)) {
      if (type.kind === "typedef") return type.name;
    }
    return hint;
  }

  /** What it is in C: the tag, or else the typedef. */
  #cType(id: number): string {
    const resolved = this.#resolve(id);
    return `\`${this.#btf.describe(this.#btf.name(resolved) === "" ? id : resolved)}\``;
  }

  #resolve(id: number): number {
    const resolved = this.#btf.resolve(id);
    const type = this.#btf.type(resolved);
    return type.kind === "var" ? this.#resolve(type.type) : resolved;
  }
}

function describePlace(btf: Btf, member: BtfMember, inner: RecordMember, base: number, union: boolean): string {
  const type = `\`${btf.describe(member.type)}\``;
  const bits = inner.bits;
  if (bits !== undefined)
    return `${type}, ${bits.size} bit${bits.size === 1 ? "" : "s"} at bit ${base * 8 + bits.offset}.`;
  const at = base + inner.offset;
  const owned = inner.owned ? "; the kernel's, which neither gives nor takes it" : "";
  return `${type}, ${bytes(inner.shape.size)} at ${at}${noteOf(inner.shape)}${owned}${union && member.name !== "" ? "; shares its bytes." : "."}`;
}

/** What a reader cannot see from the TypeScript type. */
export function noteOf(shape: Shape): string {
  if (shape.kind === "integer" && shape.swapped) return "; in the other byte order in C, in the host's here";
  if (shape.kind === "address") return `; the text of an IPv${shape.size === 4 ? 4 : 6} address`;
  if ("tail" in shape && shape.tail) return "; the rest of the record";
  return "";
}

export function bytes(count: number): string {
  return `${count} byte${count === 1 ? "" : "s"}`;
}
