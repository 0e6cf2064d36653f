/** Maps without an object. */
import { ENOTSUPP, MapType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { flagBits } from "../kernel/flags.js";
import { probeMapType } from "../kernel/probe.js";
import { native as addon, type NativeMap, type NativeMapCreateOptions } from "../native.js";
import { suggestion } from "../nearest.js";
import { checkOptions, integer, invalid, type OptionCheck, shown, u64 } from "../options.js";
import type { ArenaMap } from "./arena_map.js";
import type { ArrayMap, PerCpuArrayMap } from "./array_map.js";
import type { BloomFilterMap } from "./bloom_filter_map.js";
import { BpfMap, type OpaqueMap } from "./bpf_map.js";
import { BtfBuilder } from "./btf_builder.js";
import { CType, type ResolvedType, resolveType, type TypeSpec, type ValueOf } from "./c_type.js";
import type { CgroupStorageMap, PerCpuCgroupStorageMap } from "./cgroup_storage_map.js";
import type { CgroupArrayMap, PerfEventArrayMap, ProgArrayMap } from "./descriptor_array_map.js";
import type { HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap } from "./hash_map.js";
import type { LpmTrieMap } from "./lpm_trie_map.js";
import { makeMapOf } from "./map_classes.js";
import { MAP_CREATE_FLAGS, type MapCreateFlag } from "./map_info.js";
import { type ArrayOfMaps, type HashOfMaps, isMapOfMaps } from "./map_of_maps.js";
import { mapById } from "./open_map.js";
import { mapTypeName } from "./opened_map.js";
import type { QueueMap, StackMap } from "./queue_map.js";
import type { CpuMap, DevMap, DevMapHash, XskMap } from "./redirect_map.js";
import type { ReuseportSockArrayMap, SockHashMap, SockMap } from "./socket_map.js";
import type { StackTraceMap } from "./stack_trace_map.js";
import type { CgrpStorageMap, InodeStorageMap, SkStorageMap, TaskStorageMap } from "./storage_map.js";

/** The class for each type that `createMap` makes, by libbpf's name for the type. */
export interface CreatedMaps<K, V> {
  hash: HashMap<K, V>;
  lru_hash: LruHashMap<K, V>;
  percpu_hash: PerCpuHashMap<K, V>;
  lru_percpu_hash: LruPerCpuHashMap<K, V>;
  array: ArrayMap<V>;
  percpu_array: PerCpuArrayMap<V>;
  lpm_trie: LpmTrieMap<K, V>;
  queue: QueueMap<V>;
  stack: StackMap<V>;
  bloom_filter: BloomFilterMap<V>;
  hash_of_maps: HashOfMaps<K>;
  array_of_maps: ArrayOfMaps;
  prog_array: ProgArrayMap;
  perf_event_array: PerfEventArrayMap;
  cgroup_array: CgroupArrayMap;
  stack_trace: StackTraceMap;
  sk_storage: SkStorageMap<V>;
  inode_storage: InodeStorageMap<V>;
  task_storage: TaskStorageMap<V>;
  cgrp_storage: CgrpStorageMap<V>;
  cgroup_storage: CgroupStorageMap<K, V>;
  percpu_cgroup_storage: PerCpuCgroupStorageMap<K, V>;
  sockmap: SockMap;
  sockhash: SockHashMap<K>;
  reuseport_sockarray: ReuseportSockArrayMap;
  devmap: DevMap;
  devmap_hash: DevMapHash;
  cpumap: CpuMap;
  xskmap: XskMap;
  ringbuf: OpaqueMap;
  user_ringbuf: OpaqueMap;
  arena: ArenaMap;
}

/** libbpf's names of the map types that can be made without an object. */
export type CreatableType = keyof CreatedMaps<unknown, unknown>;

export interface CreateMapOptions<
  Type extends CreatableType = CreatableType,
  Key extends TypeSpec = TypeSpec,
  Value extends TypeSpec = TypeSpec,
> {
  /** libbpf's name of the type: `hash`, `lru_hash`, `lpm_trie`, ... */
  readonly type: Type;
  /** For people and tools: up to 15 letters, digits, `_` and `.`. */
  readonly name?: string | undefined;
  /** The key's type; needed only where the map's type leaves a choice. A trie's is `ipv4`, `ipv6` or a struct's cType. */
  readonly key?: Key | undefined;
  /** The value's type; needed only where the map's type leaves a choice. */
  readonly value?: Value | undefined;
  /** Entries; bytes of a ring buffer; pages of an arena. */
  readonly maxEntries?: number | undefined;
  /** BPF_F_* of map creation. What the type cannot do without (no_prealloc of tries and storage) is added. */
  readonly flags?: readonly MapCreateFlag[] | undefined;
  /** Memory node to allocate on. */
  readonly numaNode?: number | undefined;
  /** map_extra: number of hash functions of a bloom filter, address of an arena. */
  readonly extra?: number | bigint | undefined;
  /** For maps of maps: what the inner maps are like. Only an example, it need not stay. */
  readonly inner?: BpfMap | undefined;
}

type KeyOf<O> = O extends { readonly key: infer Key } ? ValueOf<Key> : number;
type ValueOfOptions<O> = O extends { readonly value: infer Value } ? ValueOf<Value> : number;

/** What `createMap` returns for its options. */
export type CreatedMap<O extends CreateMapOptions> = CreatedMaps<KeyOf<O>, ValueOfOptions<O>>[O["type"]];

interface TypeRules {
  /** What the key is when none is given; false where there is none. */
  readonly key?: TypeSpec | false;
  readonly value?: TypeSpec | false;
  readonly maxEntries?: number;
  readonly flags?: readonly MapCreateFlag[];
  /** The kernel demands BTF, or refuses it. */
  readonly btf?: "needed" | "refused";
}

const STORAGE: TypeRules = { key: "s32", maxEntries: 0, flags: ["no_prealloc"], btf: "needed" };
const SLOTS: TypeRules = { key: "u32", value: "u32", btf: "refused" };

const RULES: Readonly<Record<CreatableType, readonly [number, TypeRules]>> = {
  hash: [MapType.hash, {}],
  lru_hash: [MapType.lruHash, {}],
  percpu_hash: [MapType.perCpuHash, {}],
  lru_percpu_hash: [MapType.lruPerCpuHash, {}],
  array: [MapType.array, { key: "u32" }],
  percpu_array: [MapType.perCpuArray, { key: "u32" }],
  lpm_trie: [MapType.lpmTrie, { flags: ["no_prealloc"] }],
  queue: [MapType.queue, { key: false, btf: "refused" }],
  stack: [MapType.stack, { key: false, btf: "refused" }],
  bloom_filter: [MapType.bloomFilter, { key: false, btf: "refused" }],
  hash_of_maps: [MapType.hashOfMaps, { value: "u32", btf: "refused" }],
  array_of_maps: [MapType.arrayOfMaps, SLOTS],
  prog_array: [MapType.progArray, SLOTS],
  perf_event_array: [MapType.perfEventArray, SLOTS],
  cgroup_array: [MapType.cgroupArray, SLOTS],
  // 127 frames: kernel.perf_event_max_stack's default.
  stack_trace: [MapType.stackTrace, { key: "u32", value: 127 * 8, btf: "refused" }],
  sk_storage: [MapType.skStorage, STORAGE],
  inode_storage: [MapType.inodeStorage, STORAGE],
  task_storage: [MapType.taskStorage, STORAGE],
  cgrp_storage: [MapType.cgrpStorage, STORAGE],
  cgroup_storage: [MapType.cgroupStorage, { key: "u64", maxEntries: 0, btf: "refused" }],
  percpu_cgroup_storage: [MapType.perCpuCgroupStorage, { key: "u64", maxEntries: 0, btf: "refused" }],
  sockmap: [MapType.sockmap, { key: "u32", value: "u64", btf: "refused" }],
  sockhash: [MapType.sockhash, { value: "u64", btf: "refused" }],
  reuseport_sockarray: [MapType.reuseportSockarray, { key: "u32", value: "u64", btf: "refused" }],
  devmap: [MapType.devmap, SLOTS],
  devmap_hash: [MapType.devmapHash, SLOTS],
  cpumap: [MapType.cpumap, SLOTS],
  xskmap: [MapType.xskmap, SLOTS],
  ringbuf: [MapType.ringbuf, { key: false, value: false, btf: "refused" }],
  user_ringbuf: [MapType.userRingbuf, { key: false, value: false, btf: "refused" }],
  arena: [MapType.arena, { key: false, value: false, flags: ["mmapable"], btf: "refused" }],
};

const OPTIONS: Readonly<Record<keyof CreateMapOptions, OptionCheck>> = {
  type: "string",
  name: {
    wants: "up to 15 letters, digits, _ and .",
    accepts: (value) => typeof value === "string" && /^[\w.]{0,15}$/.test(value),
  },
  key: { wants: "a type", accepts: () => true },
  value: { wants: "a type", accepts: () => true },
  maxEntries: integer(0, 0xffffffff),
  flags: { wants: "an array of BPF_F_* names", accepts: Array.isArray },
  numaNode: integer(0, 0x7fffffff),
  extra: u64,
  inner: { wants: "a map", accepts: (value) => value instanceof BpfMap },
};

/**
 * Makes a map without an object: to give to one (`opened.maps.flows.reuse(map)`), to put in a map of maps, to pin for other processes. The
 * kernel keeps it while a handle, a pin or a program holds it. Where the kernel takes BTF with such a map it gets it, so that others
 * who open it see the types.
 *
 * @throws BpfError INVALID_ARGUMENT, PERMISSION_DENIED, KERNEL_UNSUPPORTED (no such map type)
 * @example
 * ```ts
 * import { createMap } from "ebpf";
 * using ports = createMap({ type: "hash", name: "ports", key: "u16", value: "u64", maxEntries: 1024 });
 * ports.set(443, 0n);
 * using routes = createMap({ type: "lpm_trie", key: "ipv4", value: "char[16]", maxEntries: 64 });
 * routes.set("10.0.0.0/8", "internal");
 * ```
 */
export function createMap<const O extends CreateMapOptions>(options: O): CreatedMap<O> {
  return make(options) as CreatedMap<O>;
}

function make(options: CreateMapOptions): BpfMap {
  checkOptions("createMap", options, OPTIONS);
  const [number, rules] = Object.hasOwn(RULES, options.type) ? RULES[options.type] : unknownType(options.type);
  const key = typeOf("key", options, rules.key);
  const value = typeOf("value", options, rules.value);
  const maxEntries = options.maxEntries ?? rules.maxEntries;
  if (maxEntries === undefined) throw invalid(`createMap: a map of type ${options.type} needs maxEntries`);
  if (rules.maxEntries === undefined && maxEntries === 0)
    throw invalid(`createMap: option "maxEntries" must be at least 1 for type ${options.type}`);
  const holdsMaps = isMapOfMaps(number);
  if (holdsMaps && options.inner === undefined)
    throw invalid(
      `createMap: a map of type ${options.type} needs the option "inner", a map like those that it is to hold`,
    );
  if (!holdsMaps && options.inner !== undefined)
    throw invalid(`createMap: option "inner" is for maps of maps, and a map of type ${options.type} is none`);
  const name = options.name ?? "";
  const flags =
    flagBits("createMap", MAP_CREATE_FLAGS, [...(rules.flags ?? []), ...(options.flags ?? [])]) |
    (options.numaNode === undefined ? 0 : MAP_CREATE_FLAGS.numa_node);
  const plain: NativeMapCreateOptions = {
    type: number,
    name,
    keySize: key?.size ?? 0,
    valueSize: value?.size ?? 0,
    maxEntries,
    flags,
    ...(options.numaNode === undefined ? {} : { numaNode: options.numaNode }),
    ...(options.extra === undefined ? {} : { mapExtra: BigInt(options.extra) }),
    ...(options.inner === undefined ? {} : { innerMapFd: options.inner.fd }),
  };
  const native = create(options.type, plain, rules, key, value);
  const shape = {
    name: name === "" ? options.type : name,
    type: mapTypeName(addon(), number),
    typeNumber: number,
    keySize: plain.keySize,
    valueSize: plain.valueSize,
    maxEntries,
  };
  try {
    const typeOr = (type: ResolvedType | undefined, label: string) =>
      (type ?? resolveType("createMap", "value", 0)).type(label);
    return makeMapOf({
      native,
      shape,
      flags,
      keys: () => typeOr(key, `${shape.name} key`).codec,
      values: () => typeOr(value, `${shape.name} value`),
      cpus: addon().possibleCpus(),
      open: mapById,
    });
  } catch (error) {
    native.close();
    throw error;
  }
}

function create(
  type: CreatableType,
  plain: NativeMapCreateOptions,
  rules: TypeRules,
  key: ResolvedType | undefined,
  value: ResolvedType | undefined,
): NativeMap {
  if (rules.btf !== "refused" && key !== undefined && value !== undefined) {
    const builder = new BtfBuilder();
    const keyTypeId = key.describe(builder);
    const valueTypeId = value.describe(builder);
    try {
      return addon().mapCreate({ ...plain, btf: builder.bytes(), keyTypeId, valueTypeId });
    } catch (failure) {
      // An old kernel may not know a kind of BTF, and this user may not load any: the map is what matters.
      if (rules.btf === "needed")
        throw explained(type, () => {
          throw failure;
        });
    }
  }
  return explained(type, () => addon().mapCreate(plain));
}

function explained(type: CreatableType, call: () => NativeMap): NativeMap {
  const number = RULES[type][0];
  return attempt(
    {
      doing: `create a map of type ${type}`,
      get meanings() {
        return probeMapType(number) === 0
          ? { [errno.EINVAL]: { code: "KERNEL_UNSUPPORTED" as const, text: `this kernel has no map type ${type}` } }
          : {
              [errno.EINVAL]: {
                code: "INVALID_ARGUMENT" as const,
                text: "the kernel refuses this combination of sizes, maxEntries and flags",
              },
              // As of LRU maps with no_prealloc (kernel/bpf/hashtab.c: htab_map_alloc_check), and of maps of prog_arrays.
              [ENOTSUPP]: {
                code: "INVALID_ARGUMENT" as const,
                text: "the kernel does not make such a map with these flags, or inner maps",
              },
              [errno.E2BIG]: { code: "INVALID_ARGUMENT" as const, text: "keys, values or maxEntries are too large" },
            };
      },
    },
    call,
  );
}

function typeOf(
  what: "key" | "value",
  options: CreateMapOptions,
  rule: TypeSpec | false | undefined,
): ResolvedType | undefined {
  const given = options[what];
  if (rule === false) {
    if (given !== undefined) throw invalid(`createMap: a map of type ${options.type} has no ${what}`);
    return undefined;
  }
  const spec = given ?? rule;
  if (spec === undefined) throw invalid(`createMap: a map of type ${options.type} needs the ${what}'s type`);
  if (options.type === "lpm_trie" && what === "key" && spec !== "ipv4" && spec !== "ipv6" && !(spec instanceof CType)) {
    throw invalid(
      `createMap: the key of a trie must be "ipv4", "ipv6" or a cType() that begins with __u32 prefixlen, got ${shown(spec)}`,
    );
  }
  return resolveType("createMap", what, spec);
}

function unknownType(type: unknown): never {
  throw invalid(`createMap: unknown map type ${shown(type)}${suggestion(String(type), Object.keys(RULES))}`);
}
