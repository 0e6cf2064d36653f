import { errno } from "../kernel/errno.js";
import type { Meanings } from "./bpf_map.js";
import { KeyedMap } from "./keyed_map.js";

/**
 * BPF_MAP_TYPE_CGROUP_STORAGE: a value per cgroup that one of the object's programs is attached to. Attaching makes it and detaching
 * removes it; `set` replaces what is there. Minimum kernel 4.19. From 6.2 on {@link CgrpStorageMap} is what the kernel recommends.
 *
 * A key is a cgroup's id (`__u64`, 5.9), the inode number of its directory; or `struct bpf_cgroup_storage_key`, with the attach type.
 *
 * @example
 * ```ts
 * import { statSync } from "node:fs";
 * import { CgroupStorageMap, openMap } from "ebpf";
 * using packets = openMap("/sys/fs/bpf/packets", CgroupStorageMap<bigint, bigint>);
 * const { ino } = statSync("/sys/fs/cgroup/system.slice", { bigint: true });
 * console.log(packets.get(ino));
 * ```
 */
export class CgroupStorageMap<K, V> extends KeyedMap<K, V> {
  /** @internal */
  protected override get meanings(): Meanings {
    return { [errno.ENOENT]: { code: "NOT_FOUND", text: "no program that uses the map is attached to this cgroup" } };
  }
}

/** BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE: a value is an array with one element per possible CPU. Minimum kernel 4.20. */
export class PerCpuCgroupStorageMap<K, V> extends CgroupStorageMap<K, V[]> {}
