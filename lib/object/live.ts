/** Variables where they lie: each read and each write goes to the section's memory, member by member. */
import { inspect } from "node:util";
import { readBigBits, writeBigBits } from "../codec/bits.js";
import { type Codec, shapeCodec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import type { ArrayShape, RecordMember, RecordShape, Shape } from "../codec/shape.js";
import { BpfError } from "../errors.js";
import { namedRecord } from "../named.js";
import { shown } from "../options.js";

/** The memory that variables are in. Both throw what says why they cannot: closed, or constant. @internal */
export interface LiveMemory {
  read(offset: number, target: Uint8Array): void;
  write(offset: number, source: Uint8Array, label: string): void;
}

/** One value in memory. @internal */
export interface LiveValue {
  get(): unknown;
  set(value: unknown): void;
}

const snapshots = new WeakMap<object, () => unknown>();

/**
 * A copy, as plain data, of a live struct, union or array of `bss`, `data` or another section, or of a whole section: it does not
 * change any more. Of a section's variables each is copied at once, but the kernel may write while it is copied. Anything else is
 * returned as it is.
 *
 * @example
 * ```ts
 * import { BpfObject, snapshot } from "ebpf";
 * using object = await BpfObject.load("drops.bpf.o");
 * const before = snapshot(object.bss);
 * ```
 */
export function snapshot<T>(value: T): T {
  const take = typeof value === "object" && value !== null ? snapshots.get(value) : undefined;
  return take === undefined ? value : (take() as T);
}

/** Lets {@link snapshot} and console.log see a live object as plain data. @internal */
export function noteSnapshot(live: object, target: object, take: () => unknown): void {
  snapshots.set(live, take);
  Object.defineProperty(target, inspect.custom, { value: take, enumerable: false });
}

/**
 * The value of a shape at an offset. A struct or array is an object that stays live; numbers, strings and bytes are read when asked for.
 * @internal
 */
export function liveValue(shape: Shape, offset: number, label: string, memory: LiveMemory): LiveValue {
  const whole = plainValue(shape, offset, label, memory);
  if (shape.kind !== "record" && shape.kind !== "array") return whole;
  let live: object | undefined;
  return {
    get: () => {
      live ??=
        shape.kind === "record"
          ? liveRecord(shape, offset, label, memory, whole)
          : liveArray(shape, offset, label, memory, whole);
      return live;
    },
    // A live value encodes like any other: it is read member by member.
    set: whole.set,
  };
}

/** Read and written in one piece: of 4 or 8 aligned bytes that is one atomic access. */
function plainValue(shape: Shape, offset: number, label: string, memory: LiveMemory): LiveValue {
  let codec: Codec | undefined;
  let room: Memory | undefined;
  const prepare = (): [Codec, Memory] => {
    codec ??= shapeCodec(shape, label, label);
    room ??= Memory.allocate(shape.size);
    return [codec, room];
  };
  return {
    get: () => {
      const [reader, bytes] = prepare();
      memory.read(offset, bytes.bytes);
      return reader.decode(bytes, 0, shape.size);
    },
    set: (value) => {
      const [writer, bytes] = prepare();
      writer.encode(bytes, 0, value, shape.size);
      memory.write(offset, bytes.bytes, label);
    },
  };
}

function liveRecord(shape: RecordShape, offset: number, label: string, memory: LiveMemory, whole: LiveValue): object {
  return namedRecord<unknown>(`member of ${label}`, (record) => {
    const define = (members: readonly RecordMember[], base: number) => {
      for (const member of members) {
        if (member.name === "" && member.shape.kind === "record") {
          define(member.shape.members, base + member.offset);
          continue;
        }
        const value =
          member.bits === undefined
            ? liveValue(member.shape, base + member.offset, `${label}.${member.name}`, memory)
            : bitField(member, base, `${label}.${member.name}`, memory);
        Object.defineProperty(record, member.name, { enumerable: true, ...value });
      }
    };
    define(shape.members, offset);
    noteSnapshot(record, record, whole.get);
  });
}

/** Reads the bytes around it, changes its bits and writes them back: a program that writes its neighbours meanwhile may lose. */
function bitField(member: RecordMember, base: number, label: string, memory: LiveMemory): LiveValue {
  const { offset: firstBit, size } = member.bits as { offset: number; size: number };
  const start = firstBit >>> 3;
  const length = ((firstBit + size + 7) >>> 3) - start;
  const at = firstBit - start * 8;
  const shape: RecordShape = {
    kind: "record",
    union: false,
    size: length,
    members: [{ name: "value", offset: 0, shape: member.shape, bits: { offset: at, size }, owned: false }],
    names: ["value"],
  };
  const codec = shapeCodec(shape, label, label) as Codec<{ value: unknown }>;
  const room = Memory.allocate(length);
  const encoded = Memory.allocate(length);
  return {
    get: () => {
      memory.read(base + start, room.bytes);
      return codec.decode(room, 0, length).value;
    },
    set: (value) => {
      codec.encode(encoded, 0, { value });
      memory.read(base + start, room.bytes);
      writeBigBits(room.bytes, 0, at, size, readBigBits(encoded.bytes, 0, at, size, false));
      memory.write(base + start, room.bytes, label);
    },
  };
}

/** An array whose elements are read and written where they are. It has the methods of an Array; its length is C's. */
function liveArray(shape: ArrayShape, offset: number, label: string, memory: LiveMemory, whole: LiveValue): object {
  const { element, length } = shape;
  const at = (index: number) => liveValue(element, offset + index * element.size, `${label}[${index}]`, memory);
  const indexOf = (key: string | symbol) => {
    const index = typeof key === "string" && /^(0|[1-9]\d*)$/.test(key) ? Number(key) : -1;
    return index;
  };
  const refuse = (what: string): never => {
    throw new BpfError({
      code: "INVALID_ARGUMENT",
      message: `${label}: ${what}; it has ${length} elements, 0 to ${length - 1}, and no room for more`,
    });
  };
  // Scalars share one codec over all elements.
  const scalar =
    element.kind === "record" || element.kind === "array" ? undefined : scalarElements(element, offset, label, memory);
  const target: unknown[] = new Array(length);
  const proxy = new Proxy(target, {
    get: (_target, key) => {
      const index = indexOf(key);
      if (index < 0) return Reflect.get(target, key);
      if (index >= length) return undefined;
      return scalar === undefined ? at(index).get() : scalar.get(index);
    },
    set: (_target, key, value) => {
      const index = indexOf(key);
      if (index < 0) {
        if (key === "length" && value === length) return true;
        return refuse(`cannot set ${typeof key === "symbol" ? "a symbol" : shown(key)}`);
      }
      if (index >= length) return refuse(`no element ${index}`);
      if (scalar === undefined) at(index).set(value);
      else scalar.set(index, value);
      return true;
    },
    has: (_target, key) => {
      const index = indexOf(key);
      return index < 0 ? Reflect.has(target, key) : index < length;
    },
    deleteProperty: () => refuse("an element cannot be deleted"),
    defineProperty: () => refuse("its elements cannot be redefined"),
    ownKeys: () => [...Array.from({ length }, (_, index) => String(index)), ...Reflect.ownKeys(target)],
    getOwnPropertyDescriptor: (_target, key) => {
      const index = indexOf(key);
      if (index < 0) return Reflect.getOwnPropertyDescriptor(target, key);
      if (index >= length) return undefined;
      return {
        value: scalar === undefined ? at(index).get() : scalar.get(index),
        writable: true,
        enumerable: true,
        configurable: true,
      };
    },
  });
  noteSnapshot(proxy, target, whole.get);
  return proxy;
}

function scalarElements(element: Shape, offset: number, label: string, memory: LiveMemory) {
  const codec = shapeCodec(element, label, label);
  const room = Memory.allocate(element.size);
  return {
    get: (index: number): unknown => {
      memory.read(offset + index * element.size, room.bytes);
      return codec.decode(room, 0, element.size);
    },
    set: (index: number, value: unknown): void => {
      codec.encode(room, 0, value, element.size);
      memory.write(offset + index * element.size, room.bytes, `${label}[${index}]`);
    },
  };
}
