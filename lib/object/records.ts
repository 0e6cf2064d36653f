/** Rings with records of several types: which type a record has is told by the enum it begins with. */
import type { Btf } from "../btf/btf.js";
import type { BtfEnum, BtfEnum64, BtfMember } from "../btf/types.js";
import { type Codec, compileCodec } from "../codec/codec.js";
import type { Memory } from "../codec/memory.js";
import { BpfError } from "../errors.js";

/** One type of record on a ring with several. */
export interface RecordAlternative {
  /** Its name in the union. */
  readonly name: string;
  /** BTF type id of its struct. */
  readonly type: number;
  /** The enumerator that its tag has, and the enumerator's value. */
  readonly enumerator: string;
  readonly tag: number | bigint;
}

export interface TaggedUnion {
  /** The member that every alternative begins with. */
  readonly member: string;
  /** BTF type id of the tag's enum. */
  readonly enumType: number;
  /** Bytes of the tag. */
  readonly tagSize: number;
  readonly signed: boolean;
  readonly alternatives: readonly RecordAlternative[];
}

/**
 * The alternatives of a union whose members are structs that begin with a member of one name and one enum type, and whose names
 * are those of the enumerators, without what all enumerators begin with and in lower case. Undefined for any other type.
 *
 *     enum event_kind { EVENT_OPEN, EVENT_CLOSE };
 *     struct event_open { enum event_kind kind; char path[64]; };
 *     struct event_close { enum event_kind kind; int fd; };
 *     union event { struct event_open open; struct event_close close; };
 */
export function taggedUnion(btf: Btf, id: number): TaggedUnion | undefined {
  const union = btf.type(btf.resolve(id));
  if (union.kind !== "union" || union.members.length < 2) return undefined;
  const [first] = union.members as readonly [BtfMember];
  const tag = tagOf(btf, first.type);
  if (tag === undefined) return undefined;
  const byName = enumeratorsByShortName(tag.enum);
  const alternatives: RecordAlternative[] = [];
  for (const { name, type } of union.members) {
    const own = tagOf(btf, type);
    const enumerator = byName.get(name.toLowerCase());
    if (own?.member !== tag.member || own.enum.id !== tag.enum.id || enumerator === undefined) return undefined;
    alternatives.push({ name, type: btf.resolve(type), enumerator: enumerator.name, tag: enumerator.value });
  }
  const { size, signed, id: enumType } = tag.enum;
  return { member: tag.member, enumType, tagSize: size, signed, alternatives };
}

function tagOf(
  btf: Btf,
  structId: number,
): { readonly member: string; readonly enum: BtfEnum | BtfEnum64 } | undefined {
  const struct = btf.type(btf.resolve(structId));
  const member = struct.kind === "struct" ? struct.members[0] : undefined;
  if (member === undefined || member.name === "" || member.bitfieldSize !== 0) return undefined;
  const type = btf.type(btf.resolve(member.type));
  return type.kind === "enum" || type.kind === "enum64" ? { member: member.name, enum: type } : undefined;
}

function enumeratorsByShortName(
  type: BtfEnum | BtfEnum64,
): Map<string, { readonly name: string; readonly value: number | bigint }> {
  const prefix = commonPrefix(type.values.map(({ name }) => name));
  return new Map(type.values.map((enumerator) => [enumerator.name.slice(prefix.length).toLowerCase(), enumerator]));
}

/** What all names begin with, up to and with an underscore. */
function commonPrefix(names: readonly string[]): string {
  let prefix = names[0] ?? "";
  for (const name of names) while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.slice(0, prefix.lastIndexOf("_") + 1);
}

/** The codec of a ring's records: for a {@link taggedUnion}, of the alternative that a record's tag names. */
export function recordCodec(btf: Btf, id: number, label: string): Codec {
  const union = taggedUnion(btf, id);
  if (union === undefined) return compileCodec(btf, id);
  const byTag = new Map(union.alternatives.map(({ type, tag }) => [BigInt(tag), compileCodec(btf, type)]));
  const tags = compileCodec<number | bigint>(btf, union.enumType);
  const codecFor = (tag: bigint): Codec => {
    const codec = byTag.get(tag);
    if (codec !== undefined) return codec;
    const known = union.alternatives.map(({ enumerator }) => enumerator).join(", ");
    throw new BpfError({
      code: "VALUE_INVALID",
      message: `${label}: a record's ${union.member} is ${tag}, which is none of ${known}`,
    });
  };
  const type = btf.describe(id);
  return {
    type,
    size: Math.min(...[...byTag.values()].map(({ size }) => size)),
    minimumSize: union.tagSize,
    hasTail: true,
    decode(memory: Memory, offset: number, length?: number): unknown {
      if (length !== undefined && length < union.tagSize) {
        throw new BpfError({
          code: "SIZE_MISMATCH",
          message: `${type}: needs ${union.tagSize} bytes for its ${union.member}, there are ${length}`,
        });
      }
      return codecFor(BigInt(tags.decode(memory, offset))).decode(memory, offset, length);
    },
    encode(memory: Memory, offset: number, value: unknown, length?: number): number {
      const tag = (value as Record<string, unknown> | null)?.[union.member];
      if (typeof tag !== "number" && typeof tag !== "bigint")
        throw new BpfError({ code: "VALUE_INVALID", message: `${label}.${union.member}: missing` });
      return codecFor(BigInt(tag)).encode(memory, offset, value, length);
    },
  };
}
