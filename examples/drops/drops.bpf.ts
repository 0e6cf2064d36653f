/**
 * The types of drops.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { type HashMap, LoadedObject, type OpenedObject, type OpenOptions, type StackTraceMap } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct drop`, 16 bytes. */
export interface drop {
  /** `__u32`, 4 bytes at 0. */
  reason: number;
  /** `__s32`, 4 bytes at 4. */
  stack: number;
  /** `__u32`, 4 bytes at 8. */
  netns: number;
  /** `__be16`, 2 bytes at 12; in the other byte order in C, in the host's here. */
  protocol: number;
  /** `__u16`, 2 bytes at 14. */
  unused: number;
}

/** Constants in .rodata: set on the opened object, read-only from `load()` on. */
export interface DropsRodata {
  /** `__u32`, 4 bytes at 0. */
  only_netns: number;
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface DropsBss {
  /** `count`, 8 bytes at 0. */
  not_counted: number;
}

/** What the object has, by its C names. */
export interface DropsObject extends ObjectShape {
  readonly programs: {
    readonly on_drop: ProgramOf<"tp_btf/kfree_skb">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_HASH, 4096 entries. */
    readonly drops: HashMap<drop, number>;
    /** BPF_MAP_TYPE_STACK_TRACE, 4096 entries. */
    readonly stacks: StackTraceMap;
  };
  readonly sections: {
    readonly ".rodata": DropsRodata;
    readonly ".bss": DropsBss;
  };
}

/** drops.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedDrops = OpenedObject<DropsObject, Drops>;

/** drops.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Drops extends LoadedObject<DropsObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<DropsObject> = {}): OpenedDrops {
    return openSkeleton(Drops, options, {
      file: "drops.bpf.o",
      name: "drops",
      url: new URL("./drops.bpf.o", import.meta.url),
      fingerprint: "32a23c4e4dbc856dcbc058a25a9d3811",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<DropsObject> = {}): Promise<Drops> {
    return Drops.open(options).load();
  }
}
