/** Where XDP programs redirect packets to: devices, CPUs, AF_XDP sockets. */
import { readFileSync } from "node:fs";
import type { Codec } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { type Descriptor, descriptorOf } from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { checkOptions, invalid, shown } from "../options.js";
import { outOfRange } from "./array_map.js";
import type { MapShape, Meanings } from "./bpf_map.js";
import { KeyMap } from "./key_map.js";

/** A redirection target with a program of its own. */
export interface RedirectOptions {
  /** An XDP program that sees the packet there. Minimum kernel 5.8 (devices), 5.9 (CPUs). */
  readonly program?: Descriptor | undefined;
}

export interface DeviceEntry {
  /** Interface index. */
  readonly ifindex: number;
  /** Id of the entry's program; undefined when it has none, or the map's values have no room to say. */
  readonly programId: number | undefined;
}

export interface CpuEntry {
  /** Packets that the CPU's queue holds. */
  readonly queueSize: number;
  /** Id of the entry's program; undefined when it has none, or the map's values have no room to say. */
  readonly programId: number | undefined;
}

/**
 * Values of struct bpf_devmap_val and bpf_cpumap_val are alike: a u32, and where the map was declared with 8 bytes a program, as descriptor on
 * the way in and as id on the way out.
 */
abstract class RedirectMap extends KeyMap<number> {
  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<number>) {
    super(native, shape, keys, shape.valueSize);
  }

  has(key: number): boolean {
    return this.lookupKey(key);
  }

  delete(key: number): boolean {
    return this.deleteKey(key);
  }

  /** @internal */
  protected put(key: number, value: number, options: RedirectOptions | undefined): void {
    const operation = `${this.name}.set`;
    const program = options?.program === undefined ? undefined : descriptorOf(operation, "program", options.program);
    if (program !== undefined && this.valueSize < 8) {
      throw invalid(
        `${operation}: its values are of ${this.valueSize} bytes and have no room for a program; declare them as struct bpf_devmap_val or bpf_cpumap_val`,
      );
    }
    this.value.u32[0] = value;
    // 0 is a descriptor like any other; what means none is a negative one (kernel/bpf/devmap.c).
    if (this.valueSize >= 8) this.value.i32[1] = program ?? -1;
    this.updateKey(key);
  }

  /** @internal */
  protected found(key: number): { readonly value: number; readonly programId: number | undefined } | undefined {
    if (!this.lookupKey(key)) return undefined;
    const { u32 } = this.value;
    const id = this.valueSize >= 8 ? (u32[1] as number) : 0;
    return { value: u32[0] as number, programId: id === 0 ? undefined : id };
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...outOfRange(this.maxEntries),
      [errno.EBADF]: {
        code: "INVALID_ARGUMENT",
        text: "the descriptor is not open, or not of the kind that belongs here",
      },
    };
  }
}

/** What both kinds of device maps have in common. */
abstract class DeviceMap extends RedirectMap implements Iterable<[number, DeviceEntry]> {
  /**
   * Puts a device there, by its index or its name in this process's network namespace.
   * @throws BpfError NOT_FOUND (no such device), INVALID_ARGUMENT, FULL
   */
  set(key: number, device: number | string, options?: RedirectOptions): this {
    checkOptions(`${this.name}.set`, options, { program: PROGRAM });
    this.put(key, ifindexOf(`${this.name}.set`, device), options);
    return this;
  }

  get(key: number): DeviceEntry | undefined {
    const found = this.found(key);
    return found === undefined ? undefined : { ifindex: found.value, programId: found.programId };
  }

  /** Every entry that there is. */
  *entries(): IterableIterator<[number, DeviceEntry]> {
    for (const key of this.eachKey()) {
      const entry = this.get(key);
      if (entry !== undefined) yield [key, entry];
    }
  }

  [Symbol.iterator](): IterableIterator<[number, DeviceEntry]> {
    return this.entries();
  }

  clear(): void {
    for (const [key] of [...this.entries()]) this.deleteKey(key);
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...super.meanings,
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: "there is no such device in this network namespace, or the program is none for a device map",
      },
    };
  }
}

/**
 * BPF_MAP_TYPE_DEVMAP: devices by index, for bpf_redirect_map() in XDP programs. Minimum kernel 4.14.
 *
 * @example
 * ```ts
 * import { DevMap, openMap } from "ebpf";
 * using ports = openMap("/sys/fs/bpf/ports", DevMap);
 * ports.set(0, "eth0").set(1, "eth1");
 * ```
 */
