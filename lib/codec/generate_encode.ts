/** Encoders as generated code: each value checked inline, the path to it made only for an error. */
import { addressOf, advance, type Place, strided, type Views } from "./access.js";
import { closureUnion, type Encode } from "./closure_encode.js";
import { uncovered } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type IntegerShape, type RecordMember, type RecordShape, type Shape } from "./shape.js";
import { literal, type Path, pathText, propertyRead, Source } from "./source.js";

/** Names up to which unknown ones are found by a switch; more go to a Set. */
const SWITCHED = 16;
/** Bytes up to which a gap is zeroed by stores. */
const STORED = 16;

/** What a statement may change: inside of a union a member leaves all bits that are not its own. */
interface Context {
  readonly sparse: boolean;
}

class EncodeEmitter {
  readonly #source: Source;
  readonly #views: Views;
  readonly #label: string;

  constructor(source: Source, views: Views) {
    this.#source = source;
    this.#views = views;
    this.#label = source.label;
  }

  /** Statements that store the value in `variable`. */
  value(shape: Shape, variable: string, place: Place, path: Path, context: Context): string {
    const where = `${this.#label}, ${pathText(path)}`;
    switch (shape.kind) {
      case "integer":
        return this.#integer(shape, variable, place, where);
      case "boolean":
        return `${this.#boolean(variable, where)} ${this.#views.store("u", shape.size, place, shape.size === 8 ? `${variable} ? 1n : 0n` : `${variable} ? 1 : 0`)}`;
      case "float":
        return `if (typeof ${variable} !== "number") checkFloat(${variable}, ${where}); ${this.#views.store("f", shape.size, place, variable)}`;
      case "chars":
        if (shape.tail) return this.#tail(variable, place, '"string"', where);
        return `writeText(memory, ${addressOf(place)}, ${shape.size}, ${variable}, ${context.sparse}, ${where});`;
      case "bytes":
        if (shape.tail) return this.#tail(variable, place, '"Uint8Array"', where);
        return `writeBytes(memory, ${addressOf(place)}, ${shape.size}, ${variable}, ${where});`;
      case "address":
        return `writeAddress(memory, ${addressOf(place)}, ${shape.size}, ${variable}, ${where});`;
      case "array":
        return this.#array(shape.element, shape.tail ? undefined : shape.length, variable, place, path, context);
      case "record":
        return this.#record(shape, variable, place, path, context);
    }
  }

