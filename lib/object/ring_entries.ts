/** What is beside each ring of a map of rings: its counters and its control, as entries of other maps by the same keys. */
import { BpfError } from "../errors.js";
import type { CountersReader, RingCounters } from "../events/loss.js";
import { attempt } from "../kernel/explain.js";
import type { ArrayMap, PerCpuArrayMap } from "../map/array_map.js";
import type { HashMap, PerCpuHashMap } from "../map/hash_map.js";
import type { MapOfMaps } from "../map/map_of_maps.js";
import { REUSED } from "../map/opened_map.js";
import { invalid } from "../options.js";
import type { ObjectCore } from "./core.js";
import { declaredRings } from "./ring_declarations.js";
import { type CounterSlot, sumCounters } from "./rings.js";

/** The maps beside a map of rings. */
function entriesOf(name: string): readonly string[] {
  return [`ebpf_counters__${name}`, `ebpf_control__${name}`];
}

/** Before load: they have room for as many as there may be rings. */
export function sizeRingEntries(core: ObjectCore): void {
  const names = core.mapNames;
  for (const name of names) {
    if (declaredRings(core, name) === undefined) continue;
    const { maxEntries } = core.map(name);
    for (const entries of entriesOf(name)) {
      if (!names.includes(entries)) continue;
      const map = core.map(entries);
      // Of another object, whose rings are used with them, they have that room already and take no other.
      if (map.maxEntries === maxEntries) continue;
      attempt({ doing: `make ${entries} as large as ${name}`, meanings: REUSED }, () => {
        map.maxEntries = maxEntries;
      });
    }
  }
}

/** What is known of a ring that is, or was, read. */
interface ReadRing {
  /** What its counters said last. */
  counters: RingCounters;
  /** They say no more of it: its key may be another's now. */
  gone: boolean;
  /** What streams before the one that reads it now have read, and told of. */
  read: number;
  lost: number;
  lostBytes: number;
}

/** struct ebpf_ring_control: what programs share with a ring's reader. */
interface RingControl {
  readonly wakeup: bigint;
  readonly armed: bigint;
}

type CountersMap<K> = PerCpuHashMap<K, CounterSlot> | (PerCpuArrayMap<CounterSlot> & { delete?: never });
type ControlMap<K> = HashMap<K, RingControl> | (ArrayMap<RingControl> & { delete?: never });

/**
 * Counters and controls of all rings of a map, by their keys. What counts for a ring that was taken away, by whomever, is what its counters said last:
 * its key may be another's now. A stream that comes after another of the same ring counts from where that one ended.
 */
export class RingEntries<K> {
  readonly #counters: CountersMap<K>;
  readonly #controls: ControlMap<K>;
  readonly #cpus: number;
  readonly #rings: Pick<MapOfMaps<K>, "getId">;
  /** By the id of the ring's map. */
  readonly #read = new Map<number, ReadRing>();

  /** Of the `rings` of that name; `open` makes a handle of one of the object's maps. @throws BpfError INVALID_ARGUMENT */
  constructor(core: ObjectCore, name: string, rings: Pick<MapOfMaps<K>, "getId">, open: (name: string) => unknown) {
    const missing = entriesOf(name).find((map) => !core.mapNames.includes(map));
    if (missing !== undefined) {
      const message = `${name}: ${core.image.label} has no map ${missing}; compile it with this version of <ebpf/events.h>`;
      throw invalid(message);
    }
    const [counters, controls] = entriesOf(name).map(open);
    this.#counters = counters as CountersMap<K>;
    this.#controls = controls as ControlMap<K>;
    this.#cpus = core.addon.possibleCpus();
    this.#rings = rings;
  }

  counters(key: K, id: number): CountersReader {
    const ring = this.#read.get(id) ?? { counters: sumCounters([]), gone: false, read: 0, lost: 0, lostBytes: 0 };
    this.#read.set(id, ring);
    return () => {
      if (!ring.gone && this.#rings.getId(key) === id) ring.counters = this.#sum(key);
      const { produced, lost, lostBytes, lastLostNs } = ring.counters;
      return {
        produced: produced - ring.read - ring.lost,
        lost: lost - ring.lost,
        lostBytes: lostBytes - ring.lostBytes,
        lastLostNs,
      };
    };
  }

  /** For a ring that begins. */
  reset(key: K): void {
    const zero: CounterSlot = { produced: 0n, lost: 0n, lost_bytes: 0n, last_lost_ns: 0n };
    try {
      this.#counters.set(key as K & number, Array<CounterSlot>(this.#cpus).fill(zero));
      this.#controls.set(key as K & number, { wakeup: 0n, armed: 0n });
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      // These maps have as much room as the rings', and that is the one that was asked for.
      const { code, message, errno } = error;
      throw new BpfError({ code, message: message.replace(/ebpf_(counters|control)__/, ""), errno, cause: error });
    }
  }

  /** What programs read of a ring's wake-ups for each record. */
  setWakeup(key: K, id: number, wakeup: bigint): void {
    // The key of a ring that was taken away may be another's now.
    if (this.#rings.getId(key) !== id) return;
    try {
      this.#controls.set(key as K & number, { wakeup, armed: 0n });
    } catch (error) {
      // Of a ring that somebody else put there. Programs have no room for it either, and so wake at each record, as when it is 0.
      if (!(error instanceof BpfError) || error.code !== "FULL") throw error;
    }
  }

  removed(key: K, id: number, kept: boolean): void {
    const ring = this.#read.get(id);
    if (ring !== undefined && kept) Object.assign(ring, { counters: this.#sum(key), gone: true });
    else this.#read.delete(id);
    for (const map of [this.#counters, this.#controls]) if (map.delete !== undefined) map.delete(key);
  }

  /** Its stream is closed, and has read so many records. */
  released(id: number, read: number): void {
    const ring = this.#read.get(id);
    if (ring === undefined || ring.gone) {
      this.#read.delete(id);
      return;
    }
    ring.read += read;
    ring.lost = ring.counters.lost;
    ring.lostBytes = ring.counters.lostBytes;
  }

  close(): void {
    this.#counters.close();
    this.#controls.close();
  }

  #sum(key: K): RingCounters {
    return sumCounters(this.#counters.get(key as K & number) ?? []);
  }
}
