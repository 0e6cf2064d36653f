/** Maps whose values are maps. */
import type { Codec } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { MapType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { invalid, shown } from "../options.js";
import { outOfRange } from "./array_map.js";
import { BpfMap, type MapShape, type Meanings } from "./bpf_map.js";
import { KeyMap } from "./key_map.js";
import { checkClass, type MapClass } from "./map_class.js";
import type { CursorKind } from "./walk.js";

/** Opens a handle by id; given by whoever knows all classes. @internal */
export type OpenById = (id: number) => BpfMap;

/** Whether the maps of a type hold maps. @internal */
export function isMapOfMaps(type: number): boolean {
  return type === MapType.hashOfMaps || type === MapType.arrayOfMaps;
}

/** What hashes and arrays of maps have in common. */
export abstract class MapOfMaps<K> extends KeyMap<K> implements Iterable<[K, number]> {
  readonly #open: OpenById;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<K>, open: OpenById) {
    super(native, shape, keys, 4);
    this.#open = open;
  }

  /**
   * A handle of the map that is there; undefined when there is none. It is the caller's to close, and stays good when another map takes
   * its place. With a class as second argument that is what the handle is.
   * @throws BpfError INVALID_ARGUMENT when the map is of another class
   * @example
   * ```ts
   * import { HashMap, HashOfMaps, openMap } from "ebpf";
   * using tenants = openMap("/sys/fs/bpf/tenants", HashOfMaps<number>);
   * using counters = tenants.get(7, HashMap<number, bigint>);
   * for (const [port, packets] of counters ?? []) console.log(port, packets);
   * ```
   */
  get(key: K): BpfMap | undefined;
  get<M extends BpfMap>(key: K, type: MapClass<M>): M | undefined;
  get(key: K, type?: MapClass<BpfMap>): BpfMap | undefined {
    const id = this.getId(key);
    if (id === undefined) return undefined;
    let map: BpfMap;
    try {
      map = this.#open(id);
    } catch (error) {
      // Replaced, and gone, between the two calls.
      if (error instanceof BpfError && error.code === "NOT_FOUND")
        return this.getId(key) === id ? undefined : this.get(key, type as MapClass<BpfMap>);
      throw error;
    }
    return type === undefined ? map : checkClass(`${this.name}.get`, map, type);
  }

  /** The id of the map that is there; undefined when there is none. */
  getId(key: K): number | undefined {
    return this.lookupKey(key) ? this.value.u32[0] : undefined;
  }

  has(key: K): boolean {
    return this.lookupKey(key);
  }

  /**
   * Puts a map there, in place of the one that is: programs that look it up from now on find the new one, those that have the old one
   * finish with it. It must be of the inner map's type, key size, value size and flags (and, an array without BPF_F_INNER_MAP, length).
   * @throws BpfError INVALID_ARGUMENT
   */
  set(key: K, map: BpfMap): this {
    if (!(map instanceof BpfMap)) throw invalid(`${this.name}.set: value must be a map, got ${shown(map)}`);
    this.value.u32[0] = map.fd;
    this.updateKey(key);
    return this;
  }

  /** Takes the map away; false when there was none. */
  delete(key: K): boolean {
    return this.deleteKey(key);
  }

  /** Takes every map away. */
  clear(): void {
    for (const [key] of [...this.entries()]) this.deleteKey(key);
  }

  /** Every key that has a map. */
  *keys(): IterableIterator<K> {
    for (const [key] of this.entries()) yield key;
  }

  /** Every key with the id of its map; see `KeyedMap.entries` for what iteration promises. */
  *entries(): IterableIterator<[K, number]> {
    const { keySize, keyCodec } = this;
    const walk = this.walk({ single: this.cursor === "index" });
    while (walk.next()) {
      for (let i = 0; i < walk.count; i++)
        yield [keyCodec.decode(walk.keys, i * keySize, keySize), walk.values.u32[i] as number];
    }
  }

  [Symbol.iterator](): IterableIterator<[K, number]> {
    return this.entries();
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: "the map is not like the inner map: type, key size, value size and flags must be the same (for arrays without BPF_F_INNER_MAP, 5.10, the length too)",
      },
    };
  }
}

/** BPF_MAP_TYPE_HASH_OF_MAPS: maps by key, for example one per tenant. Minimum kernel 4.12. */
export class HashOfMaps<K> extends MapOfMaps<K> {
  /** @internal */
  protected override get cursor(): CursorKind {
    return "bucket";
  }
}

/** BPF_MAP_TYPE_ARRAY_OF_MAPS: maps by index, for example a pair that is swapped. Minimum kernel 4.12. */
export class ArrayOfMaps extends MapOfMaps<number> {
  get length(): number {
    return this.maxEntries;
  }

  /** @internal */
  protected override get cursor(): CursorKind {
    return "index";
  }

  /** @internal */
  protected override get meanings(): Meanings {
    const { [errno.E2BIG]: full } = outOfRange(this.maxEntries);
    return full === undefined ? super.meanings : { ...super.meanings, [errno.E2BIG]: full };
  }
}
