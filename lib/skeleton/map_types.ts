/** Which class a map of each type is, and what it is generic over: the mirror of object/map_factory.ts for skeletons. */
import { MapType } from "../kernel/abi.js";
import type { GenericType } from "./emit.js";

export interface MapTypeTexts {
  readonly key: string;
  readonly value: string;
  readonly record: string;
}

type Parameter = keyof MapTypeTexts;

const CLASSES: Readonly<Record<number, readonly [name: string, ...parameters: Parameter[]]>> = {
  [MapType.hash]: ["HashMap", "key", "value"],
  [MapType.array]: ["ArrayMap", "value"],
  [MapType.perCpuHash]: ["PerCpuHashMap", "key", "value"],
  [MapType.perCpuArray]: ["PerCpuArrayMap", "value"],
  [MapType.lruHash]: ["LruHashMap", "key", "value"],
  [MapType.lruPerCpuHash]: ["LruPerCpuHashMap", "key", "value"],
  [MapType.ringbuf]: ["RingBuffer", "record"],
};

/** The parts of a map's BTF that its class is generic over. */
export function mapParameters(type: number): readonly Parameter[] {
  return (CLASSES[type]?.slice(1) as Parameter[] | undefined) ?? [];
}

/** A type without a class of its own is a `BpfMap`: it can be pinned, and its descriptor given to others. */
export function mapClass(type: number, texts: MapTypeTexts): GenericType {
  const [name, ...parameters] = CLASSES[type] ?? ["BpfMap"];
  return { name, parameters: parameters.map((parameter) => texts[parameter]) };
}

/** libbpf's declaration of the type, for comments. */
export function mapTypeConstant(type: number): string {
  const word = Object.entries(MapType).find(([, number]) => number === type)?.[0];
  return word === undefined
    ? `map type ${type}`
    : `BPF_MAP_TYPE_${CONSTANTS[word] ?? word.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Where the kernel writes a name otherwise than its words would be. */
const CONSTANTS: Readonly<Record<string, string>> = {
  perCpuHash: "PERCPU_HASH",
  perCpuArray: "PERCPU_ARRAY",
  lruPerCpuHash: "LRU_PERCPU_HASH",
  perCpuCgroupStorage: "PERCPU_CGROUP_STORAGE",
  reuseportSockarray: "REUSEPORT_SOCKARRAY",
};