export class DevMap extends DeviceMap {
  get length(): number {
    return this.maxEntries;
  }
}

/** BPF_MAP_TYPE_DEVMAP_HASH: devices by any u32. Minimum kernel 5.4. */
export class DevMapHash extends DeviceMap {
  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...super.meanings,
      [errno.E2BIG]: { code: "FULL", text: `the map has all the ${this.maxEntries} entries it was made for` },
    };
  }
}

/** BPF_MAP_TYPE_CPUMAP: CPUs to process packets on, for bpf_redirect_map() in XDP programs. Minimum kernel 4.15. */
export class CpuMap extends RedirectMap implements Iterable<[number, CpuEntry]> {
  get length(): number {
    return this.maxEntries;
  }

  /**
   * Gives a CPU a queue of so many packets, and a kernel thread that empties it.
   * @throws BpfError INVALID_ARGUMENT: there is no such CPU, or more than 16384 packets
   */
  set(cpu: number, queueSize: number, options?: RedirectOptions): this {
    const operation = `${this.name}.set`;
    checkOptions(operation, options, { program: PROGRAM });
    // kernel/bpf/cpumap.c: __cpu_map_entry_alloc; 0 would delete the entry.
    if (!Number.isInteger(queueSize) || queueSize < 1 || queueSize > 16384)
      throw invalid(`${operation}: queue size must be a whole number from 1 to 16384, got ${shown(queueSize)}`);
    this.put(cpu, queueSize, options);
    return this;
  }

  get(cpu: number): CpuEntry | undefined {
    const found = this.found(cpu);
    return found === undefined ? undefined : { queueSize: found.value, programId: found.programId };
  }

  /** Every CPU that has a queue. */
  *entries(): IterableIterator<[number, CpuEntry]> {
    for (let cpu = 0; cpu < this.maxEntries; cpu++) {
      const entry = this.get(cpu);
      if (entry !== undefined) yield [cpu, entry];
    }
  }

  [Symbol.iterator](): IterableIterator<[number, CpuEntry]> {
    return this.entries();
  }

  clear(): void {
    for (const [cpu] of [...this.entries()]) this.deleteKey(cpu);
  }
}

/** BPF_MAP_TYPE_XSKMAP: AF_XDP sockets by queue, for bpf_redirect_map() in XDP programs. The kernel tells nobody what is there. Minimum kernel 4.18. */
export class XskMap extends KeyMap<number> {
  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<number>) {
    super(native, shape, keys, 4);
  }

  get length(): number {
    return this.maxEntries;
  }

  /** Puts an AF_XDP socket there, by its descriptor. @throws BpfError INVALID_ARGUMENT */
  set(index: number, socket: Descriptor): this {
    this.value.u32[0] = descriptorOf(`${this.name}.set`, "socket", socket);
    this.updateKey(index);
    return this;
  }

  /** Takes a socket out; false when there was none. */
  delete(index: number): boolean {
    return this.deleteKey(index);
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...outOfRange(this.maxEntries),
      [errno.EOPNOTSUPP]: { code: "INVALID_ARGUMENT", text: "the socket is not of family AF_XDP" },
      [errno.ENOBUFS]: {
        code: "INVALID_ARGUMENT",
        text: "the socket has no receive ring, which 7.x wants (XDP_RX_RING)",
      },
      [errno.EBADF]: { code: "INVALID_ARGUMENT", text: "the descriptor is not open" },
      [errno.ENOTSOCK]: { code: "INVALID_ARGUMENT", text: "the descriptor is no socket" },
    };
  }
}

const PROGRAM = {
  wants: "a program, or its descriptor",
  accepts: (value: unknown) => typeof value === "number" || (typeof value === "object" && value !== null),
} as const;

function ifindexOf(operation: string, device: unknown): number {
  if (typeof device === "number") {
    if (Number.isInteger(device) && device >= 1 && device <= 0x7fffffff) return device;
    throw invalid(`${operation}: device must be an interface's index or name, got ${shown(device)}`);
  }
  if (typeof device !== "string" || !/^[^/\s]+$/.test(device) || device === "." || device === "..") {
    throw invalid(`${operation}: device must be an interface's index or name, got ${shown(device)}`);
  }
  try {
    return Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
  } catch (cause) {
    throw new BpfError({
      code: "NOT_FOUND",
      message: `${operation}: there is no device named "${device}" in this network namespace`,
      cause,
    });
  }
}
