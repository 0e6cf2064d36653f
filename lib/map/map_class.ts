import { invalid } from "../options.js";
import type { BpfMap } from "./bpf_map.js";

/** A map class, with its types where it has any: `HashMap<Flow, bigint>`. The types are the caller's word; the class is checked. */
export interface MapClass<M extends BpfMap> {
  readonly name: string;
  readonly prototype: M;
}

/** The map as what it is; closed when it is something else. @throws BpfError INVALID_ARGUMENT */
export function checkClass<M extends BpfMap>(operation: string, map: BpfMap, type: MapClass<M>): M {
  const wanted: unknown = type;
  if (typeof wanted === "function" && map instanceof wanted) return map as M;
  const what = `${map.constructor.name} (${map.type})`;
  map.close();
  const name = typeof wanted === "function" ? type.name : String(wanted);
  throw invalid(`${operation}: the map is a ${what}, not a ${name}`);
}
