/** A loaded object's maps: by the object's BTF, and what it declares. */
import { BpfError } from "../errors.js";
import type { BpfMap } from "../map/bpf_map.js";
import { makeMapOf, typeFromBtf } from "../map/map_classes.js";
import { mapById } from "../map/open_map.js";
import { mapTypeName } from "../map/opened_map.js";
import type { ObjectCore } from "./core.js";
import { declaredTypes } from "./map_declaration.js";

/** A map by its declaration. @throws BpfError INVALID_STATE when it was not made */
export function makeMap(core: ObjectCore, name: string): BpfMap {
  const definition = core.map(name);
  if (definition.fd() < 0)
    throw new BpfError({ code: "INVALID_STATE", message: `map ${name} was not made: its autocreate was off` });
  const btf = core.btfOrUndefined;
  // What is not declared, a struct_ops say, has the types that libbpf has found.
  const { keyTypeId, valueTypeId } = (btf && declaredTypes(btf, name)) ?? definition;
  const { keySize, valueSize, maxEntries, type: typeNumber } = definition;
  const native = definition.open();
  try {
    return makeMapOf({
      native,
      shape: { name, type: mapTypeName(core.addon, typeNumber), typeNumber, keySize, valueSize, maxEntries },
      flags: native.info().flags,
      keys: () => typeFromBtf(btf, keyTypeId, keySize, `${name} key`).codec,
      values: () => typeFromBtf(btf, valueTypeId, valueSize, `${name} value`),
      cpus: core.addon.possibleCpus(),
      open: mapById,
      mappedAt: () => definition.dataAddress(),
      replaceAt: (link) => definition.replaceStructOps(link),
    });
  } catch (error) {
    native.close();
    throw error;
  }
}
