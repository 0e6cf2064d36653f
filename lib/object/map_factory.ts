/** From a map's type to the class that speaks it. */
import type { Btf } from "../btf/btf.js";
import { bytesCodec, type Codec, compileCodec } from "../codec/codec.js";
import { ArrayMap, PerCpuArrayMap } from "../map/array_map.js";
import { BpfMap, type MapShape, oneValue, valuePerCpu } from "../map/bpf_map.js";
import { HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap } from "../map/hash_map.js";
import { MapType } from "../kernel/abi.js";
import type { NativeMap } from "../native.js";

export interface MapTypes {
  readonly btf: Btf | undefined;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  readonly cpus: number;
}

/** A map whose type has no class of its own: it can be pinned, and its descriptor given to others. */
export class OpaqueMap extends BpfMap {}

export function makeMap(native: NativeMap, shape: MapShape, types: MapTypes): BpfMap {
  const keys = () => codecFor(types.btf, types.keyTypeId, shape.keySize, `${shape.name} key`);
  const value = () => codecFor(types.btf, types.valueTypeId, shape.valueSize, `${shape.name} value`);
  // An array's key is declared as int or __u32 alike, and is an index.
  const index = () => keys() as Codec<number>;
  const perCpu = () => valuePerCpu(value(), types.cpus, `${shape.name} value`);
  switch (shape.typeNumber) {
    case MapType.hash:
      return new HashMap(native, shape, keys(), oneValue(value()));
    case MapType.lruHash:
      return new LruHashMap(native, shape, keys(), oneValue(value()));
    case MapType.perCpuHash:
      return new PerCpuHashMap(native, shape, keys(), perCpu());
    case MapType.lruPerCpuHash:
      return new LruPerCpuHashMap(native, shape, keys(), perCpu());
    case MapType.array:
      return new ArrayMap(native, shape, index(), oneValue(value()));
    case MapType.perCpuArray:
      return new PerCpuArrayMap(native, shape, index(), perCpu());
    default:
      return new OpaqueMap(native, shape);
  }
}

/** By BTF where it knows the type and agrees on the size; else bytes. */
function codecFor(btf: Btf | undefined, typeId: number, size: number, label: string): Codec {
  if (btf === undefined || typeId === 0 || btf.size(typeId) !== size) return bytesCodec(size, { label });
  return compileCodec(btf, typeId, { label });
}