  #integer(shape: IntegerShape, variable: string, place: Place, where: string): string {
    const { size, signed, swapped } = shape;
    const bits = size * 8;
    if (size >= 8) {
      const check = shape.as === "number" ? "checkExact" : "checkBigint";
      const fits = `BigInt.${signed ? "asIntN" : "asUintN"}(${bits}, ${variable}) !== ${variable}`;
      const checked = `if (typeof ${variable} !== "bigint" || ${fits}) ${variable} = ${check}(${variable}, ${bits}, ${signed}, ${where});`;
      if (size === 16) return `${checked} writeWide(${this.#views.view()}, ${addressOf(place)}, ${variable});`;
      return `${checked} ${this.#views.store(signed ? "i" : "u", 8, place, variable, swapped)}`;
    }
    return `${number(variable, bits, signed, where)} ${this.#views.store(signed ? "i" : "u", size, place, variable, swapped)}`;
  }

  #boolean(variable: string, where: string): string {
    return `if (typeof ${variable} !== "boolean") checkBoolean(${variable}, ${where});`;
  }

  #bits(shape: Shape, at: number, size: number, variable: string, place: Place, path: Path): string {
    const where = `${this.#label}, ${pathText(path)}`;
    const target = `${this.#views.bytes()}, ${addressOf(place)}, ${at}, ${size}`;
    if (shape.kind === "boolean") return `${this.#boolean(variable, where)} writeBits(${target}, ${variable} ? 1 : 0);`;
    const { as, signed, size: width } = shape as IntegerShape;
    if (width < 8) return `${number(variable, size, signed, where)} writeBits(${target}, ${variable});`;
    return `writeBigBits(${target}, ${as === "number" ? "checkExact" : "checkBigint"}(${variable}, ${size}, ${signed}, ${where}));`;
  }

  #array(
    element: Shape,
    length: number | undefined,
    variable: string,
    place: Place,
    path: Path,
    context: Context,
  ): string {
    const where = `${this.#label}, ${pathText(path)}`;
    const index = this.#source.unique("i");
    const item = this.#source.unique("v");
    const at = this.#source.unique("at");
    const body = this.value(
      element,
      item,
      { base: at, offset: 0, alignment: strided(place, element.size) },
      [...path, "[", { variable: index }, "]"],
      context,
    );
    const loop = `for (let ${index} = 0, ${at} = ${addressOf(place)}; ${index} < ${variable}.length; ${index}++, ${at} += ${element.size}) { let ${item} = ${variable}[${index}]; ${body} }`;
    if (length !== undefined) {
      return `if (!Array.isArray(${variable}) || ${variable}.length !== ${length}) checkList(${variable}, ${length}, ${where}); ${loop}`;
    }
    const bytes = `${variable}.length * ${element.size}`;
    return `checkAnyList(${variable}, ${where}); checkRoom(${bytes}, end - (${addressOf(place)}), ${where}); ${loop} used = Math.max(used, ${addressOf(place)} - offset + ${bytes});`;
  }

  #tail(variable: string, place: Place, expected: string, where: string): string {
    return `used = Math.max(used, ${addressOf(place)} - offset + writeTail(memory, ${addressOf(place)}, end, ${variable}, ${expected}, ${where}));`;
  }

  #record(shape: RecordShape, variable: string, place: Place, path: Path, context: Context): string {
    const where = `${this.#label}, ${pathText(path)}`;
    const key = this.#source.unique("key");
    const names = this.#source.constant(new Set(shape.names));
    const unknown = `unknownMember(${key}, ${names}, ${where});`;
    const known =
      shape.names.length > 0 && shape.names.length <= SWITCHED
        ? `switch (${key}) { ${shape.names.map((name) => `case ${literal(name)}:`).join(" ")} break; default: ${unknown} }`
        : `if (!${names}.has(${key})) ${unknown}`;
    return `if (typeof ${variable} !== "object" || ${variable} === null || Array.isArray(${variable})) checkRecord(${variable}, ${where});
for (const ${key} in ${variable}) { ${known} }
${this.#members(shape, variable, place, path, context)}`;
  }

  #members(shape: RecordShape, variable: string, place: Place, path: Path, context: Context): string {
    if (shape.union) return this.#union(shape, variable, place, path);
    return shape.members.map((member) => this.#member(member, variable, place, path, context)).join("\n");
  }

  #member(member: RecordMember, variable: string, place: Place, path: Path, context: Context): string {
    if (member.name === "" && member.shape.kind === "record") {
      return this.#members(member.shape, variable, advance(place, member.offset), path, context);
    }
    const value = this.#source.unique("v");
    const inner = [...path, `.${member.name}`];
    const store =
      member.bits === undefined
        ? this.value(member.shape, value, advance(place, member.offset), inner, context)
        : this.#bits(member.shape, member.bits.offset, member.bits.size, value, place, inner);
    const given = member.owned ? `if (${value} !== undefined) { ${store} }` : store;
    return `{ let ${value} = ${propertyRead(variable, member.name)}; ${given} }`;
  }

  /** The usual case, one member given, is written out; with none or several the closures decide. */
  #union(shape: RecordShape, variable: string, place: Place, path: Path): string {
    const alternatives = shape.members.filter(
      (member) => member.name !== "" || (member.shape.kind === "record" && member.shape.names.length > 0),
    );
    if (alternatives.length === 0) return "";
    const given = this.#source.unique("given");
    const presence = alternatives.map((member, index) => {
      const names = member.name === "" ? (member.shape as RecordShape).names : [member.name];
      const present = names.map((name) => `${propertyRead(variable, name)} !== undefined`).join(" || ");
      return `if (${present}) ${given} = ${given} === -1 ? ${index} : -2;`;
    });
    const cases = alternatives.map(
      (member, index) => `case ${index}: { ${this.#member(member, variable, place, path, { sparse: true })} break; }`,
    );
    const several = `${this.#source.constant(closureUnion(shape, this.#source.labelText))}(memory, ${addressOf(place)}, ${variable}, end, ${pathText(path)}, true)`;
    const rest = hasTail(shape) ? `used = Math.max(used, ${several} - offset);` : `${several};`;
    return `let ${given} = -1;
${presence.join("\n")}
switch (${given}) {
${cases.join("\n")}
default: ${rest}
}`;
  }
}

