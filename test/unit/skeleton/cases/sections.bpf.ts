/**
 * The types of sections.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  type ArrayMap,
  type HashMap,
  LoadedObject,
  type LruHashMap,
  type LruPerCpuHashMap,
  type OpenedObject,
  type OpenOptions,
  type PerCpuArrayMap,
  type PerCpuHashMap,
} from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct limits`, 24 bytes. */
export interface limits {
  /** `__u32`, 4 bytes at 0. */
  packets: number;
  /** `__u64[2]`, 16 bytes at 8. */
  bytes: bigint[];
}

/** Constants in .rodata: set on the opened object, read-only from `load()` on. */
export interface SectionsRodata {
  /** `__u32`, 4 bytes at 0. */
  only_pid: number;
  /** `_Bool`, 1 byte at 4. */
  verbose: boolean;
  /** `struct limits`, 24 bytes at 8. */
  limits: limits;
  /** `char[16]`, 16 bytes at 32. */
  device: string;
}

/** Constants in .rodata.tuning: set on the opened object, read-only from `load()` on. */
export interface SectionsRodataTuning {
  /** `int`, 4 bytes at 0. */
  tuning: number;
}

/** Variables in .data; live from `load()` on. */
export interface SectionsData {
  /** `__be16`, 2 bytes at 0; in the other byte order in C, in the host's here. */
  port: number;
}

/** Variables in .data.config; live from `load()` on. */
export interface SectionsDataConfig {
  /** `__u64`, 8 bytes at 0. */
  threshold: bigint;
}

/** Variables in .data.x.y; live from `load()` on. */
export interface SectionsDataXY {
  /** `__u32`, 4 bytes at 0. */
  dotted: number;
}

/** Variables in .data.x_y; live from `load()` on. */
export interface SectionsDataXY_2 {
  /** `__u64`, 8 bytes at 0. */
  underlined: bigint;
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface SectionsBss {
  /** `__u64`, 8 bytes at 8. */
  seen: bigint;
  /** `struct limits`, 24 bytes at 16. */
  used: limits;
}

/** Variables in .bss.more, zero at first; live from `load()` on. */
export interface SectionsBssMore {
  /** `struct limits[4]`, 96 bytes at 0. */
  per_cpu: limits[];
}

/** `extern __kconfig` variables: the kernel's configuration, or what `open({ kconfig })` says. */
export interface SectionsKconfig {
  /** `int`, 4 bytes at 0. */
  LINUX_KERNEL_VERSION: number;
  /** `_Bool`, 1 byte at 4. */
  CONFIG_BPF: boolean;
}

/** What the object has, by its C names. */
export interface SectionsObject extends ObjectShape {
  readonly programs: {
    readonly on_kill: ProgramOf<"tracepoint/syscalls/sys_enter_kill">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_HASH, 8 entries. */
    readonly hash: HashMap<bigint, limits>;
    /** BPF_MAP_TYPE_LRU_HASH, 8 entries. */
    readonly lru_hash: LruHashMap<string, Uint8Array>;
    /** BPF_MAP_TYPE_PERCPU_HASH, 8 entries. */
    readonly percpu_hash: PerCpuHashMap<number, limits>;
    /** BPF_MAP_TYPE_LRU_PERCPU_HASH, 8 entries. */
    readonly lru_percpu_hash: LruPerCpuHashMap<number, bigint>;
    /** BPF_MAP_TYPE_ARRAY, 8 entries. */
    readonly array: ArrayMap<limits>;
    /** BPF_MAP_TYPE_PERCPU_ARRAY, 8 entries. */
    readonly percpu_array: PerCpuArrayMap<bigint>;
    /** BPF_MAP_TYPE_HASH, 8 entries. */
    readonly untyped: HashMap<Uint8Array, Uint8Array>;
  };
  readonly sections: {
    readonly ".rodata": SectionsRodata;
    readonly ".rodata.tuning": SectionsRodataTuning;
    readonly ".data": SectionsData;
    readonly ".data.config": SectionsDataConfig;
    readonly ".data.x.y": SectionsDataXY;
    readonly ".data.x_y": SectionsDataXY_2;
    readonly ".bss": SectionsBss;
    readonly ".bss.more": SectionsBssMore;
    readonly ".kconfig": SectionsKconfig;
  };
}

/** sections.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedSections = OpenedObject<SectionsObject, Sections>;

/** sections.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Sections extends LoadedObject<SectionsObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<SectionsObject> = {}): OpenedSections {
    return openSkeleton(Sections, options, {
      file: "sections.bpf.o",
      name: "sections",
      url: new URL("./sections.bpf.o", import.meta.url),
      fingerprint: "53dcc296d638067d3c994c28acf3175a",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<SectionsObject> = {}): Promise<Sections> {
    return Sections.open(options).load();
  }
}
