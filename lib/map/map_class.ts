import { invalid } from "../options.js";
import type { BpfMap } from "./bpf_map.js";

/** A map class, with its types where it has any: `HashMap<Flow, bigint>`. The types are the caller's word; the class is checked. */
export interface MapClass<M extends BpfMap> {
  readonly name: string;
  readonly prototype: M;
}

/** Whether it is a map of the class; of what is no class, nothing is. */
export function isOfClass<M extends BpfMap>(map: unknown, type: MapClass<M>): map is M {
  const wanted: unknown = type;
  return typeof wanted === "function" && map instanceof wanted;
}

/** The class as messages name it, whatever was given for one. */
export function className(type: unknown): string {
  return typeof type === "function" ? type.name : String(type);
}

/** The map as what it is; closed when it is something else. @throws BpfError INVALID_ARGUMENT */
export function checkClass<M extends BpfMap>(operation: string, map: BpfMap, type: MapClass<M>): M {
  if (isOfClass(map, type)) return map;
  const what = `${map.constructor.name} (${map.type})`;
  map.close();
  throw invalid(`${operation}: the map is a ${what}, not a ${className(type)}`);
}
