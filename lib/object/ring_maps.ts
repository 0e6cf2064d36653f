/** Maps of rings: streams over rings that come and go, and their counters, which are entries of a map beside. */
import { inspect } from "node:util";
import type { CountersReader, RingCounters } from "../events/loss.js";
import { RingBuffer } from "../events/ring_buffer.js";
import { RingBuffers } from "../events/ring_buffers.js";
import { MapType } from "../kernel/abi.js";
import type { PerCpuArrayMap } from "../map/array_map.js";
import { createMap } from "../map/create_map.js";
import type { PerCpuHashMap } from "../map/hash_map.js";
import type { MapOfMaps } from "../map/map_of_maps.js";
import { invalid } from "../options.js";
import type { ObjectCore } from "./core.js";
import {
  type CounterSlot,
  findRings,
  makeSource,
  type RingOptions,
  recordType,
  ringsSection,
  sumCounters,
} from "./rings.js";

const COUNTERS_PREFIX = "ebpf_counters__";
const DEFAULT_BYTES = 256 * 1024;

type CountersMap<K> = PerCpuHashMap<K, CounterSlot> | (PerCpuArrayMap<CounterSlot> & { delete?: never });

/** The counters of all rings, by their keys. What counts for a ring that was taken away is what they said then: its key may be another's now. */
class Counters<K> {
  readonly #map: CountersMap<K>;
  readonly #cpus: number;
  /** By the id of the ring's map. */
  readonly #last = new Map<number, RingCounters>();

  constructor(map: CountersMap<K>, cpus: number) {
    this.#map = map;
    this.#cpus = cpus;
  }

  reader(key: K, id: number): CountersReader {
    return () => this.#last.get(id) ?? this.#sum(key);
  }

  /** For a ring that begins. */
  reset(key: K): void {
    const zero: CounterSlot = { produced: 0n, lost: 0n, lost_bytes: 0n, last_lost_ns: 0n };
    this.#map.set(key as K & number, Array<CounterSlot>(this.#cpus).fill(zero));
  }

  removed(key: K, id: number, kept: boolean): void {
    if (kept) this.#last.set(id, this.#sum(key));
    if (this.#map.delete !== undefined) this.#map.delete(key);
  }

  released(id: number): void {
    this.#last.delete(id);
  }

  close(): void {
    this.#map.close();
  }

  #sum(key: K): RingCounters {
    return sumCounters(this.#map.get(key as K & number) ?? []);
  }
}

/** Whether a map's maps are rings that `<ebpf/events.h>` declared. */
export function isRingMap(core: ObjectCore, name: string): boolean {
  const btf = core.btfOrUndefined;
  return isMapOfMaps(core.map(name).type) && btf !== undefined && findRings(btf, name) !== undefined;
}

export function isMapOfMaps(type: number): boolean {
  return type === MapType.hashOfMaps || type === MapType.arrayOfMaps;
}

/** `open` makes a handle of one of the object's maps. */
export function makeRingBuffers<K, T>(
  core: ObjectCore,
  name: string,
  options: RingOptions<T>,
  open: (name: string) => unknown,
): RingBuffers<K, T> {
  const btf = core.btfOrUndefined;
  const declaration = btf === undefined ? undefined : findRings(btf, name);
  const type = recordType(core, name, declaration?.recordType, options.type);
  const rings = open(name) as MapOfMaps<K>;
  const counters =
    declaration === undefined
      ? undefined
      : new Counters<K>(open(COUNTERS_PREFIX + name) as CountersMap<K>, core.addon.possibleCpus());
  const word = (offset: number): number => {
    const value = new BigUint64Array(1);
    ringsSection(core).readData(offset, new Uint8Array(value.buffer));
    return Number(value[0]);
  };
  const stream = (key: K, gone: () => void): RingBuffer<T> | undefined => {
    const map = rings.get(key);
    if (map === undefined) return undefined;
    if (map.type !== "ringbuf") {
      map.close();
      throw invalid(`${name}: the maps in it are ${map.type}s, not ring buffers`);
    }
    const label = `${name}[${inspect(key, { breakLength: Number.POSITIVE_INFINITY })}]`;
    const { id } = map.info();
    const release = () => {
      map.close();
      counters?.released(id);
      gone();
    };
    return new RingBuffer<T>(
      makeSource(core, type, options, {
        name: label,
        label: `ring ${label}`,
        counters: counters?.reader(key, id),
        wakeup: undefined,
        fd: () => map.fd,
        release,
      }),
    );
  };
  return new RingBuffers<K, T>({
    name,
    rings,
    stream,
    add: (key, bytes) => {
      const size = bytes ?? (declaration === undefined ? DEFAULT_BYTES : word(declaration.bytesOffset));
      using ring = createMap({ type: "ringbuf", name: name.slice(0, 15), maxEntries: size });
      counters?.reset(key);
      rings.set(key, ring);
    },
    removed: (key, id, streamed) => counters?.removed(key, id, streamed),
    close: () => {
      rings.close();
      counters?.close();
    },
    unrouted: declaration === undefined ? undefined : () => word(declaration.unroutedOffset),
  });
}
