/**
 * The types of balancer.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { type HashMap, LoadedObject, type OpenedObject, type OpenOptions } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct service`, 8 bytes. */
export interface service {
  /** `__be32`, 4 bytes at 0; in the other byte order in C, in the host's here. */
  address: number;
  /** `__be16`, 2 bytes at 4; in the other byte order in C, in the host's here. */
  port: number;
  /** `__u16`, 2 bytes at 6. */
  slot: number;
}

/** `struct backend`, 8 bytes. */
export interface backend {
  /** `__be32`, 4 bytes at 0; in the other byte order in C, in the host's here. */
  address: number;
  /** `__be16`, 2 bytes at 4; in the other byte order in C, in the host's here. */
  port: number;
  /** `__u16`, 2 bytes at 6. */
  count: number;
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface BalancerBss {
  /** `__u64`, 8 bytes at 0. */
  balanced: bigint;
}

/** What the object has, by its C names. */
export interface BalancerObject extends ObjectShape {
  readonly programs: {
    readonly balance: ProgramOf<"cgroup/connect4">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_HASH, 1024 entries. */
    readonly backends: HashMap<service, backend>;
  };
  readonly sections: {
    readonly ".bss": BalancerBss;
  };
}

/** balancer.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedBalancer = OpenedObject<BalancerObject, Balancer>;

/** balancer.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Balancer extends LoadedObject<BalancerObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<BalancerObject> = {}): OpenedBalancer {
    return openSkeleton(Balancer, options, {
      file: "balancer.bpf.o",
      name: "balancer",
      url: new URL("./balancer.bpf.o", import.meta.url),
      fingerprint: "f867ca4737c6bc721331bcb448868275",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<BalancerObject> = {}): Promise<Balancer> {
    return Balancer.open(options).load();
  }
}
