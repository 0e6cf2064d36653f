import { unknownName } from "../named.js";
import type { NativeMapDefinition } from "../native.js";
import type { ObjectCore } from "./core.js";
import { type Globals, globalsRecord, sectionOf } from "./globals.js";

/** A section's record, made on first use. @internal */
export function sectionRecord(
  core: ObjectCore,
  made: Map<string, Globals>,
  section: string,
  readOnly: () => string | undefined,
): Globals {
  const known = made.get(section);
  if (known !== undefined) return known;
  if (core.sectionMap(section, sectionOf) === undefined)
    throw unknownName(`data section in ${core.image.label}`, section, core.sections(sectionOf));
  const record = globalsRecord({
    section,
    btf: core.btf,
    map: () => {
      core.mustBeOpen();
      return core.sectionMap(section, sectionOf) as NativeMapDefinition;
    },
    readOnly,
  });
  made.set(section, record);
  return record;
}
