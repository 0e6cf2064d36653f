import { BpfError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import { attempt, type Meaning } from "../kernel/explain.js";
import { flagNames } from "../kernel/flags.js";
import type { NativeAddon, NativeMapDefinition } from "../native.js";
import { invalid, shown } from "../options.js";
import type { Settable } from "../settable.js";
import { BpfMap } from "./bpf_map.js";
import { MAP_CREATE_FLAGS, type MapCreateFlag } from "./map_info.js";

export function mapTypeName(addon: NativeAddon, type: number): string {
  // A damaged object may say anything, and an enum's upper half is no number to the addon.
  return (type > 0x7fffffff ? undefined : addon.mapTypeName(type)) ?? `type ${type}`;
}

/** A map of an opened object: what is set here takes effect at `load()`. */
export class OpenedMap {
  readonly name: string;
  /** libbpf's name of its type, for example `hash`, `ringbuf`. */
  readonly type: string;
  readonly #settable: Settable<NativeMapDefinition>;

  /** @internal */
  constructor(addon: NativeAddon, settable: Settable<NativeMapDefinition>) {
    this.#settable = settable;
    const map = settable.native();
    this.name = map.name;
    this.type = mapTypeName(addon, map.type);
  }

  /** Bytes of a key; 0 for maps without one. */
  get keySize(): number {
    return this.#settable.native().keySize;
  }

  /** Bytes of a value. */
  get valueSize(): number {
    return this.#settable.native().valueSize;
  }

  /**
   * How many entries the map holds; for a ring buffer its size in bytes, a power of two and a multiple of the page size
   * (libbpf rounds up to one).
   */
  get maxEntries(): number {
    return this.#settable.native().maxEntries;
  }

  set maxEntries(value: number) {
    if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) {
      throw invalid(`${this.name}.maxEntries must be a whole number from 1 to 4294967295, got ${shown(value)}`);
    }
    if (this.#settable.native().dataSize > 0)
      throw new BpfError({
        code: "INVALID_ARGUMENT",
        message: `${this.name} is a section of the program's data; it has one entry`,
      });
    this.#set("maxEntries", (native) => {
      native.maxEntries = value;
    });
  }

  /** Whether `load()` makes this map. A program that uses a map which was not made is rejected. */
  get autocreate(): boolean {
    return this.#settable.native().autocreate;
  }

  set autocreate(value: boolean) {
    if (typeof value !== "boolean") throw invalid(`${this.name}.autocreate must be a boolean, got ${shown(value)}`);
    this.#set("autocreate", (native) => {
      native.autocreate = value;
    });
  }

  /**
   * Where the map is pinned at load; an existing map there is used in place of making one.
   * Its type and sizes must be the same.
   */
  get pinPath(): string | undefined {
    return this.#settable.native().pinPath;
  }

  set pinPath(value: string | undefined) {
    if (value !== undefined && (typeof value !== "string" || value === ""))
      throw invalid(`${this.name}.pinPath must be a path, got ${shown(value)}`);
    this.#settable.native().pinPath = value;
  }

  /** Flags of its creation: BPF_F_* in lower case. */
  get flags(): readonly MapCreateFlag[] {
    return flagNames(MAP_CREATE_FLAGS, this.#settable.native().flags);
  }

  /** Memory node that `load()` allocates the map on; used with the flag `numa_node`. */
  get numaNode(): number {
    return this.#settable.native().numaNode;
  }

  set numaNode(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff)
      throw invalid(`${this.name}.numaNode must be a whole number from 0, got ${shown(value)}`);
    this.#set("numaNode", (native) => {
      native.numaNode = value;
    });
  }

  /**
   * `load()` uses a map that there is in place of making one: from `openMap`, `createMap` or another object. Type, sizes, maxEntries and flags
   * must be the same, and cannot be set any more. The map may be closed after `load()`.
   * @throws BpfError INVALID_ARGUMENT, CLOSED
   * @example
   * ```ts
   * import { BpfObject, openMap } from "ebpf";
   * using flows = openMap("/sys/fs/bpf/flows");
   * const opened = BpfObject.open("flows.bpf.o");
   * opened.map("flows").reuse(flows);
   * using object = await opened.load();
   * ```
   */
  reuse(map: BpfMap): void {
    const native = this.#settable.native();
    if (!(map instanceof BpfMap)) throw invalid(`${this.name}.reuse: expected a map, got ${shown(map)}`);
    const differences = [
      map.type === this.type ? "" : `its type is ${map.type}, not ${this.type}`,
      map.keySize === native.keySize ? "" : `its keys are of ${map.keySize} bytes, not ${native.keySize}`,
      map.valueSize === native.valueSize ? "" : `its values are of ${map.valueSize} bytes, not ${native.valueSize}`,
    ].filter((difference) => difference !== "");
    if (differences.length > 0)
      throw invalid(`${this.name}.reuse: map ${map.name} cannot take its place: ${differences.join(", ")}`);
    attempt(
      {
        doing: `reuse map ${map.name} as ${this.name}`,
        meanings: {
          [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "it is not like the map that the object declares" },
        },
      },
      () => this.#settable.keep("reuse", (next) => next.reuse(map.fd)),
    );
  }

  #set(setting: string, set: (native: NativeMapDefinition) => void): void {
    const native = this.#settable.native();
    attempt({ doing: `set ${this.name}.${setting}`, meanings: REUSED }, () => set(native));
  }

  /**
   * What the inner maps of a map of maps are like, for one that is declared without `__array(values, ...)`. Only an example: it is not
   * put into the map, and may be closed after `load()`.
   * @throws BpfError INVALID_ARGUMENT
   */
  setInnerMap(map: BpfMap): void {
    if (!(map instanceof BpfMap)) throw invalid(`${this.name}.setInnerMap: expected a map, got ${shown(map)}`);
    attempt(
      {
        doing: `set what the inner maps of ${this.name} are like`,
        meanings: {
          [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "it is no map of maps, or declares its inner map itself" },
        },
      },
      () => this.#settable.keep("inner map", (native) => native.setInnerMap(map.fd)),
    );
  }
}

/** What a setter says once there is another map. */
export const REUSED: Readonly<Record<number, Meaning>> = {
  [errno.EBUSY]: {
    code: "INVALID_STATE",
    text: "another map is used in its place, by reuse(), which is as it was made",
  },
};
