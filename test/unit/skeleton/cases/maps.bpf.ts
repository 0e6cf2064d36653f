/**
 * The types of maps.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  type ArrayOfMaps,
  type BloomFilterMap,
  type CgroupArrayMap,
  type CgroupStorageMap,
  type CgrpStorageMap,
  type CpuMap,
  type DevMap,
  type DevMapHash,
  type HashOfMaps,
  type InodeStorageMap,
  LoadedObject,
  type LpmTrieMap,
  type OpenedObject,
  type OpenOptions,
  type PerfEventArrayMap,
  type ProgArrayMap,
  type QueueMap,
  type ReuseportSockArrayMap,
  type SkStorageMap,
  type SockHashMap,
  type SockMap,
  type StackMap,
  type StackTraceMap,
  type TaskStorageMap,
  type XskMap,
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

/** `struct bpf_cgroup_storage_key`, 16 bytes. */
export interface bpf_cgroup_storage_key {
  /** `__u64`, 8 bytes at 0. */
  cgroup_inode_id: bigint;
  /** `__u32`, 4 bytes at 8. */
  attach_type: number;
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
    /** BPF_MAP_TYPE_DEVMAP_HASH, 8 entries. */
    readonly devices_by_index: DevMapHash;
    /** BPF_MAP_TYPE_CPUMAP, 8 entries. */
    readonly cpus: CpuMap;
    /** BPF_MAP_TYPE_XSKMAP, 8 entries. */
    readonly receivers: XskMap;
    /** BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 8 entries. */
    readonly group: ReuseportSockArrayMap;
    /** BPF_MAP_TYPE_STACK_TRACE, 8 entries. */
    readonly stacks: StackTraceMap;
    /** BPF_MAP_TYPE_INODE_STORAGE. */
    readonly per_inode: InodeStorageMap<bigint>;
    /** BPF_MAP_TYPE_CGRP_STORAGE. */
    readonly per_cgroup: CgrpStorageMap<route>;
    /** BPF_MAP_TYPE_PROG_ARRAY, 8 entries. */
    readonly tail_calls: ProgArrayMap;
    /** BPF_MAP_TYPE_CGROUP_ARRAY, 8 entries. */
    readonly cgroups: CgroupArrayMap;
    /** BPF_MAP_TYPE_PERF_EVENT_ARRAY, 8 entries. */
    readonly counters: PerfEventArrayMap;
    /** BPF_MAP_TYPE_HASH_OF_MAPS, 8 entries. */
    readonly tables: HashOfMaps<ipv4_prefix>;
    /** BPF_MAP_TYPE_ARRAY_OF_MAPS, 8 entries. */
    readonly table_list: ArrayOfMaps;
    /** BPF_MAP_TYPE_CGROUP_STORAGE. */
    readonly attached: CgroupStorageMap<bpf_cgroup_storage_key, route>;
  };
  readonly sections: Record<never, never>;
  /** What records can be said to be of a map whose declaration does not say it. */
  readonly types: {
    readonly "struct route": route;
    readonly "struct path_prefix": path_prefix;
    readonly "struct ipv4_prefix": ipv4_prefix;
    readonly "struct bpf_cgroup_storage_key": bpf_cgroup_storage_key;
  };
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
      fingerprint: "b0a5a9dbc01572731e5e9015569b48f7",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<MapsObject> = {}): Promise<Maps> {
    return Maps.open(options).load();
  }
}
