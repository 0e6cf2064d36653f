/** Random C types with values: declared, assigned and compared in C; expected in JavaScript. */
import fc from "fast-check";

export interface Scalar {
  readonly kind: "scalar";
  /** How C spells it. */
  readonly c: string;
  readonly bits: number;
  readonly signed: boolean;
  /** What it is in JavaScript; "exact" is a number that EBPF_NUMBER makes of 64 bits. */
  readonly as: "number" | "bigint" | "boolean" | "float" | "exact";
  /** Behind its declarator. */
  readonly attribute?: string;
  /** Assigned and compared in C through this macro. */
  readonly swap?: string;
  /** Values are taken from these in place of the whole range. */
  readonly among?: readonly (number | bigint)[];
  /** Bits that those values need, where 4 do not. */
  readonly needs?: number;
}

export interface Text {
  readonly kind: "chars" | "bytes";
  readonly length: number;
}

export interface List {
  readonly kind: "array";
  readonly element: Type;
  readonly length: number;
}

export interface Member {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: Type;
  readonly bits?: number | undefined;
  /** An unnamed bit-field before it, as wide as this; 0 closes the unit. */
  readonly gap?: number | undefined;
}

export interface Composite {
  readonly kind: "struct" | "union";
  readonly members: readonly Member[];
  readonly attributes: string;
}

export type Type = Scalar | Text | List | Composite;

/** A value: of a struct or union an object, anonymous members flattened, one alternative of a union. */
export type Value = number | bigint | boolean | string | Uint8Array | Value[] | { [name: string]: Value };

const scalar = (c: string, bits: number, signed: boolean, as: Scalar["as"], rest: Partial<Scalar> = {}): Scalar => {
  return { kind: "scalar", c, bits, signed, as, ...rest };
};

const integers = [
  scalar("unsigned char", 8, false, "number"),
  scalar("signed char", 8, true, "number"),
  scalar("unsigned short", 16, false, "number"),
  scalar("short", 16, true, "number"),
  scalar("unsigned int", 32, false, "number"),
  scalar("int", 32, true, "number"),
  scalar("unsigned long long", 64, false, "bigint"),
  scalar("long long", 64, true, "bigint"),
  scalar("enum few", 32, false, "number", { among: [0, 1, 7] }),
  scalar("enum below", 32, true, "number", { among: [-2, 0, 3] }),
  scalar("enum wide", 64, false, "bigint", { among: [1n, 0x123456789abcdef0n], needs: 61 }),
  scalar("enum deep", 64, true, "bigint", { among: [-0x123456789n, 0n, 0x7fffffffffn], needs: 40 }),
  // Behind two names and a qualifier.
  scalar("again_t", 32, false, "number"),
];
const tagged: Partial<Scalar> = { attribute: " EBPF_NUMBER" };
const exact = [
  scalar("unsigned long long", 64, false, "exact", tagged),
  scalar("long long", 64, true, "exact", tagged),
  scalar("__be64", 64, false, "exact", { ...tagged, swap: "BE64" }),
  // Tagged themselves, and behind another name and a qualifier.
  scalar("count_t", 64, false, "exact"),
  scalar("change_t", 64, true, "exact"),
];
const boolean = scalar("_Bool", 8, false, "boolean");
const scalars = [
  ...integers,
  ...exact,
  boolean,
  scalar("char", 8, true, "number"),
  scalar("unsigned __int128", 128, false, "bigint"),
  scalar("__int128", 128, true, "bigint"),
  scalar("enum tiny", 8, true, "number", { among: [-100, 0, 100] }),
  scalar("enum packed", 16, false, "number", { among: [0, 300, 65535] }),
  scalar("void *", 64, false, "bigint"),
  scalar("float", 32, true, "float"),
  scalar("double", 64, true, "float"),
  scalar("__be16", 16, false, "number", { swap: "BE16" }),
  scalar("__be32", 32, false, "number", { swap: "BE32" }),
  scalar("__be64", 64, false, "bigint", { swap: "BE64" }),
];

