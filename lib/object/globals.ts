/** The object's global variables: sections .rodata, .data, .bss, .kconfig and custom ones, as records of accessors. */
import type { Btf } from "../btf/btf.js";
import { compileCodec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { BpfError } from "../errors.js";
import { attempt } from "../kernel/explain.js";
import { namedRecord } from "../named.js";
import type { NativeMapDefinition } from "../native.js";

/** A section's variables by their C names. Reading and writing go through mapped memory: no system call. */
export type Globals = Record<string, unknown>;

/** In which section, and where in it, a variable is. */
export interface GlobalVariable {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
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
    variables.push({ name: variable.name, type: variable.type, offset: entry.offset, size: entry.size });
  }
  return variables;
}

export interface GlobalsAccess {
  readonly section: string;
  readonly btf: Btf;
  /** The section's map. @throws BpfError CLOSED, INVALID_STATE */
  map(): NativeMapDefinition;
  /** Why writing is not possible now, if it is not. */
  readOnly(): string | undefined;
}

/** A record with an accessor for each variable of a section. */
export function globalsRecord(access: GlobalsAccess): Globals {
  const { section, btf } = access;
  return namedRecord<unknown>(`variable in ${section}`, (record) => {
    for (const variable of variablesOf(btf, section)) {
      // Two static variables of one name, of different functions: the first is as good as any, and neither is meant.
      if (Object.hasOwn(record, variable.name)) continue;
      const label = `${section} ${variable.name}`;
      const codec = compileCodec(btf, variable.type, { label });
      const memory = new Memory(new ArrayBuffer(Math.max(variable.size, 1)));
      const bytes = memory.bytes.subarray(0, variable.size);
      Object.defineProperty(record, variable.name, {
        enumerable: true,
        configurable: false,
        get: () => {
          access.map().readData(variable.offset, bytes);
          return codec.decode(memory, 0, variable.size);
        },
        set: (value: unknown) => {
          const map = access.map();
          const reason = access.readOnly();
          if (reason !== undefined) throw new BpfError({ code: "INVALID_STATE", message: `cannot set ${label}: ${reason}` });
          codec.encode(memory, 0, value);
          attempt({ doing: `set ${label}` }, () => map.writeData(variable.offset, bytes));
        },
      });
    }
  });
}
