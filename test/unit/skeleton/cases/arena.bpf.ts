/**
 * The types of arena.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { type ArenaMap, LoadedObject, type OpenedObject, type OpenOptions } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct node`, 16 bytes. */
export interface node {
  /** `struct node *`, 8 bytes at 0. */
  next: bigint;
  /** `__u64`, 8 bytes at 8. */
  value: bigint;
}

/** Variables in the object's arena (.addr_space.1); there from `load()` on. */
export interface ArenaAddrSpace1 {
  /** `int`, 4 bytes at 0. */
  counter: number;
  /** `struct node`, 16 bytes at 8. */
  root: node;
}

/** What the object has, by its C names. */
export interface ArenaObject extends ObjectShape {
  readonly programs: {
    readonly count: ProgramOf<"syscall">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_ARENA, 16 pages. */
    readonly arena: ArenaMap;
  };
  readonly sections: {
    readonly ".addr_space.1": ArenaAddrSpace1;
  };
}

/** arena.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedArena = OpenedObject<ArenaObject, Arena>;

/** arena.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Arena extends LoadedObject<ArenaObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<ArenaObject> = {}): OpenedArena {
    return openSkeleton(Arena, options, {
      file: "arena.bpf.o",
      name: "arena",
      url: new URL("./arena.bpf.o", import.meta.url),
      fingerprint: "97dde6bea7ab98555863c40b052b2645",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<ArenaObject> = {}): Promise<Arena> {
    return Arena.open(options).load();
  }
}
