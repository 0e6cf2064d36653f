/** From a map's type to the class that speaks it: the one table. The object's maps, maps by pin or id, and skeletons go by it. */
import type { Btf } from "../btf/btf.js";
import { bytesCodec, type Codec, compileCodec } from "../codec/codec.js";
import { compileReader } from "../codec/reader.js";
import { MapType } from "../kernel/abi.js";
import type { NativeLink, NativeMap } from "../native.js";
import { ArenaMap } from "./arena_map.js";
import { ArrayMap, PerCpuArrayMap } from "./array_map.js";
import { BloomFilterMap } from "./bloom_filter_map.js";
import { type BpfMap, type MapShape, OpaqueMap } from "./bpf_map.js";
import { CgroupStorageMap, PerCpuCgroupStorageMap } from "./cgroup_storage_map.js";
import { CgroupArrayMap, PerfEventArrayMap, ProgArrayMap } from "./descriptor_array_map.js";
import { HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap } from "./hash_map.js";
import { indexCodec } from "./index_codec.js";
import { LpmTrieMap } from "./lpm_trie_map.js";
import { MAP_CREATE_FLAGS } from "./map_info.js";
import { ArrayOfMaps, HashOfMaps, type OpenById } from "./map_of_maps.js";
import { addressBytes, prefixCodec } from "./prefix.js";
import { QueueMap, StackMap } from "./queue_map.js";
import { CpuMap, DevMap, DevMapHash, XskMap } from "./redirect_map.js";
import { ReuseportSockArrayMap, SockHashMap, SockMap } from "./socket_map.js";
import { StackTraceMap } from "./stack_trace_map.js";
import { CgrpStorageMap, InodeStorageMap, SkStorageMap, TaskStorageMap } from "./storage_map.js";
import { StructOpsMap } from "./struct_ops_map.js";
import { oneValue, type ValueType, valuePerCpu } from "./value_layout.js";

/** What a map is made from. */
export interface MapParts {
  readonly native: NativeMap;
  readonly shape: MapShape;
  /** BPF_F_* of its creation. */
  readonly flags: number;
  readonly keys: () => Codec;
  readonly values: () => ValueType<unknown>;
  /** Possible CPUs. */
  readonly cpus: number;
  readonly open: OpenById;
  /** Some place in the mapping that libbpf has made of the map. */
  readonly mappedAt?: (() => bigint) | undefined;
  /** Of a struct_ops: puts it in the place of another at its link. */
  readonly replaceAt?: ((link: NativeLink) => void) | undefined;
}

/** What a class is generic over, in the order of its type parameters: `prefix` is a string where the key is an address, else the key. */
export type MapParameter = "key" | "prefix" | "value";

interface MapClassEntry {
  /** The class's name, exported by the package under it. */
  readonly name: string;
  readonly parameters: readonly MapParameter[];
  readonly make: (parts: MapParts) => BpfMap;
}

function entry(
  made: { readonly name: string },
  parameters: readonly MapParameter[],
  make: (parts: MapParts) => BpfMap,
): MapClassEntry {
  return { name: made.name, parameters, make };
}

const index = ({ shape }: MapParts): Codec<number> => indexCodec(`${shape.name} key`);
const one = ({ values }: MapParts) => oneValue(values());
const perCpu = ({ values, cpus }: MapParts) => valuePerCpu(values(), cpus);
const codec = ({ values }: MapParts) => values().codec;

function prefix({ shape, keys }: MapParts): Codec {
  const bytes = addressBytes(shape.keySize);
  return bytes === undefined ? keys() : (prefixCodec(bytes, keys(), `${shape.name} key`) as Codec);
}

const KEY_VALUE = ["key", "value"] as const;

