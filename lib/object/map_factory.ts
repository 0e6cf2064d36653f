/** A loaded object's maps: by the object's BTF, and what it declares. */
import type { Btf } from "../btf/btf.js";
import type { BpfMap, MapShape } from "../map/bpf_map.js";
import { makeMapOf, typeFromBtf } from "../map/map_classes.js";
import { mapById } from "../map/open_map.js";
import type { NativeLink, NativeMap } from "../native.js";
import { declaredTypes } from "./map_declaration.js";

export interface MapTypes {
  readonly btf: Btf | undefined;
  /** As libbpf has them, for a map that is not declared: that of a struct_ops. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  readonly cpus: number;
  /** Some place in the mapping that libbpf has made of the map. */
  readonly mappedAt?: (() => bigint) | undefined;
  /** Of a struct_ops: puts it in the place of another at its link. */
  readonly replaceAt?: ((link: NativeLink) => void) | undefined;
}

/** A map by its declaration. Owns `native`: closes it when it throws. */
export function makeMap(native: NativeMap, shape: MapShape, types: MapTypes): BpfMap {
  const { btf, cpus } = types;
  const { keyTypeId, valueTypeId } = (btf && declaredTypes(btf, shape.name)) ?? types;
  try {
    return makeMapOf({
      native,
      shape,
      flags: native.info().flags,
      keys: () => typeFromBtf(btf, keyTypeId, shape.keySize, `${shape.name} key`).codec,
      values: () => typeFromBtf(btf, valueTypeId, shape.valueSize, `${shape.name} value`),
      cpus,
      open: mapById,
      mappedAt: types.mappedAt,
      replaceAt: types.replaceAt,
    });
  } catch (error) {
    native.close();
    throw error;
  }
}
