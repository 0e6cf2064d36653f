import { KeyedMap } from "./keyed_map.js";
import type { CursorKind } from "./walk.js";

/** What maps from which entries can be deleted have in common. */
export abstract class DeletableMap<K, V> extends KeyedMap<K, V> {
  /** Deletes an entry; false when there was none. */
  delete(key: K): boolean {
    return this.deleteKey(key);
  }

  /** Deletes those of the keys that are there, many by one system call (5.6), and returns how many were. */
  deleteMany(keys: Iterable<K>): number {
    return this.deleteKeys(keys);
  }

  /** Deletes every entry that is there now; what a program adds meanwhile may stay. */
  clear(): void {
    this.removeAll();
  }

  /**
   * Removes every entry and returns them: the way to read out and start anew what a program aggregates. In a hash table an entry is
   * removed in the same step in which it is read (5.6), so no update of a program is lost between the two.
   * @example
   * ```ts
   * import { HashMap, openMap } from "ebpf";
   * using counts = openMap("/sys/fs/bpf/counts", HashMap<number, bigint>);
   * for (const [pid, count] of counts.drain()) console.log(pid, count);
   * ```
   */
  drain(): [K, V][] {
    return this.takeAll();
  }

  /** How many entries there are. The kernel keeps no number: this goes through the map. */
  count(): number {
    let count = 0;
    const walk = this.walk();
    while (walk.next()) count += walk.count;
    return count;
  }
}

/**
 * BPF_MAP_TYPE_HASH, and the others of its habits. Minimum kernel 3.19.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Flow { saddr: number; dport: number }
 * using object = await BpfObject.load("flows.bpf.o");
 * const flows = object.hash<Flow, bigint>("flows");
 * flows.set({ saddr: 0x0100007f, dport: 443 }, 0n);
 * for (const [flow, bytes] of flows) console.log(flow.dport, bytes);
 * ```
 */
export class HashMap<K, V> extends DeletableMap<K, V> {
  /**
   * Removes an entry and returns its value in one step; undefined when there was none. Minimum kernel 5.14.
   * @throws BpfError KERNEL_UNSUPPORTED
   */
  getAndDelete(key: K): V | undefined {
    return this.takeKey(key);
  }

  /** @internal */
  protected override get cursor(): CursorKind {
    return "bucket";
  }
}

/** BPF_MAP_TYPE_LRU_HASH: the least recently used entries give way when it is full. Minimum kernel 4.10. */
export class LruHashMap<K, V> extends HashMap<K, V> {}

/** BPF_MAP_TYPE_PERCPU_HASH: a value is an array with one element per possible CPU. Minimum kernel 4.6. */
export class PerCpuHashMap<K, V> extends HashMap<K, V[]> {}

/** BPF_MAP_TYPE_LRU_PERCPU_HASH. Minimum kernel 4.10. */
export class LruPerCpuHashMap<K, V> extends HashMap<K, V[]> {}
