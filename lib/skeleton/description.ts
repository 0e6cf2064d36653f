/** What an object file offers, as plain data: what a skeleton is written from, and what its fingerprint is taken of. */
import type { Btf } from "../btf/btf.js";
import { ARENA_SECTION, arenaVariables } from "../object/arena_section.js";
import { type GlobalVariable, sectionOf, variablesOf } from "../object/globals.js";
import { RINGS_SECTION, ringRecordType } from "../object/ring_declarations.js";

export interface ProgramDescription {
  readonly name: string;
  /** The ELF section, for example `fexit/nf_hook_slow`; with the `?` that it may begin with. */
  readonly section: string;
}

export interface MapDescription {
  readonly name: string;
  /** enum bpf_map_type. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BTF type id of the key; 0 when BTF does not know it or contradicts the size: then keys are bytes. */
  readonly keyType: number;
  readonly valueType: number;
  /** BTF type id of a ring's records, when `EBPF_RINGBUF` or a macro like it declared it. */
  readonly recordType: number | undefined;
}

export interface SectionDescription {
  /** For example `.rodata` or `.data.config`. */
  readonly name: string;
  readonly variables: readonly GlobalVariable[];
}

export interface ObjectDescription {
  readonly btf: Btf | undefined;
  readonly programs: readonly ProgramDescription[];
  /** Without the data sections. */
  readonly maps: readonly MapDescription[];
  /** Data sections, with the variables that are not `static`: those are the C file's own, and which of them are kept is the compiler's. */
  readonly sections: readonly SectionDescription[];
}

/** The parts of an opened object that are described. `NativeObject` has them. */
export interface DescribedObject {
  readonly programs: readonly { readonly name: string; readonly section: string; readonly optional: boolean }[];
  readonly maps: readonly {
    readonly name: string;
    readonly isInternal: boolean;
    readonly type: number;
    readonly keySize: number;
    readonly valueSize: number;
    readonly maxEntries: number;
    readonly keyTypeId: number;
    readonly valueTypeId: number;
    readonly dataSize: number;
  }[];
}

/** What the macros of <ebpf/events.h> declare beside a ring: the ring itself offers it. */
const OWN_NAMES = /^ebpf_(ring|ring_wakeup|perf|scratch|counters|control)__/;

export function describeObject(object: DescribedObject, btf: Btf | undefined): ObjectDescription {
  const sized = (typeId: number, size: number) =>
    btf !== undefined && typeId !== 0 && btf.size(typeId) === size ? typeId : 0;
  return {
    btf,
    programs: object.programs.map(({ name, section, optional }) => ({
      name,
      section: `${optional ? "?" : ""}${section}`,
    })),
    maps: object.maps
      .filter((map) => !map.isInternal && !OWN_NAMES.test(map.name))
      .map((map) => ({
        name: map.name,
        type: map.type,
        keySize: map.keySize,
        valueSize: map.valueSize,
        maxEntries: map.maxEntries,
        keyType: sized(map.keyTypeId, map.keySize),
        valueType: sized(map.valueTypeId, map.valueSize),
        recordType: btf === undefined ? undefined : ringRecordType(btf, map.name),
      })),
    sections: [
      ...object.maps
        .filter((map) => map.isInternal && map.dataSize > 0)
        .map((map) => sectionOf(map.name))
        // The counters of rings are read through the rings.
        .filter((name) => name !== RINGS_SECTION)
        .map((name) => ({ name, variables: btf === undefined ? [] : variablesOf(btf, name) })),
      { name: ARENA_SECTION, variables: arenaVariables(btf, object.maps) },
    ]
      .map(({ name, variables }) => ({
        name,
        variables: variables.filter(({ isStatic, name: own }) => !isStatic && !OWN_NAMES.test(own)),
      }))
      .filter(({ variables }) => variables.length > 0),
  };
}