const CLASSES: Readonly<Record<number, MapClassEntry>> = {
  [MapType.hash]: entry(HashMap, KEY_VALUE, (p) => new HashMap(p.native, p.shape, p.keys(), one(p))),
  [MapType.lruHash]: entry(LruHashMap, KEY_VALUE, (p) => new LruHashMap(p.native, p.shape, p.keys(), one(p))),
  [MapType.perCpuHash]: entry(
    PerCpuHashMap,
    KEY_VALUE,
    (p) => new PerCpuHashMap(p.native, p.shape, p.keys(), perCpu(p)),
  ),
  [MapType.lruPerCpuHash]: entry(
    LruPerCpuHashMap,
    KEY_VALUE,
    (p) => new LruPerCpuHashMap(p.native, p.shape, p.keys(), perCpu(p)),
  ),
  [MapType.array]: entry(ArrayMap, ["value"], (p) => new ArrayMap(p.native, p.shape, index(p), one(p))),
  [MapType.perCpuArray]: entry(
    PerCpuArrayMap,
    ["value"],
    (p) => new PerCpuArrayMap(p.native, p.shape, index(p), perCpu(p)),
  ),
  [MapType.lpmTrie]: entry(
    LpmTrieMap,
    ["prefix", "value"],
    (p) => new LpmTrieMap(p.native, p.shape, prefix(p), one(p)),
  ),
  [MapType.progArray]: entry(ProgArrayMap, [], (p) => new ProgArrayMap(p.native, p.shape, index(p))),
  [MapType.perfEventArray]: entry(PerfEventArrayMap, [], (p) => new PerfEventArrayMap(p.native, p.shape, index(p))),
  [MapType.cgroupArray]: entry(CgroupArrayMap, [], (p) => new CgroupArrayMap(p.native, p.shape, index(p))),
  [MapType.stackTrace]: entry(
    StackTraceMap,
    [],
    (p) => new StackTraceMap(p.native, p.shape, index(p), (p.flags & MAP_CREATE_FLAGS.stack_build_id) !== 0),
  ),
  [MapType.hashOfMaps]: entry(HashOfMaps, ["key"], (p) => new HashOfMaps(p.native, p.shape, p.keys(), p.open)),
  [MapType.arrayOfMaps]: entry(ArrayOfMaps, [], (p) => new ArrayOfMaps(p.native, p.shape, index(p), p.open)),
  [MapType.queue]: entry(QueueMap, ["value"], (p) => new QueueMap(p.native, p.shape, codec(p))),
  [MapType.stack]: entry(StackMap, ["value"], (p) => new StackMap(p.native, p.shape, codec(p))),
  [MapType.bloomFilter]: entry(BloomFilterMap, ["value"], (p) => new BloomFilterMap(p.native, p.shape, codec(p))),
  [MapType.skStorage]: entry(SkStorageMap, ["value"], (p) => new SkStorageMap(p.native, p.shape, codec(p))),
  [MapType.taskStorage]: entry(TaskStorageMap, ["value"], (p) => new TaskStorageMap(p.native, p.shape, codec(p))),
  [MapType.inodeStorage]: entry(InodeStorageMap, ["value"], (p) => new InodeStorageMap(p.native, p.shape, codec(p))),
  [MapType.cgrpStorage]: entry(CgrpStorageMap, ["value"], (p) => new CgrpStorageMap(p.native, p.shape, codec(p))),
  [MapType.cgroupStorage]: entry(
    CgroupStorageMap,
    KEY_VALUE,
    (p) => new CgroupStorageMap(p.native, p.shape, p.keys(), one(p)),
  ),
  [MapType.perCpuCgroupStorage]: entry(
    PerCpuCgroupStorageMap,
    KEY_VALUE,
    (p) => new PerCpuCgroupStorageMap(p.native, p.shape, p.keys(), perCpu(p)),
  ),
  [MapType.sockmap]: entry(SockMap, [], (p) => new SockMap(p.native, p.shape, index(p))),
  [MapType.sockhash]: entry(SockHashMap, ["key"], (p) => new SockHashMap(p.native, p.shape, p.keys())),
  [MapType.reuseportSockarray]: entry(
    ReuseportSockArrayMap,
    [],
    (p) => new ReuseportSockArrayMap(p.native, p.shape, index(p)),
  ),
  [MapType.devmap]: entry(DevMap, [], (p) => new DevMap(p.native, p.shape, index(p))),
  [MapType.devmapHash]: entry(DevMapHash, [], (p) => new DevMapHash(p.native, p.shape, index(p))),
  [MapType.cpumap]: entry(CpuMap, [], (p) => new CpuMap(p.native, p.shape, index(p))),
  [MapType.xskmap]: entry(XskMap, [], (p) => new XskMap(p.native, p.shape, index(p))),
  [MapType.structOps]: entry(StructOpsMap, [], (p) => new StructOpsMap(p.native, p.shape, p.replaceAt)),
  [MapType.arena]: entry(ArenaMap, [], (p) => new ArenaMap(p.native, p.shape, p.mappedAt)),
};

const OPAQUE = entry(OpaqueMap, [], (p) => new OpaqueMap(p.native, p.shape));

/** The name of the class for a map type, and what it is generic over: for the skeleton generator. */
export function mapClassOf(typeNumber: number): Pick<MapClassEntry, "name" | "parameters"> {
  return CLASSES[typeNumber] ?? OPAQUE;
}

/** The map as an instance of the class for its type. */
export function makeMapOf(parts: MapParts): BpfMap {
  return (CLASSES[parts.shape.typeNumber] ?? OPAQUE).make(parts);
}

/** By BTF where it knows the type and agrees on the size; else bytes. */
export function typeFromBtf(btf: Btf | undefined, typeId: number, size: number, label: string): ValueType<unknown> {
  if (btf === undefined || typeId === 0 || btf.size(typeId) !== size)
    return { codec: bytesCodec(size, { label }), label };
  return {
    codec: compileCodec(btf, typeId, { label }),
    reader: (memory) => compileReader(btf, typeId, { label })(memory),
    label,
  };
}
