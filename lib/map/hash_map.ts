import { KeyedMap } from "./keyed_map.js";

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
export class HashMap<K, V> extends KeyedMap<K, V> {
  /** Deletes an entry; false when there was none. */
  delete(key: K): boolean {
    return this.deleteKey(key);
  }

  /** Deletes every entry that is there now. */
  clear(): void {
    for (const key of [...this.keys()]) this.deleteKey(key);
  }
}

/** BPF_MAP_TYPE_LRU_HASH: the least recently used entries give way when it is full. Minimum kernel 4.10. */
export class LruHashMap<K, V> extends HashMap<K, V> {}

/** BPF_MAP_TYPE_PERCPU_HASH: a value is an array with one element per possible CPU. Minimum kernel 4.6. */
export class PerCpuHashMap<K, V> extends HashMap<K, V[]> {}

/** BPF_MAP_TYPE_LRU_PERCPU_HASH. Minimum kernel 4.10. */
export class LruPerCpuHashMap<K, V> extends HashMap<K, V[]> {}
