/** Types of keys and values, for maps that no object declares. */
import type { Btf } from "../btf/btf.js";
import { bytesCodec, type Codec, compileCodec, shapeCodec } from "../codec/codec.js";
import { compileReader } from "../codec/reader.js";
import type { Shape } from "../codec/shape.js";
import { invalid, shown } from "../options.js";
import type { BtfBuilder } from "./btf_builder.js";
import type { ValueType } from "./value_layout.js";

const INTEGERS = {
  u8: [1, false],
  u16: [2, false],
  u32: [4, false],
  u64: [8, false],
  s8: [1, true],
  s16: [2, true],
  s32: [4, true],
  s64: [8, true],
} as const;

type Integer = keyof typeof INTEGERS;

/** A C type by way of the BTF that knows it; made by {@link cType}. */
export class CType<T> {
  readonly btf: Btf;
  readonly typeId: number;
  /** Only the compiler knows it. @internal */
  declare readonly value: T;

  /** @internal */
  constructor(btf: Btf, typeId: number) {
    this.btf = btf;
    this.typeId = typeId;
  }
}

/**
 * A C type that BTF knows, for `createMap`. `T` is what its values are in TypeScript.
 * @throws BpfError BTF_NOT_FOUND
 * @example
 * ```ts
 * import { BpfObject, createMap, cType } from "ebpf";
 * using object = await BpfObject.load("flows.bpf.o");
 * using backup = createMap({
 *   type: "hash",
 *   key: cType<{ saddr: number; dport: number }>("struct flow", object.btf),
 *   value: "u64",
 *   maxEntries: 1024,
 * });
 * ```
 */
export function cType<T>(name: string, btf: Btf): CType<T> {
  const [, kind, plain] = /^(?:(struct|union|enum)\s+)?(.+)$/.exec(name) ?? [];
  return new CType<T>(btf, btf.get(plain ?? name, kind as "struct" | "union" | "enum" | undefined));
}

/**
 * How a key or value is given to `createMap`: an integer type, `char[n]`, a number of bytes, or a {@link cType}.
 * These are `number`, `bigint` (64 bits), `string`, `Uint8Array` and what the C type is. `ipv4` and `ipv6` are the prefixes that are keys of tries.
 */
export type TypeSpec = Integer | `char[${number}]` | "ipv4" | "ipv6" | number | CType<unknown>;

/** What values of a {@link TypeSpec} are. */
export type ValueOf<S> =
  S extends CType<infer T>
    ? T
    : S extends "u64" | "s64"
      ? bigint
      : S extends Integer
        ? number
        : S extends `char[${number}]` | "ipv4" | "ipv6"
          ? string
          : S extends number
            ? Uint8Array
            : never;

/** A key's or value's type, in the forms that a map needs. */
export interface ResolvedType {
  readonly size: number;
  readonly type: (label: string) => ValueType<unknown>;
  /** Adds it to BTF that is loaded with the map; returns its id. */
  readonly describe: (builder: BtfBuilder) => number;
}

/** @throws BpfError INVALID_ARGUMENT, BTF_INVALID */
export function resolveType(operation: string, what: string, spec: unknown): ResolvedType {
  if (spec instanceof CType) {
    const { btf, typeId } = spec as CType<unknown>;
    return {
      size: btf.size(typeId),
      type: (label) => ({
        codec: compileCodec(btf, typeId, { label }),
        reader: (memory) => compileReader(btf, typeId, { label })(memory),
        label,
      }),
      describe: (builder) => builder.copy(btf, typeId),
    };
  }
  if (typeof spec === "number" && Number.isInteger(spec) && spec >= 0 && spec <= 0x7fffffff) {
    return {
      size: spec,
      type: (label) => ({ codec: bytesCodec(spec, { label }) as Codec, label }),
      describe: (builder) => builder.array(builder.integer("unsigned char", 1, false), spec),
    };
  }
  if (typeof spec === "string" && Object.hasOwn(INTEGERS, spec)) {
    const [size, signed] = INTEGERS[spec as Integer];
    return fromShape(
      { kind: "integer", size, signed, swapped: false, as: size === 8 ? "bigint" : "number" },
      spec,
      (builder) =>
        // The kernel wants the keys of arrays and storage to be an int of 32 bits, whatever its name.
        builder.integer(`__${spec}`, size, signed),
    );
  }
  const chars = typeof spec === "string" ? /^char\[(\d+)\]$/.exec(spec) : null;
  if (chars !== null) {
    const size = Number(chars[1]);
    if (size >= 1 && size <= 0x7fffffff)
      return fromShape({ kind: "chars", size, tail: false }, `char[${size}]`, (builder) =>
        builder.array(builder.integer("char", 1, true), size),
      );
  }
  if (spec === "ipv4" || spec === "ipv6") return prefixKey(spec === "ipv4" ? 4 : 16);
  throw invalid(
    `${operation}: ${what} must be one of ${Object.keys(INTEGERS).join(", ")}, "char[n]", a number of bytes or a cType(), got ${shown(spec)}`,
  );
}

function fromShape(shape: Shape, name: string, describe: (builder: BtfBuilder) => number): ResolvedType {
  return { size: shape.size, type: (label) => ({ codec: shapeCodec(shape, name, label), label }), describe };
}

/** struct bpf_lpm_trie_key with so many bytes of data. */
function prefixKey(bytes: number): ResolvedType {
  const length: Shape = { kind: "integer", size: 4, signed: false, swapped: false, as: "number" };
  const shape: Shape = {
    kind: "record",
    union: false,
    size: 4 + bytes,
    members: [
      { name: "prefixlen", offset: 0, shape: length, bits: undefined, owned: false },
      { name: "data", offset: 4, shape: { kind: "bytes", size: bytes, tail: false }, bits: undefined, owned: false },
    ],
    names: ["prefixlen", "data"],
  };
  return fromShape(shape, "struct bpf_lpm_trie_key", (builder) =>
    // The kernel wants the key of a trie to be a struct.
    builder.struct("bpf_lpm_trie_key", 4 + bytes, [
      ["prefixlen", builder.integer("__u32", 4, false)],
      ["data", builder.array(builder.integer("unsigned char", 1, false), bytes), 4],
    ]),
  );
}
