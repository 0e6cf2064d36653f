/**
 * The types of maps.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  type BloomFilterMap,
  type CgroupArrayMap,
  type DevMap,
  type HashOfMaps,
  LoadedObject,
  type LpmTrieMap,
  type OpenedObject,
  type OpenOptions,
  type PerfBuffer,
  type ProgArrayMap,
  type QueueMap,
  type SkStorageMap,
  type SockHashMap,
  type SockMap,
  type StackMap,
  type TaskStorageMap,
} from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct route`, 12 bytes. */
export interface route {
  /** `__u32`, 4 bytes at 0. */
  device: number;
  /** `__u8[6]`, 6 bytes at 4. */
  mac: Uint8Array;
}

/** `struct path_prefix`, 36 bytes. */
export interface path_prefix {
  /** `__u32`, 4 bytes at 0. */
  length: number;
  /** `char[32]`, 32 bytes at 4. */
  path: string;
}

/** `struct ipv4_prefix`, 8 bytes. */
export interface ipv4_prefix {
  /** `__u32`, 4 bytes at 0. */
  length: number;
  /** `__be32`, 4 bytes at 4; in the other byte order in C, in the host's here. */
  address: number;
}

/** What the object has, by its C names. */
export interface MapsObject extends ObjectShape {
  readonly programs: {
    readonly connect: ProgramOf<"cgroup/connect4">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_LPM_TRIE, 8 entries. */
    readonly routes: LpmTrieMap<string, route>;
    /** BPF_MAP_TYPE_LPM_TRIE, 8 entries. */
    readonly paths: LpmTrieMap<path_prefix, bigint>;
    /** BPF_MAP_TYPE_QUEUE, 8 entries. */
    readonly queue: QueueMap<route>;
    /** BPF_MAP_TYPE_STACK, 8 entries. */
    readonly stack: StackMap<bigint>;
    /** BPF_MAP_TYPE_BLOOM_FILTER, 8 entries. */
    readonly bloom: BloomFilterMap<bigint>;
    /** BPF_MAP_TYPE_SK_STORAGE. */
    readonly per_socket: SkStorageMap<route>;
    /** BPF_MAP_TYPE_TASK_STORAGE. */
    readonly per_task: TaskStorageMap<bigint>;
    /** BPF_MAP_TYPE_SOCKHASH, 8 entries. */
    readonly sockets: SockHashMap<ipv4_prefix>;
    /** BPF_MAP_TYPE_SOCKMAP, 8 entries. */
    readonly socket_list: SockMap;
    /** BPF_MAP_TYPE_DEVMAP, 8 entries. */
    readonly devices: DevMap;
    /** BPF_MAP_TYPE_PROG_ARRAY, 8 entries. */
    readonly tail_calls: ProgArrayMap;
    /** BPF_MAP_TYPE_CGROUP_ARRAY, 8 entries. */
    readonly cgroups: CgroupArrayMap;
    /** BPF_MAP_TYPE_PERF_EVENT_ARRAY, 8 entries. */
    readonly counters: PerfBuffer<Uint8Array>;
    /** BPF_MAP_TYPE_HASH_OF_MAPS, 8 entries. */
    readonly tables: HashOfMaps<ipv4_prefix>;
  };
  readonly sections: Record<never, never>;
}

/** maps.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedMaps = OpenedObject<MapsObject, Maps>;

/** maps.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Maps extends LoadedObject<MapsObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<MapsObject> = {}): OpenedMaps {
    return openSkeleton(Maps, options, {
      file: "maps.bpf.o",
      name: "maps",
      url: new URL("./maps.bpf.o", import.meta.url),
      fingerprint: "3bb2b567c5864ebf5b8cf79b4cc25cd5",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<MapsObject> = {}): Promise<Maps> {
    return Maps.open(options).load();
  }
}
