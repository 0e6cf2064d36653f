/**
 * The kinds of BTF (include/uapi/linux/btf.h) as one discriminated union.
 *
 * `type`, `element` and their kin are type ids, to be looked up with `Btf.type()`; id 0 is `void`.
 */

/** Kinds by their number in the format; index 0 is void, which has no record of its own. */
export const BTF_KINDS = [
  "void",
  "int",
  "ptr",
  "array",
  "struct",
  "union",
  "enum",
  "fwd",
  "typedef",
  "volatile",
  "const",
  "restrict",
  "func",
  "func_proto",
  "var",
  "datasec",
  "float",
  "decl_tag",
  "type_tag",
  "enum64",
] as const;

/** A BTF kind by its name in the kernel's documentation, without `BTF_KIND_` and in lower case. */
export type BtfKind = (typeof BTF_KINDS)[number];

interface Base {
  /** The id under which `Btf.type()` gives this type. */
  readonly id: number;
  /** The C name; empty where the kind has none or the type is anonymous. */
  readonly name: string;
}

export interface BtfVoid extends Base {
  readonly kind: "void";
}

export interface BtfInt extends Base {
  readonly kind: "int";
  /** Bytes. */
  readonly size: number;
  /** Bits that hold the value; fewer than `8 * size` only in the old form of bit-fields. */
  readonly bits: number;
  /** First of those bits. */
  readonly bitOffset: number;
  readonly signed: boolean;
  readonly bool: boolean;
  /** `char` itself, not `signed char` or `unsigned char`: by its encoding flag or its name, since compilers leave the flag out. */
  readonly char: boolean;
}

export interface BtfPointer extends Base {
  readonly kind: "ptr";
  /** What it points to; 0 for `void *`. */
  readonly type: number;
}

export interface BtfArray extends Base {
  readonly kind: "array";
  readonly element: number;
  readonly index: number;
  /** Number of elements; 0 for a flexible array too. */
  readonly length: number;
}

export interface BtfMember {
  /** Empty for an anonymous struct or union, whose members belong to the parent's scope. */
  readonly name: string;
  readonly type: number;
  /** From the start of the struct, in bits. */
  readonly bitOffset: number;
  /** Bits of a bit-field; 0 for an ordinary member. */
  readonly bitfieldSize: number;
}

export interface BtfStruct extends Base {
  readonly kind: "struct";
  /** Bytes, padding included. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfUnion extends Base {
  readonly kind: "union";
  /** Bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfEnum extends Base {
  readonly kind: "enum";
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly signed: boolean;
  /** In the order of the source; empty for an enum only declared. */
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

export interface BtfEnum64 extends Base {
  readonly kind: "enum64";
  /** Bytes; 8 in what clang writes. */
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

/** A struct or union that is only declared. */
export interface BtfForward extends Base {
  readonly kind: "fwd";
  readonly union: boolean;
}

/** Kinds that only refer to another type. */
export interface BtfReference extends Base {
  readonly kind: "typedef" | "volatile" | "const" | "restrict" | "type_tag";
  readonly type: number;
}

export interface BtfFunction extends Base {
  readonly kind: "func";
  /** Its prototype. */
  readonly type: number;
  readonly linkage: "static" | "global" | "extern";
}

export interface BtfFunctionPrototype extends Base {
  readonly kind: "func_proto";
  readonly returns: number;
  readonly parameters: readonly { readonly name: string; readonly type: number }[];
  /** Ends in `...`. */
  readonly variadic: boolean;
}

export interface BtfVariable extends Base {
  readonly kind: "var";
  readonly type: number;
  readonly linkage: "static" | "global" | "extern";
}

/** An ELF section of variables, such as `.bss`. */
export interface BtfDataSection extends Base {
  readonly kind: "datasec";
  /** Bytes; 0 in an object that libbpf has not opened yet. */
  readonly size: number;
  /** `type` is the id of a `var`; `offset` and `size` are bytes. */
  readonly variables: readonly { readonly type: number; readonly offset: number; readonly size: number }[];
}

export interface BtfFloat extends Base {
  readonly kind: "float";
  /** Bytes. */
  readonly size: number;
}

/** `__attribute__((btf_decl_tag("name")))` on a declaration. */
export interface BtfDeclTag extends Base {
  readonly kind: "decl_tag";
  readonly type: number;
  /** Member or parameter that it is on; -1 for the declaration itself. */
  readonly component: number;
}

export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfPointer
  | BtfArray
  | BtfStruct
  | BtfUnion
  | BtfEnum
  | BtfEnum64
  | BtfForward
  | BtfReference
  | BtfFunction
  | BtfFunctionPrototype
  | BtfVariable
  | BtfDataSection
  | BtfFloat
  | BtfDeclTag;