export const PRELUDE = `
typedef unsigned short __be16; typedef unsigned int __be32; typedef unsigned long long __be64;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x) __builtin_bswap16(x)
#define BE32(x) __builtin_bswap32(x)
#define BE64(x) __builtin_bswap64(x)
#else
#define BE16(x) (x)
#define BE32(x) (x)
#define BE64(x) (x)
#endif
enum few { FEW_NONE, FEW_ONE, FEW_SEVEN = 7 };
enum below { BELOW = -2, BELOW_NOT, BELOW_THREE = 3 };
enum wide { WIDE_ONE = 1, WIDE = 0x123456789abcdef0ULL };
enum deep { DEEP = -0x123456789LL, DEEP_NOT = 0, DEEP_HIGH = 0x7fffffffffLL };
enum tiny { TINY = -100, TINY_NOT = 0, TINY_HIGH = 100 } __attribute__((packed));
enum packed { PACKED_NOT, PACKED = 300, PACKED_MOST = 65535 } __attribute__((packed));
typedef volatile unsigned int once_t; typedef once_t again_t;
#define EBPF_NUMBER __attribute__((btf_decl_tag("ebpf:number")))
typedef unsigned long long counted_t EBPF_NUMBER; 
typedef volatile counted_t count_t;
typedef long long change_t EBPF_NUMBER;
`;

const text: fc.Arbitrary<Text> = fc.record({
  kind: fc.constantFrom("chars" as const, "bytes" as const),
  length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(16, 40, 64, 80)),
});

const bitfield = fc
  .oneof(
    { weight: 8, arbitrary: fc.constantFrom(...integers) },
    { weight: 2, arbitrary: fc.constantFrom(...exact.filter(({ swap }) => swap === undefined)) },
    { weight: 1, arbitrary: fc.constant(boolean) },
  )
  .chain((type) =>
    fc.record({
      type: fc.constant(type as Type),
      // An enum's bit-field must hold its values.
      bits: fc.integer({ min: type.needs ?? (type.among ? 4 : 1), max: type.as === "boolean" ? 1 : type.bits }),
      gap: fc.option(fc.integer({ min: 0, max: 8 }), { freq: 6, nil: undefined }),
      anonymous: fc.constant(false),
    }),
  );

interface Draft {
  readonly type: Type;
  readonly bits?: number | undefined;
  readonly gap?: number | undefined;
  readonly anonymous: boolean;
}

const { composite } = fc.letrec<{ composite: Composite; type: Type; member: Draft }>((tie) => ({
  composite: fc
    .record({
      kind: fc.oneof(
        { weight: 4, arbitrary: fc.constant("struct" as const) },
        { weight: 1, arbitrary: fc.constant("union" as const) },
      ),
      drafts: fc.array(tie("member"), { maxLength: 7, depthIdentifier: "type" }),
      attributes: fc.oneof(
        { weight: 6, arbitrary: fc.constant("") },
        { weight: 2, arbitrary: fc.constant("__attribute__((packed))") },
        { weight: 1, arbitrary: fc.constant("__attribute__((aligned(16)))") },
      ),
    })
    .map(({ kind, drafts, attributes }) => ({
      kind,
      attributes,
      members: drafts.map((draft) => ({ ...draft, name: draft.anonymous ? "" : "?" })),
    })),
  type: fc.oneof(
    { depthIdentifier: "type", maxDepth: 3 },
    { weight: 6, arbitrary: fc.constantFrom(...scalars) },
    { weight: 2, arbitrary: text },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("array" as const),
        element: tie("type"),
        length: fc.integer({ min: 0, max: 10 }),
      }),
    },
    { weight: 2, arbitrary: tie("composite") },
  ),
  member: fc.oneof(
    { depthIdentifier: "type" },
    { weight: 5, arbitrary: tie("type").map((type): Draft => ({ type, anonymous: false })) },
    { weight: 3, arbitrary: bitfield },
    { weight: 2, arbitrary: tie("composite").map((type): Draft => ({ type, anonymous: true })) },
  ),
}));

export interface Struct {
  readonly type: Composite;
  /** A flexible array at the end. */
  readonly tail: { readonly element: Scalar | Text["kind"]; readonly length: number } | undefined;
  readonly seed: number;
}

/** A struct with names for its members, each its own. */
export const struct: fc.Arbitrary<Struct> = fc.record({
  type: composite.map((type) => withoutEmptyEnd(nameMembers({ ...type, kind: "struct" }, { next: 0 }))),
  tail: fc.option(
    fc.record({
      element: fc.oneof(
        fc.constantFrom("chars" as const, "bytes" as const),
        fc.constantFrom(...integers.filter(({ bits }) => bits > 8), ...exact),
      ),
      length: fc.nat(9),
    }),
    { freq: 4, nil: undefined },
  ),
  seed: fc.integer(),
});

