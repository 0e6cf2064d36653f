import type { NativeMapDefinition } from "../native.js";
import { invalid } from "../options.js";
import type { ObjectCore } from "./core.js";
import { sectionOf } from "./globals.js";

/** A __u64 of a data section. */
export interface SectionWord {
  get(): bigint;
  set(value: bigint): void;
}

export function sectionWord(core: ObjectCore, section: string, offset: number): SectionWord {
  const word = new BigUint64Array(1);
  const bytes = new Uint8Array(word.buffer);
  return {
    get: () => {
      dataSection(core, section).readData(offset, bytes);
      return word[0] as bigint;
    },
    set: (value) => {
      word[0] = value;
      dataSection(core, section).writeData(offset, bytes);
    },
  };
}

/** The map of a data section that the object has. @throws BpfError CLOSED, INVALID_ARGUMENT */
export function dataSection(core: ObjectCore, section: string): NativeMapDefinition {
  core.mustBeOpen();
  const map = core.sectionMap(section, sectionOf);
  if (map === undefined) throw invalid(`${core.image.label} has no section ${section}`);
  return map;
}
