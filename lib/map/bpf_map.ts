import type { Codec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { BpfError, closedError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import { attempt, explain } from "../kernel/explain.js";
import type { NativeMap } from "../native.js";
import { checkString } from "../options.js";

/** What the object, or the kernel, says a map is. */
export interface MapShape {
  readonly name: string;
  /** libbpf's name of the type, for example `lru_hash`. */
  readonly type: string;
  /** enum bpf_map_type. */
  readonly typeNumber: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

/** A map in the kernel, with a descriptor of its own. What can be done with it is in the class for its type. */
export abstract class BpfMap implements Disposable {
  readonly name: string;
  readonly type: string;
  /** Bytes of a key; 0 for maps without one. */
  readonly keySize: number;
  /** Bytes of a value (of one CPU's value, for per-CPU maps). */
  readonly valueSize: number;
  /** How many entries the map was made for. */
  readonly maxEntries: number;
  readonly #native: NativeMap;
  #closed = false;

  /** Maps come from an object, a pin or `createMap`. @internal */
  constructor(native: NativeMap, shape: MapShape) {
    this.#native = native;
    this.name = shape.name;
    this.type = shape.type;
    this.keySize = shape.keySize;
    this.valueSize = shape.valueSize;
    this.maxEntries = shape.maxEntries;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The map's descriptor, owned by this handle. @throws BpfError CLOSED */
  get fd(): number {
    return this.native.fd;
  }

  /**
   * Pins the map in a bpf file system: it then outlives this process.
   * @throws BpfError EXISTS, NOT_FOUND, PERMISSION_DENIED
   */
  pin(path: string): void {
    checkString("pin", "path", path);
    attempt({ doing: `pin map ${this.name} at ${path}` }, () => this.native.pin(path));
  }

  /** Frees this handle's descriptor. The kernel keeps the map while a program, a pin or another handle holds it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The open native map. @internal */
  protected get native(): NativeMap {
    if (this.#closed) throw closedError(`map ${this.name}`);
    return this.#native;
  }

  /** The error for what a hot native call returned. @internal */
  protected failure(operation: string, negativeErrno: number): Error {
    const failed = Object.assign(new Error(`${operation} failed`), { errno: -negativeErrno, operation: `bpf(${operation})`, log: [] });
    return explain(failed, {
      doing: `${operation} in map ${this.name}`,
      meanings: {
        [errno.E2BIG]: { code: "FULL", text: `the map has all the ${this.maxEntries} entries it was made for` },
        [errno.ENOENT]: { code: "NOT_FOUND", text: "there is no such entry" },
        [errno.EEXIST]: { code: "EXISTS", text: "the entry exists already" },
        [errno.EPERM]: { code: "PERMISSION_DENIED", text: "the map is frozen, read-only, or not this user's" },
      },
    });
  }
}

/** How a map's values pass through memory: one value, or one for each possible CPU. */
export interface ValueLayout<V> {
  /** Bytes of one entry's value as bpf(2) copies it. */
  readonly bytes: number;
  decode(memory: Memory, offset: number): V;
  encode(memory: Memory, offset: number, value: V): void;
}

export function oneValue<V>(codec: Codec<V>): ValueLayout<V> {
  const { size } = codec;
  return {
    bytes: size,
    decode: (memory, offset) => codec.decode(memory, offset, size),
    encode: (memory, offset, value) => codec.encode(memory, offset, value),
  };
}

/** One value per possible CPU, each rounded up to 8 bytes (kernel/bpf/syscall.c: bpf_map_value_size). */
export function valuePerCpu<V>(codec: Codec<V>, cpus: number, label: string): ValueLayout<V[]> {
  const stride = (codec.size + 7) & ~7;
  return {
    bytes: stride * cpus,
    decode: (memory, offset) => {
      const values: V[] = [];
      for (let cpu = 0; cpu < cpus; cpu++) values.push(codec.decode(memory, offset + cpu * stride, codec.size));
      return values;
    },
    encode: (memory, offset, values) => {
      if (!Array.isArray(values) || values.length !== cpus) {
        throw new BpfError({ code: "VALUE_INVALID", message: `${label}: expected an array of ${cpus} values, one per possible CPU` });
      }
      for (let cpu = 0; cpu < cpus; cpu++) {
        const at = offset + cpu * stride;
        memory.bytes.fill(0, at + codec.size, at + stride);
        codec.encode(memory, at, values[cpu] as V);
      }
    },
  };
}
