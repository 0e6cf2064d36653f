/** The object's global variables: sections .rodata, .data, .bss, .kconfig and custom ones, as records of accessors. */
import type { Btf } from "../btf/btf.js";
import { type AddressBytes, declaredAs } from "../codec/declared_tags.js";
import { type Shape, shapeOf } from "../codec/shape.js";
import { BpfError } from "../errors.js";
import { attempt } from "../kernel/explain.js";
import { namedRecord } from "../named.js";
import type { NativeMapDefinition } from "../native.js";
import { type LiveMemory, type LiveValue, liveValue, noteSnapshot, snapshot } from "./live.js";

/** A section's variables by their C names. Reading and writing go through mapped memory: no system call. */
export type Globals = Record<string, unknown>;

/** In which section, and where in it, a variable is. */
export interface GlobalVariable {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** `static` in C. */
  readonly isStatic: boolean;
  /** `EBPF_NUMBER` in C. */
  readonly isNumber: boolean;
  /** Declared to be an address of so many bytes. */
  readonly address: AddressBytes | undefined;
}

/** The section a map stands for: `.rodata` for libbpf's `probes.rodata`. */
export function sectionOf(mapName: string): string {
  const dot = mapName.indexOf(".");
  return dot < 0 ? mapName : mapName.slice(dot);
}

/** The variables of a section, from the object's BTF; empty where BTF does not know the section. */
export function variablesOf(btf: Btf, section: string): GlobalVariable[] {
  const id = btf.find(section, "datasec");
  if (id === undefined) return [];
  const datasec = btf.type(id);
  if (datasec.kind !== "datasec") return [];
  const variables: GlobalVariable[] = [];
  for (const entry of datasec.variables) {
    const variable = btf.type(entry.type);
    if (variable.kind !== "var") continue;
    const declared = declaredAs(btf, entry.type);
    variables.push({
      name: variable.name,
      type: variable.type,
      offset: entry.offset,
      size: entry.size,
      isStatic: variable.linkage === "static",
      isNumber: declared.number,
      address: declared.address,
    });
  }
  return variables;
}

/** The shape of a variable. The choice of numbers is for integers and arrays of them; a struct's members make their own. */
export function variableShape(btf: Btf, { type, isNumber, address }: GlobalVariable): Shape {
  const shape = shapeOf(btf, type, {}, address);
  if (!isNumber) return shape;
  let element = shape;
  while (element.kind === "array") element = element.element;
  return element.kind === "integer" ? shapeOf(btf, type, { u64: "number" }) : shape;
}

/** Whether BTF has each variable within its section. libbpf looks at the names only. @throws BpfError BTF_INVALID */
export function checkVariables(btf: Btf, maps: readonly NativeMapDefinition[], label: string): void {
  for (const { name, isInternal, dataSize } of maps) {
    if (!isInternal || dataSize === 0) continue;
    const section = sectionOf(name);
    for (const variable of variablesOf(btf, section)) {
      const end = variable.offset + btf.size(variable.type);
      if (end <= dataSize) continue;
      throw new BpfError({
        code: "BTF_INVALID",
        message: `${label}: BTF has variable ${variable.name} from byte ${variable.offset} to ${end} of ${section}, which has ${dataSize}`,
      });
    }
  }
}

/** @internal */
export interface SectionAccess {
  /** The section's map. @throws BpfError CLOSED, INVALID_STATE */
  map(): NativeMapDefinition;
  /** Why writing is not possible now, if it is not. */
  readOnly(): string | undefined;
}

/** The memory that a section's map is. */
export function sectionMemory(access: SectionAccess): LiveMemory {
  return {
    read: (offset, target) => access.map().readData(offset, target),
    write: (offset, source, label) => {
      const map = access.map();
      const reason = access.readOnly();
      if (reason !== undefined) {
        throw new BpfError({ code: "INVALID_STATE", message: `cannot set ${label}: ${reason}` });
      }
      attempt({ doing: `set ${label}` }, () => map.writeData(offset, source));
    },
  };
}

/**
 * A record with an accessor for each variable of a section. Structs, unions and arrays stay live: `bss.stats.count` reads only that
 * member, `bss.stats.count = 0n` writes it; a whole value can be assigned too.
 */
export function globalsRecord(section: string, btf: Btf, memory: LiveMemory): Globals {
  return namedRecord<unknown>(`variable in ${section}`, (record) => {
    const copies = new Map<string, () => unknown>();
    for (const variable of variablesOf(btf, section)) {
      // Two static variables of one name, of different functions: the first is as good as any, and neither is meant.
      if (copies.has(variable.name)) continue;
      const label = `${section} ${variable.name}`;
      let made: LiveValue | undefined;
      const value = (): LiveValue => {
        made ??= liveValue(variableShape(btf, variable), variable.offset, label, memory);
        return made;
      };
      copies.set(variable.name, () => snapshot(value().get()));
      Object.defineProperty(record, variable.name, {
        enumerable: true,
        configurable: false,
        get: () => value().get(),
        set: (given: unknown) => value().set(given),
      });
    }
    noteSnapshot(record, record, () => Object.fromEntries([...copies].map(([name, copy]) => [name, copy()])));
  });
}
