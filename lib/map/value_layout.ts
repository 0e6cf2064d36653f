/** How a map's values pass through memory: one value, or one for each possible CPU. */
import type { Codec } from "../codec/codec.js";
import type { Memory } from "../codec/memory.js";
import type { Reader, ReaderFactory } from "../codec/reader.js";
import { isRecord } from "../codec/values.js";
import { BpfError } from "../errors.js";

export interface ValueLayout<V> {
  /** Bytes of one entry's value as bpf(2) copies it. */
  readonly bytes: number;
  decode(memory: Memory, offset: number): V;
  encode(memory: Memory, offset: number, value: V): void;
  /** Stores the fields of the value at the start of `memory` in an object that is there already. */
  assign(memory: Memory, target: object): void;
}

/** A type's codec, and what reads its values where they lie; without the latter, values can be decoded only. */
export interface ValueType<V> {
  readonly codec: Codec<V>;
  readonly reader?: ReaderFactory | undefined;
  /** Begins error messages, for example `flows value`. */
  readonly label: string;
}

export function oneValue<V>(type: ValueType<V>): ValueLayout<V> {
  const { codec } = type;
  const { size } = codec;
  const assign = assigner(type);
  return {
    bytes: size,
    // The codec's methods are looked up at each call: the first one replaces them by compiled code. They are given the size, as a flexible
    // end would go on into what lies behind the value.
    decode: (memory, offset) => codec.decode(memory, offset, size),
    encode: (memory, offset, value) => {
      codec.encode(memory, offset, value, size);
    },
    assign: (memory, target) => assign(memory, 0, target),
  };
}

/** One value per possible CPU, each rounded up to 8 bytes (kernel/bpf/syscall.c: bpf_map_value_size). */
export function valuePerCpu<V>(type: ValueType<V>, cpus: number): ValueLayout<V[]> {
  const { codec, label } = type;
  const { size } = codec;
  const stride = (size + 7) & ~7;
  const assign = assigner(type);
  const check = (values: unknown): void => {
    if (!Array.isArray(values) || values.length !== cpus) {
      throw new BpfError({
        code: "VALUE_INVALID",
        message: `${label}: expected an array of ${cpus} values, one per possible CPU`,
      });
    }
  };
  return {
    bytes: stride * cpus,
    decode: (memory, offset) => {
      const values: V[] = [];
      for (let cpu = 0; cpu < cpus; cpu++) values.push(codec.decode(memory, offset + cpu * stride, size));
      return values;
    },
    encode: (memory, offset, values) => {
      check(values);
      for (let cpu = 0; cpu < cpus; cpu++) {
        const at = offset + cpu * stride;
        memory.bytes.fill(0, at + size, at + stride);
        codec.encode(memory, at, values[cpu] as V, size);
      }
    },
    assign: (memory, target) => {
      check(target);
      const list = target as unknown[];
      for (let cpu = 0; cpu < cpus; cpu++) {
        const at = cpu * stride;
        const item = list[cpu];
        if (typeof item === "object" && item !== null) assign(memory, at, item);
        else list[cpu] = codec.decode(memory, at, size);
      }
    },
  };
}

type Assign = (memory: Memory, offset: number, target: object) => void;

function assigner<V>({ codec, reader, label }: ValueType<V>): Assign {
  let known: { readonly memory: Memory; readonly at: Reader } | undefined;
  return (memory, offset, target) => {
    if (target instanceof Uint8Array) {
      target.set(memory.bytes.subarray(offset, offset + codec.size));
      return;
    }
    if (reader === undefined) throw notFields(label, codec);
    if (known?.memory !== memory) known = { memory, at: reader(memory) };
    const fields = known.at.at(offset);
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) throw notFields(label, codec);
    assignFields(fields as Record<string, unknown>, target as Record<string, unknown>);
  };
}

function assignFields(source: Record<string, unknown>, target: Record<string, unknown>): void {
  for (const name in source) {
    const value = source[name];
    // A nested struct is a cursor too, which moves with its parent: its fields are what is kept.
    if (isRecord(value)) {
      // Only what is the target's own: C names a member as it likes, also `__proto__`, and what is inherited is everybody's.
      const there = Object.hasOwn(target, name) ? target[name] : undefined;
      const nested: Record<string, unknown> = isRecord(there) ? there : {};
      assignFields(value, nested);
      if (nested !== there) store(target, name, nested);
    } else store(target, name, value);
  }
}

function store(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__")
    Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
  else target[name] = value;
}

function notFields(label: string, codec: Codec): BpfError {
  return new BpfError({
    code: "INVALID_ARGUMENT",
    message: `${label}: ${codec.type} has no fields to store in an object; give a Uint8Array of ${codec.size} bytes`,
  });
}
