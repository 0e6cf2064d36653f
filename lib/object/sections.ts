import { unknownName } from "../named.js";
import type { NativeMapDefinition } from "../native.js";
import { ARENA_SECTION, arenaVariables } from "./arena_section.js";
import type { ObjectCore } from "./core.js";
import { type Globals, globalsRecord, sectionMemory, sectionOf } from "./globals.js";
import type { LiveMemory } from "./live.js";

/** How an object's sections are reached in its phase. @internal */
export interface SectionPhase {
  /** @throws BpfError CLOSED, INVALID_STATE unless the object is in this phase */
  check(): void;
  /** Why writing is not possible now, if it is not. */
  readOnly(): string | undefined;
  /** The memory of variables in the arena. @throws BpfError INVALID_STATE where there is none yet */
  arena(): LiveMemory;
}

/** Why `extern` variables of the kernel's configuration cannot be set: libbpf sets them, at load. @internal */
export function kconfigReadOnly(section: string): string | undefined {
  if (section !== ".kconfig") return undefined;
  return "it is what load() finds in the kernel's configuration; give open() another by its option kconfig";
}

/** A section's record, made on first use. @internal */
export function sectionRecord(
  core: ObjectCore,
  made: Map<string, Globals>,
  section: string,
  phase: SectionPhase,
): Globals {
  const known = made.get(section);
  if (known !== undefined) return known;
  const record = globalsRecord(section, core.btf, memoryOf(core, section, phase));
  made.set(section, record);
  return record;
}

function memoryOf(core: ObjectCore, section: string, phase: SectionPhase): LiveMemory {
  if (core.sectionMap(section, sectionOf) !== undefined) {
    return sectionMemory({
      map: () => {
        phase.check();
        return core.sectionMap(section, sectionOf) as NativeMapDefinition;
      },
      readOnly: phase.readOnly,
    });
  }
  const inArena = arenaVariables(
    core.btfOrUndefined,
    core.mapNames.map((name) => core.map(name)),
  );
  if (section === ARENA_SECTION && inArena.length > 0) return phase.arena();
  const names = core.sections(sectionOf);
  throw unknownName(
    `data section in ${core.image.label}`,
    section,
    inArena.length > 0 ? [...names, ARENA_SECTION] : names,
  );
}
