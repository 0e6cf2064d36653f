/** The records of the type section: where each starts, and one made into an object. */
import { invalid } from "./sections.js";
import { BTF_KINDS, type BtfKind, type BtfMember, type BtfType } from "./types.js";

/** BTF_KIND_* by name. */
export const KIND = Object.freeze(
  Object.fromEntries(BTF_KINDS.map((kind, number) => [kind, number])) as Record<BtfKind, number>,
);

/** Words of every record: name offset, info, and size or type. */
const HEAD = 3;

/** Words after the head: per record, and per element of its vlen. */
const FIXED = new Uint8Array(BTF_KINDS.length);
const PER_ELEMENT = new Uint8Array(BTF_KINDS.length);
FIXED[KIND.int] = 1;
FIXED[KIND.array] = 3;
FIXED[KIND.var] = 1;
FIXED[KIND.decl_tag] = 1;
PER_ELEMENT[KIND.struct] = 3;
PER_ELEMENT[KIND.union] = 3;
PER_ELEMENT[KIND.enum] = 2;
PER_ELEMENT[KIND.func_proto] = 2;
PER_ELEMENT[KIND.datasec] = 3;
PER_ELEMENT[KIND.enum64] = 3;

const LINKAGES = ["static", "global", "extern"] as const;

export function kindNumber(words: Uint32Array, start: number): number {
  return ((words[start + 1] as number) >>> 24) & 0x1f;
}

export function nameOffset(words: Uint32Array, start: number): number {
  return words[start] as number;
}

/** Of kinds that are another type, with a name or a qualifier: typedef, const, volatile, restrict and type tag. */
export function isModifier(kind: number): boolean {
  return (kind >= (KIND.typedef as number) && kind <= (KIND.restrict as number)) || kind === KIND.type_tag;
}

/** Walks the type section once. Every record noted is whole; what it refers to is checked when it is read. */
export function indexTypes(words: Uint32Array, what: string, firstId: number): Uint32Array {
  const end = words.length;
  let starts = new Uint32Array(Math.max(16, end >> 3));
  let count = 0;
  for (let at = 0; at < end; ) {
    if (at + HEAD > end) throw invalid(what, `the type section ends within type ${firstId + count}`);
    const info = words[at + 1] as number;
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind >= BTF_KINDS.length)
      throw invalid(what, `type ${firstId + count} is of kind ${kind}, which this library does not know`);
    const next = at + HEAD + (FIXED[kind] as number) + (PER_ELEMENT[kind] as number) * (info & 0xffff);
    if (next > end) throw invalid(what, `the type section ends within type ${firstId + count}`);
    if (count === starts.length) {
      const grown = new Uint32Array(count * 2);
      grown.set(starts);
      starts = grown;
    }
    starts[count++] = at;
    at = next;
  }
  return starts.slice(0, count);
}

/** How a record reaches the rest of its BTF; both throw on what is out of range. */
export interface RecordContext {
  string(offset: number): string;
  reference(id: number): number;
}

/** Makes the record at `start` into an object. */
export function materialise(words: Uint32Array, start: number, id: number, context: RecordContext): BtfType {
  const word = (at: number): number => words[start + at] as number;
  const info = word(1);
  const count = info & 0xffff;
  const flag = info >>> 31 === 1;
  const name = context.string(word(0));
  const kind = BTF_KINDS[kindNumber(words, start)] as BtfKind;
  const each = <T>(width: number, make: (at: number, index: number) => T): T[] => {
    const made: T[] = [];
    for (let index = 0; index < count; index++) made.push(make(HEAD + index * width, index));
    return made;
  };
  const linkage = (value: number) => LINKAGES[value] ?? "static";

  switch (kind) {
    case "void":
      return { id, kind, name };
    case "int": {
      const encoding = word(3);
      const flags = (encoding >>> 24) & 0xf;
      const size = word(2);
      return {
        id,
        kind,
        name,
        size,
        bits: encoding & 0xff,
        bitOffset: (encoding >>> 16) & 0xff,
        signed: (flags & 1) !== 0,
        char: size === 1 && ((flags & 2) !== 0 || name === "char"),
        bool: (flags & 4) !== 0,
      };
    }
    case "ptr":
    case "typedef":
    case "volatile":
    case "const":
    case "restrict":
    case "type_tag":
      return { id, kind, name, type: context.reference(word(2)) };
    case "array":
      return {
        id,
        kind,
        name,
        element: context.reference(word(3)),
        index: context.reference(word(4)),
        length: word(5),
      };
    case "struct":
    case "union": {
      const members = each(
        3,
        (at): BtfMember => ({
          name: context.string(word(at)),
          type: context.reference(word(at + 1)),
          // With the flag set the offset word holds the size of a bit-field in its upper byte.
          bitOffset: flag ? word(at + 2) & 0xffffff : word(at + 2),
          bitfieldSize: flag ? word(at + 2) >>> 24 : 0,
        }),
      );
      return { id, kind, name, size: word(2), members };
    }
    case "enum": {
      const values = each(2, (at) => ({
        name: context.string(word(at)),
        value: flag ? word(at + 1) | 0 : word(at + 1),
      }));
      return { id, kind, name, size: word(2), signed: flag, values };
    }
    case "enum64": {
      const values = each(3, (at) => {
        const value = (BigInt(word(at + 2)) << 32n) | BigInt(word(at + 1));
        return { name: context.string(word(at)), value: flag ? BigInt.asIntN(64, value) : value };
      });
      return { id, kind, name, size: word(2), signed: flag, values };
    }
    case "fwd":
      return { id, kind, name, union: flag };
    case "func":
      return { id, kind, name, type: context.reference(word(2)), linkage: linkage(count) };
    case "func_proto": {
      const parameters = each(2, (at) => ({ name: context.string(word(at)), type: context.reference(word(at + 1)) }));
      // `...` is a last parameter without name or type.
      const last = parameters.at(-1);
      const variadic = last !== undefined && last.type === 0 && last.name === "";
      if (variadic) parameters.pop();
      return { id, kind, name, returns: context.reference(word(2)), parameters, variadic };
    }
    case "var":
      return { id, kind, name, type: context.reference(word(2)), linkage: linkage(word(3)) };
    case "datasec": {
      const variables = each(3, (at) => ({
        type: context.reference(word(at)),
        offset: word(at + 1),
        size: word(at + 2),
      }));
      return { id, kind, name, size: word(2), variables };
    }
    case "float":
      return { id, kind, name, size: word(2) };
    case "decl_tag":
      return { id, kind, name, type: context.reference(word(2)), component: word(3) | 0 };
  }
}
