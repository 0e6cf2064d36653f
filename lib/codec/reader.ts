/** A cursor over records in memory: fields are read where they lie, and no object is made per record. */
import type { Btf } from "../btf/btf.js";
import { type Place, Views } from "./access.js";
import { closureMember, closureRead, flatten } from "./closure_decode.js";
import type { CodecOptions } from "./codec.js";
import { DecodeEmitter } from "./generate_decode.js";
import { fixedSize } from "./layout.js";
import type { Memory } from "./memory.js";
import { hasTail, type RecordShape, type Shape, shapeOf } from "./shape.js";
import { canGenerate, literal, Source } from "./source.js";
import { sizeMismatch } from "./values.js";

/** Moves over the records of one memory. */
export interface Reader<T = unknown> {
  /**
   * The record at `offset`. It is the same object on each call, moved: what was read of it before is to be kept, not the object
   * (`{ ...record }` copies, nested structs excepted). Members of nested structs and unions are read in place too; strings, bytes and
   * arrays are made when read. For a type that is not a struct or union it is the value.
   *
   * `length` is that of the whole record, for a flexible end.
   *
   * @throws BpfError `SIZE_MISMATCH` when the record is not within the memory.
   */
  at(offset: number, length?: number): Readonly<T>;
  /** As `at`, unchecked: for a caller who knows that the record is within the memory, of a size that fits, at a multiple of 8. */
  move(offset: number, length: number): Readonly<T>;
}

/** Makes readers of one type. */
export type ReaderFactory<T = unknown> = (memory: Memory) => Reader<T>;

/** Where the record is that a reader's getters read. */
interface Cursor {
  readonly memory: Memory;
  offset: number;
  end: number;
}

type MakeRecord = (cursor: Cursor) => object;

interface Made {
  readonly make: MakeRecord;
  /** What offsets must be a multiple of. */
  readonly alignment: number;
}

/**
 * Compiles a cursor for records of a type.
 *
 * @throws BpfError as `compileCodec`.
 *
 * @example
 * ```ts
 * import { compileReader, kernelBtf, Memory } from "ebpf";
 * const btf = kernelBtf();
 * const size = btf.size(btf.get("iphdr"));
 * const headers = Memory.allocate(100 * size);
 * const reader = compileReader<{ ttl: number }>(btf, btf.get("iphdr"))(headers);
 * let sum = 0;
 * for (let i = 0; i < 100; i++) sum += reader.at(i * size).ttl;
 * ```
 */
export function compileReader<T = unknown>(btf: Btf, typeId: number, options: CodecOptions = {}): ReaderFactory<T> {
  return shapeReader(shapeOf(btf, typeId, options), options.label ?? btf.describe(typeId)) as ReaderFactory<T>;
}

/** As {@link compileReader}, of a shape; `generate` false takes closures where generated code would be permitted. */
export function shapeReader(shape: Shape, label: string, generate: boolean = canGenerate()): ReaderFactory {
  const fixed = fixedSize(shape);
  const tail = hasTail(shape);
  const check = (memory: Memory, offset: number, length: number | undefined): number => {
    const end = offset + (length ?? shape.size);
    if (end - offset < fixed || (tail ? end : offset + fixed) > memory.byteLength) {
      sizeMismatch(label, fixed, Math.min(end, memory.byteLength) - offset);
    }
    return end;
  };
  if (shape.kind !== "record") {
    const read = closureRead(shape, label);
    return (memory) => ({
      at: (offset, length) => read(memory, offset, check(memory, offset, length)) as object,
      move: (offset, length) => read(memory, offset, offset + length) as object,
    });
  }

  const build = (alignment: number): Made =>
    generate ? generateRecord(shape, label, alignment) : { make: closureRecord(shape, label), alignment: 1 };
  const aligned = build(8);
  let unaligned: Made | undefined;
  return (memory) => {
    const cursor: Cursor = { memory, offset: 0, end: 0 };
    const record = aligned.make(cursor);
    const mask = aligned.alignment - 1;
    let slow: object | undefined;
    // Without a tail nothing asks where the record ends.
    const move: Reader["move"] = tail
      ? (offset, length) => {
          cursor.end = offset + length;
          cursor.offset = offset;
          return record;
        }
      : (offset) => {
          cursor.offset = offset;
          return record;
        };
    return {
      at(offset, length) {
        cursor.end = check(memory, offset, length);
        cursor.offset = offset;
        if ((offset & mask) === 0) return record;
        if (slow === undefined) {
          unaligned ??= build(1);
          slow = unaligned.make(cursor);
        }
        return slow;
      },
      move,
    };
  };
}

function generateRecord(shape: RecordShape, label: string, alignment: number): Made {
  const source = new Source(label);
  const emitter = new DecodeEmitter(source, fixedSize(shape));
  let needed = 1;
  const add = (record: RecordShape, base: number, path: string): string => {
    const name = source.unique("record");
    const children: string[] = [];
    // Taken once: a reader is of one memory.
    const views = new Views();
    const properties = flatten(record, base, path).map(({ name: key, base: at, path: inner, member }) => {
      if (member.bits === undefined && member.shape.kind === "record") {
        const child = source.unique("child");
        children.push(`const ${child} = ${add(member.shape, at + member.offset, inner)}(cursor);`);
        return define(key, `value: ${child}, writable: true`);
      }
      const place: Place = { base: "offset", offset: at, alignment };
      const value = emitter.member(views, member, place, inner.slice(0, inner.length - key.length - 1), "cursor.end");
      return define(key, `get: function () { const offset = cursor.offset; return ${value}; }`);
    });
    needed = Math.max(needed, views.alignment);
    // Getters in a literal, or on objects that start from one hidden class, make V8 turn the object into a dictionary, and reading a
    // member then takes 10 ns and not 1. A constructor of its own gives it a hidden class of its own.
    source.add(
      `function ${name}(cursor) { ${children.join(" ")} const memory = cursor.memory; ${views.declarations("memory")} function Record() {} const record = new Record();\n${properties.join("\n")}\nreturn record; }`,
    );
    return name;
  };
  const root = add(shape, 0, "");
  return { make: source.compile(root) as MakeRecord, alignment: needed };
}

function define(key: string, descriptor: string): string {
  return `Object.defineProperty(record, ${literal(key)}, { ${descriptor}, enumerable: true, configurable: true });`;
}

function closureRecord(shape: RecordShape, label: string): MakeRecord {
  const make = (record: RecordShape, base: number, path: string): MakeRecord => {
    const members = flatten(record, base, path).map(({ name, base: at, path: inner, member }) => {
      if (member.bits === undefined && member.shape.kind === "record") {
        return { name, at, nested: make(member.shape, at + member.offset, inner), read: undefined };
      }
      return { name, at, nested: undefined, read: closureMember(member, label, inner) };
    });
    return (cursor) => {
      const made = {};
      for (const { name, at, nested, read } of members) {
        const accessor =
          read === undefined
            ? { value: nested(cursor), writable: true }
            : { get: () => read(cursor.memory, cursor.offset + at, cursor.end) };
        Object.defineProperty(made, name, { ...accessor, enumerable: true, configurable: true });
      }
      return made;
    };
  };
  return make(shape, 0, "");
}