/** BTF tells `x[0]` at the end of a record from a flexible array in nothing, and what lies there would be taken for its elements. */
function withoutEmptyEnd<T extends Type>(type: T): T {
  if (type.kind === "array") return type.length > 0 ? type : { ...type, length: 1 };
  if (type.kind !== "struct" && type.kind !== "union") return type;
  const at = type.members.length - 1;
  const members = type.members.map((member, i) =>
    i === at || type.kind === "union" ? { ...member, type: withoutEmptyEnd(member.type) } : member,
  );
  return { ...type, members };
}

/** What shares bytes with others holds any bits, and would be past 2^53: there is no exact number within a union. */
function nameMembers(type: Composite, counter: { next: number }, shared = false): Composite {
  const within = shared || type.kind === "union";
  const rename = (inner: Type): Type => {
    if (inner.kind === "array") return { ...inner, element: rename(inner.element) };
    if (inner.kind === "struct" || inner.kind === "union") return nameMembers(inner, counter, within);
    return within && inner.kind === "scalar" && inner.as === "exact"
      ? scalar(inner.signed ? "long long" : "unsigned long long", 64, inner.signed, "bigint")
      : inner;
  };
  return {
    ...type,
    members: type.members.map((member) => ({
      ...member,
      name: member.name === "" ? "" : `f${counter.next++}`,
      type: rename(member.type),
    })),
  };
}

export function declare(type: Type, name: string): string {
  switch (type.kind) {
    case "scalar":
      return `${type.c} ${name}`;
    case "chars":
      return `char ${name}[${type.length}]`;
    case "bytes":
      return `unsigned char ${name}[${type.length}]`;
    case "array":
      return declare(type.element, `${name}[${type.length}]`);
    default:
      return `${type.kind} ${body(type)} ${type.attributes} ${name}`;
  }
}

export function body(type: Composite, last = ""): string {
  const members = type.members.map((member) => {
    const gap = member.gap === undefined ? "" : `unsigned int : ${member.gap}; `;
    return `${gap}${declare(member.type, member.name)}${member.bits === undefined ? "" : ` : ${member.bits}`}${attributeOf(member.type)};`;
  });
  return `{ ${members.join(" ")} ${last} }`;
}

/** Of an array it is the attribute of its elements. */
function attributeOf(type: Type): string {
  if (type.kind === "array") return attributeOf(type.element);
  return (type.kind === "scalar" && type.attribute) || "";
}

/** A small generator of numbers (mulberry32): values follow from the struct's seed. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function integerOf(type: Scalar, width: number, next: (below: number) => number): bigint {
  if (type.among !== undefined) return BigInt(type.among[next(type.among.length)] as number | bigint);
  let raw = 0n;
  // Ends of the range are as likely as all between.
  const choice = next(5);
  if (choice === 0) raw = (1n << BigInt(width - 1)) - 1n;
  else if (choice === 1) raw = 1n << BigInt(width - 1);
  else if (choice === 2) raw = (1n << BigInt(width)) - 1n;
  else for (let i = 0; i < width; i += 16) raw = (raw << 16n) | BigInt(next(65536));
  return type.signed ? BigInt.asIntN(width, raw) : BigInt.asUintN(width, raw);
}

/** A whole number that is exact, often the last or the last but one that is. */
function exactOf(signed: boolean, width: number, next: (below: number) => number): number {
  const high = Math.min(Number.MAX_SAFE_INTEGER, 2 ** (signed ? width - 1 : width) - 1);
  const low = signed ? Math.max(Number.MIN_SAFE_INTEGER, -(2 ** (width - 1))) : 0;
  const near = [high, high - 1, low, low + 1][next(8)] ?? next(2 ** 21) * 2 ** 32 + next(2 ** 32);
  return near < low || near > high ? high : near;
}

/** A value that fits the bits and is past 2^53, often the first that is; undefined where all that fit are exact. */
export function pastExact(signed: boolean, width: number, next: (below: number) => number): bigint | undefined {
  const bits = BigInt(signed ? width - 1 : width);
  const first = 1n << 53n;
  if (bits <= 53n) return signed && bits === 53n ? -first : undefined;
  const last = (1n << bits) - 1n;
  const above = [first, first + 1n, last, last - 1n][next(4)] as bigint;
  return signed && next(2) === 0 ? -above : above;
}

export function scalarValue(type: Scalar, bits: number | undefined, next: (below: number) => number): Value {
  if (type.as === "boolean") return next(2) === 1;
  if (type.as === "float") {
    const value = (next(2 ** 31) - 2 ** 30) / 2 ** next(40);
    return type.bits === 32 ? Math.fround(value) : value;
  }
  const width = bits ?? type.bits;
  if (type.as === "exact") return exactOf(type.signed, width, next);
  const value = integerOf(type, width, next);
  return type.as === "number" ? Number(value) : value;
}

