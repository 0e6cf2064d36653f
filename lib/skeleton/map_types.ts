/** Which class a map of each type is in TypeScript: that of map/map_classes.ts, or a stream. */
import { MapType } from "../kernel/abi.js";
import { mapClassOf } from "../map/map_classes.js";
import { addressBytes } from "../map/prefix.js";
import type { GenericType } from "./emit.js";

/** The types of a map's parts, each asked for when the class is generic over it. */
export interface MapPartTypes {
  key(): string;
  value(): string;
  record(): string;
  /** A record that is written. */
  input(): string;
}

/** Of a map, what its class depends on. */
interface ClassedMap {
  readonly type: number;
  readonly keySize: number;
  readonly recordType: number | undefined;
}

/** Maps that are read, or written, as a stream of records, and their class. A perf event array without a record's type may as well be one of counters. */
function streamClass(map: ClassedMap): string | undefined {
  switch (map.type) {
    case MapType.ringbuf:
      return "RingBuffer";
    case MapType.userRingbuf:
      return "UserRingBuffer";
    case MapType.perfEventArray:
      return map.recordType === undefined ? undefined : "PerfBuffer";
    // A map of maps with records is one of rings.
    case MapType.hashOfMaps:
    case MapType.arrayOfMaps:
      return map.recordType === undefined ? undefined : "RingBuffers";
    default:
      return undefined;
  }
}

export function mapClassName(map: ClassedMap): string {
  return streamClass(map) ?? mapClassOf(map.type).name;
}

export function mapClass(map: ClassedMap, types: MapPartTypes): GenericType {
  const stream = streamClass(map);
  if (stream === "RingBuffers") return { name: stream, parameters: [types.key(), types.record()] };
  if (stream === "UserRingBuffer") return { name: stream, parameters: [types.input()] };
  if (stream !== undefined) return { name: stream, parameters: [types.record()] };
  const { name, parameters } = mapClassOf(map.type);
  return {
    name,
    parameters: parameters.map((parameter) => {
      if (parameter === "value") return types.value();
      return parameter === "prefix" && addressBytes(map.keySize) !== undefined ? "string" : types.key();
    }),
  };
}

/** What the class is generic over, for maps of data, sockets and maps; nothing for streams. */
export function mapParts(map: ClassedMap): readonly ("key" | "prefix" | "value")[] {
  return streamClass(map) === undefined ? mapClassOf(map.type).parameters : [];
}

const STREAMED: ReadonlySet<number> = new Set([
  ...[MapType.ringbuf, MapType.userRingbuf, MapType.perfEventArray, MapType.hashOfMaps, MapType.arrayOfMaps],
]);

/** Whether a map has records, or may: of a map of maps, only what is put into it says it. */
export function isStreamed(type: number): boolean {
  return STREAMED.has(type);
}

const PER_CPU: ReadonlySet<number> = new Set([
  ...[MapType.perCpuHash, MapType.perCpuArray, MapType.lruPerCpuHash, MapType.perCpuCgroupStorage],
]);
const KEYED: ReadonlySet<number> = new Set([
  ...[MapType.hash, MapType.array, MapType.lruHash, MapType.lpmTrie, MapType.cgroupStorage, ...PER_CPU],
]);

/** Whether the class has `get` and `set`, of a key and a value. */
export function isKeyed(type: number): boolean {
  return KEYED.has(type);
}

/** Whether a value is an array, one for each CPU. */
export function isPerCpu(type: number): boolean {
  return PER_CPU.has(type);
}

/** How large a map is: in entries, but a ring, which has neither keys nor values, in bytes, and an arena in pages. */
export function mapSize(map: {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}): string {
  const count = (one: string, many: string) => `${map.maxEntries} ${map.maxEntries === 1 ? one : many}`;
  if (map.type === MapType.arena) return count("page", "pages");
  return map.keySize === 0 && map.valueSize === 0 ? count("byte", "bytes") : count("entry", "entries");
}

/** libbpf's declaration of the type, for comments. */
export function mapTypeConstant(type: number): string {
  const word = Object.entries(MapType).find(([, number]) => number === type)?.[0];
  if (word === undefined) return `map type ${type}`;
  return `BPF_MAP_TYPE_${CONSTANTS[word] ?? word.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** Where the kernel writes a name otherwise than its words would be. */
const CONSTANTS: Readonly<Record<string, string>> = {
  perCpuHash: "PERCPU_HASH",
  perCpuArray: "PERCPU_ARRAY",
  lruPerCpuHash: "LRU_PERCPU_HASH",
  perCpuCgroupStorage: "PERCPU_CGROUP_STORAGE",
  reuseportSockarray: "REUSEPORT_SOCKARRAY",
};
