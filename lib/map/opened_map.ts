import { BpfError } from "../errors.js";
import type { NativeAddon, NativeMapDefinition } from "../native.js";
import { invalid, shown } from "../options.js";

export function mapTypeName(addon: NativeAddon, type: number): string {
  return addon.mapTypeName(type) ?? `type ${type}`;
}

/** A map of an opened object: what is set here takes effect at `load()`. */
export class OpenedMap {
  readonly name: string;
  /** libbpf's name of its type, for example `hash`, `ringbuf`. */
  readonly type: string;
  readonly #native: () => NativeMapDefinition;

  /** @internal */
  constructor(addon: NativeAddon, native: () => NativeMapDefinition) {
    this.#native = native;
    const map = native();
    this.name = map.name;
    this.type = mapTypeName(addon, map.type);
  }

  /** Bytes of a key; 0 for maps without one. */
  get keySize(): number {
    return this.#native().keySize;
  }

  /** Bytes of a value. */
  get valueSize(): number {
    return this.#native().valueSize;
  }

  /**
   * How many entries the map holds; for a ring buffer its size in bytes, a power of two and a multiple of the page size
   * (libbpf rounds up to one).
   */
  get maxEntries(): number {
    return this.#native().maxEntries;
  }

  set maxEntries(value: number) {
    if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) {
      throw invalid(`${this.name}.maxEntries must be a whole number from 1 to 4294967295, got ${shown(value)}`);
    }
    const native = this.#native();
    if (native.dataSize > 0) throw new BpfError({ code: "INVALID_ARGUMENT", message: `${this.name} is a section of the program's data; it has one entry` });
    native.maxEntries = value;
  }

  /** Whether `load()` makes this map. A program that uses a map which was not made is rejected. */
  get autocreate(): boolean {
    return this.#native().autocreate;
  }

  set autocreate(value: boolean) {
    if (typeof value !== "boolean") throw invalid(`${this.name}.autocreate must be a boolean, got ${shown(value)}`);
    this.#native().autocreate = value;
  }

  /**
   * Where the map is pinned at load; an existing map there is used in place of making one.
   * Its type and sizes must be the same.
   */
  get pinPath(): string | undefined {
    return this.#native().pinPath;
  }

  set pinPath(value: string | undefined) {
    if (value !== undefined && (typeof value !== "string" || value === "")) throw invalid(`${this.name}.pinPath must be a path, got ${shown(value)}`);
    this.#native().pinPath = value;
  }
}
