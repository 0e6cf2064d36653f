/** What the kernel says of a map. */
import { fdInfo } from "../kernel/fd_info.js";
import { flagNames } from "../kernel/flags.js";
import type { NativeMapInfo } from "../native.js";

/** BPF_F_* of map creation (include/uapi/linux/bpf.h), in the order of their bits. */
export const MAP_CREATE_FLAGS = {
  no_prealloc: 1 << 0,
  no_common_lru: 1 << 1,
  numa_node: 1 << 2,
  rdonly: 1 << 3,
  wronly: 1 << 4,
  stack_build_id: 1 << 5,
  zero_seed: 1 << 6,
  rdonly_prog: 1 << 7,
  wronly_prog: 1 << 8,
  clone: 1 << 9,
  mmapable: 1 << 10,
  preserve_elems: 1 << 11,
  inner_map: 1 << 12,
  link: 1 << 13,
  path_fd: 1 << 14,
  vtype_btf_obj_fd: 1 << 15,
  token_fd: 1 << 16,
  segv_on_fault: 1 << 17,
  no_user_conv: 1 << 18,
} as const;

/** A flag of map creation: BPF_F_* in lower case. */
export type MapCreateFlag = keyof typeof MAP_CREATE_FLAGS;

export interface MapInfo {
  /** The kernel's number for the map: see `mapById`. */
  readonly id: number;
  /** libbpf's name of the type, for example `lru_hash`. */
  readonly type: string;
  /** As the kernel keeps it: 15 characters at most. */
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** What it was created with. */
  readonly flags: readonly MapCreateFlag[];
  /** Number of hash functions of a bloom filter (0: the kernel's choice); address of an arena. */
  readonly extra: bigint;
  /** Bytes of kernel memory, as the kernel estimates it (exact since 6.4); undefined without /proc. */
  readonly memory: number | undefined;
  /** User space writes no more: see {@link BpfMap.freeze}. Undefined without /proc. */
  readonly frozen: boolean | undefined;
  /** The kernel's number for the BTF that describes the key and the value; 0 when it has none. */
  readonly btfId: number;
  /** BTF type ids of the key and the value; 0 when not known. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

export function mapInfo(raw: NativeMapInfo, type: string, fd: number): MapInfo {
  const told = fdInfo(fd);
  const frozen = told("frozen");
  return {
    id: raw.id,
    type,
    name: raw.name,
    keySize: raw.keySize,
    valueSize: raw.valueSize,
    maxEntries: raw.maxEntries,
    flags: flagNames(MAP_CREATE_FLAGS, raw.flags),
    extra: raw.mapExtra,
    memory: told("memlock"),
    frozen: frozen === undefined ? undefined : frozen !== 0,
    btfId: raw.btfId,
    keyTypeId: raw.btfKeyTypeId,
    valueTypeId: raw.btfValueTypeId,
  };
}