/** Checks an integer of up to 32 bits. The fast check accepts -0 as 0 and refuses what is not whole. */
function number(variable: string, bits: number, signed: boolean, where: string): string {
  const low = signed ? -(2 ** (bits - 1)) : 0;
  const high = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const fast =
    bits === 32
      ? `${variable} !== ${variable} ${signed ? ">> 0" : ">>> 0"}`
      : `${variable} !== ${variable} >> 0 || ${variable} < ${low} || ${variable} > ${high}`;
  return `if (typeof ${variable} !== "number" || ${fast}) checkNumber(${variable}, ${low}, ${high}, ${where});`;
}

function zero(views: Views, shape: Shape): string {
  return uncovered(shape)
    .map(([start, end]) => {
      if (end - start > STORED) return `${views.bytes()}.fill(0, offset + ${start}, offset + ${end});`;
      return Array.from({ length: end - start }, (_, i) => `${views.bytes()}[offset + ${start + i}] = 0;`).join(" ");
    })
    .join(" ");
}

function addEncoder(source: Source, name: string, shape: Shape, alignment: number): number {
  let needed = 1;
  source.function(name, "memory, offset, value, end", (views) => {
    const tail = hasTail(shape);
    const prepare = tail ? `${views.bytes()}.fill(0, offset, end); let used = ${shape.size};` : zero(views, shape);
    const store = new EncodeEmitter(source, views).value(shape, "value", { base: "offset", offset: 0, alignment }, [], {
      sparse: false,
    });
    needed = views.alignment;
    return `${prepare}\n${store}\nreturn ${tail ? "used" : shape.size};`;
  });
  return needed;
}

export function generateEncoder(shape: Shape, label: string): Encode {
  const source = new Source(label);
  const needed = addEncoder(source, "aligned", shape, 8);
  let dispatch = "";
  if (needed > 1) {
    let unaligned: ((memory: Memory, offset: number, value: unknown, end: number) => number) | undefined;
    const slow = source.constant((memory: Memory, offset: number, value: unknown, end: number) => {
      if (unaligned === undefined) {
        const other = new Source(label);
        addEncoder(other, "unaligned", shape, 1);
        unaligned = other.compile("unaligned") as typeof unaligned;
      }
      return unaligned?.(memory, offset, value, end);
    });
    dispatch = `if ((offset & ${needed - 1}) !== 0) return ${slow}(memory, offset, value, end);`;
  }
  source.add(`function encode(memory, offset, value, length) {
const end = length === undefined ? ${hasTail(shape) ? "memory.byteLength" : `offset + ${shape.size}`} : offset + length;
if (end > memory.byteLength || end - offset < ${shape.size}) sizeMismatch(${source.label}, ${shape.size}, Math.min(end, memory.byteLength) - offset);
${dispatch}
return aligned(memory, offset, value, end);
}`);
  return source.compile("encode") as Encode;
}