const ALPHABET = [..."abcXYZ019 /:.-_", "é", "→", "😀"];

export function textValue(type: Text, next: (below: number) => number): Value {
  if (type.kind === "bytes") return Uint8Array.from({ length: type.length }, () => next(256));
  let value = "";
  for (let wanted = next(type.length + 1); wanted > 0; wanted--) {
    const longer = value + (ALPHABET[next(ALPHABET.length)] as string);
    if (Buffer.byteLength(longer) > type.length) break;
    value = longer;
  }
  return value;
}

export function randomValue(type: Type, next: (below: number) => number): Value {
  switch (type.kind) {
    case "scalar":
      return scalarValue(type, undefined, next);
    case "chars":
    case "bytes":
      return textValue(type, next);
    case "array":
      // A char or unsigned char in an array makes text or bytes of it.
      if (isByte(type.element))
        return textValue({ kind: type.element.c === "char" ? "chars" : "bytes", length: type.length }, next);
      return Array.from({ length: type.length }, () => randomValue(type.element, next));
    default: {
      const value: { [name: string]: Value } = {};
      const named = type.members.filter(hasNames);
      const members =
        type.kind === "union" ? named.slice(0, 0).concat(named[next(Math.max(1, named.length))] ?? []) : named;
      for (const member of members) {
        if (member.name === "") Object.assign(value, randomValue(member.type, next));
        else
          value[member.name] =
            member.bits === undefined
              ? randomValue(member.type, next)
              : scalarValue(member.type as Scalar, member.bits, next);
      }
      return value;
    }
  }
}

export function isByte(type: Type): type is Scalar {
  return type.kind === "scalar" && (type.c === "char" || type.c === "unsigned char");
}

function hasNames(member: Member): boolean {
  return (
    member.name !== "" ||
    ((member.type.kind === "struct" || member.type.kind === "union") && member.type.members.some(hasNames))
  );
}

/** One assignable thing in C and the expression of its value. */
export interface Leaf {
  readonly target: string;
  readonly source: string;
  /** Of a number that EBPF_NUMBER makes: its type, its width, and where it is in the value. */
  readonly exact?: { readonly type: Scalar; readonly width: number; readonly path: readonly (string | number)[] };
}

export function* leaves(
  type: Type,
  value: Value,
  target: string,
  path: readonly (string | number)[] = [],
  width?: number,
): Generator<Leaf> {
  switch (type.kind) {
    case "scalar":
      yield {
        target,
        source: expression(type, value),
        ...(type.as === "exact" ? { exact: { type, width: width ?? type.bits, path } } : {}),
      };
      return;
    case "chars":
    case "bytes": {
      const bytes = typeof value === "string" ? Buffer.from(value) : (value as Uint8Array);
      const c = type.kind === "chars" ? "char" : "unsigned char";
      for (const [i, byte] of bytes.entries()) yield { target: `${target}[${i}]`, source: `(${c})${byte}` };
      return;
    }
    case "array":
      if (isByte(type.element))
        yield* leaves({ kind: type.element.c === "char" ? "chars" : "bytes", length: type.length }, value, target);
      else
        for (const [i, element] of (value as Value[]).entries())
          yield* leaves(type.element, element, `${target}[${i}]`, [...path, i]);
      return;
    default:
      for (const member of type.members) {
        const inner = value as { [name: string]: Value };
        if (member.name === "") yield* leaves(member.type, value, target, path);
        else if (inner[member.name] !== undefined)
          yield* leaves(
            member.type,
            inner[member.name] as Value,
            `${target}.${member.name}`,
            [...path, member.name],
            member.bits,
          );
      }
  }
}

export function expression(type: Scalar, value: Value): string {
  if (type.as === "boolean") return value ? "1" : "0";
  if (type.as === "float") return `(${type.c})${Object.is(value, -0) ? "-0.0" : (value as number)}`;
  const raw = BigInt.asUintN(type.bits, BigInt(value as number | bigint));
  const hex = (part: bigint): string => `0x${part.toString(16)}ULL`;
  if (type.bits === 128)
    return `(${type.c})(((unsigned __int128)${hex(raw >> 64n)} << 64) | ${hex(raw & 0xffffffffffffffffn)})`;
  return type.swap === undefined ? `(${type.c})${hex(raw)}` : `${type.swap}(${hex(raw)})`;
}
