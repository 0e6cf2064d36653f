/**
 * The types of rings.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  LoadedObject,
  type OpenedObject,
  type OpenOptions,
  type PerCpuArrayMap,
  type PerfBuffer,
  type PerfEventArrayMap,
  type RingBuffer,
  type RingBuffers,
  type UserRingBuffer,
} from "ebpf";
import { type Accepting, type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `union event`, 72 bytes. Its members share the same bytes; to set one is enough. */
export interface event_2 {
  /** `struct opened`, 72 bytes at 0; shares its bytes. */
  open: opened;
  /** `struct closed`, 16 bytes at 0; shares its bytes. */
  close: closed;
}

/** {@link event_2} to be written: of members that share bytes one is enough. */
export interface event_2_input {
  open?: opened;
  close?: closed;
}

/** `struct opened`, 72 bytes. */
export interface opened {
  /** `enum event_kind`, 4 bytes at 0. */
  kind: typeof event_kind.EVENT_OPEN;
  /** `__u32`, 4 bytes at 4. */
  pid: number;
  /** `char[64]`, 64 bytes at 8. */
  path: string;
}

/** `enum event_kind`, 4 bytes, unsigned; a value may also be none of these. */
export const event_kind = {
  EVENT_OPEN: 1,
  EVENT_CLOSE: 2,
  EVENT_MAX: 3,
} as const;
export type event_kind = (typeof event_kind)[keyof typeof event_kind] | (number & {});

/** `struct closed`, 16 bytes. */
export interface closed {
  /** `enum event_kind`, 4 bytes at 0. */
  kind: typeof event_kind.EVENT_CLOSE;
  /** `__u64`, 8 bytes at 8. */
  bytes: bigint;
}

/** `union event`: which record it is, its `kind` tells. */
export type event = opened | closed;

/** `struct line`, 16 bytes. */
export interface line {
  /** `__u64`, 8 bytes at 0. */
  time_ns: bigint;
  /** `__u16`, 2 bytes at 8. */
  length: number;
  /** `char[]`, 0 bytes at 10; the rest of the record. */
  text: string;
}

/** `union either`, 16 bytes. Its members share the same bytes; to set one is enough. */
export interface either {
  /** `struct line`, 16 bytes at 0; shares its bytes. */
  line: line;
  /** `__u64`, 8 bytes at 0; shares its bytes. */
  number: bigint;
}

/** {@link either} to be written: of members that share bytes one is enough. */
export interface either_input {
  line?: line;
  number?: bigint;
}

/** `struct tenant`, 8 bytes. */
export interface tenant {
  /** `__u32`, 4 bytes at 0. */
  id: number;
  /** `__u32`, 4 bytes at 4. */
  zone: number;
}

/** What the object has, by its C names. */
export interface RingsObject extends ObjectShape {
  readonly programs: {
    readonly on_enter: ProgramOf<"raw_tp/sys_enter">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_RINGBUF, 4096 bytes. */
    readonly plain: RingBuffer<Uint8Array>;
    /** BPF_MAP_TYPE_PERF_EVENT_ARRAY. */
    readonly unknown: PerfEventArrayMap;
    /** BPF_MAP_TYPE_PERCPU_ARRAY, 1 entry. */
    readonly scratch: Accepting<PerCpuArrayMap<event_2>, number, event_2_input[]>;
    /** BPF_MAP_TYPE_RINGBUF, 4096 bytes. */
    readonly events: RingBuffer<event>;
    /** BPF_MAP_TYPE_RINGBUF, 4096 bytes. */
    readonly lines: RingBuffer<line>;
    /** BPF_MAP_TYPE_RINGBUF, 4096 bytes. */
    readonly numbers: RingBuffer<bigint>;
    /** BPF_MAP_TYPE_RINGBUF, 4096 bytes. */
    readonly eithers: RingBuffer<either>;
    /** BPF_MAP_TYPE_HASH_OF_MAPS, 8 entries. */
    readonly tenants: RingBuffers<tenant, event>;
    /** BPF_MAP_TYPE_ARRAY_OF_MAPS, 8 entries. */
    readonly slots: RingBuffers<number, line>;
    /** BPF_MAP_TYPE_USER_RINGBUF, 4096 bytes. */
    readonly commands: UserRingBuffer<event>;
    /** BPF_MAP_TYPE_USER_RINGBUF, 4096 bytes. */
    readonly choices: UserRingBuffer<either_input>;
    /** BPF_MAP_TYPE_PERF_EVENT_ARRAY. */
    readonly samples: PerfBuffer<event>;
    /** BPF_MAP_TYPE_PERF_EVENT_ARRAY. */
    readonly packets: PerfBuffer<line>;
  };
  readonly sections: Record<never, never>;
  /** What records can be said to be of a map whose declaration does not say it. */
  readonly types: {
    readonly "struct opened": opened;
    readonly "struct closed": closed;
    readonly "struct line": line;
    readonly "struct tenant": tenant;
  };
}

/** rings.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedRings = OpenedObject<RingsObject, Rings>;

/** rings.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Rings extends LoadedObject<RingsObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<RingsObject> = {}): OpenedRings {
    return openSkeleton(Rings, options, {
      file: "rings.bpf.o",
      name: "rings",
      url: new URL("./rings.bpf.o", import.meta.url),
      fingerprint: "09b7cfdce8cd51c14842e6d691477523",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<RingsObject> = {}): Promise<Rings> {
    return Rings.open(options).load();
  }
}
