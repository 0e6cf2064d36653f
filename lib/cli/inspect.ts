/** `ebpf inspect`: what an object file contains. */
import { Btf } from "../btf/btf.js";
import { helperName } from "../features/helpers.js";
import type { InstructionKind } from "../kernel/since.js";
import { native } from "../native.js";
import { sectionOf } from "../object/globals.js";
import { openCore } from "../object/opened_object.js";
import { describeObject } from "../skeleton/index.js";
import { mapSize, mapTypeConstant } from "../skeleton/map_types.js";
import { bytes } from "../skeleton/types.js";
import { type CoreRelocations, parseCoreRelocations } from "./core_relocations.js";
import { helperCalls, instructionKinds } from "./instructions.js";
import { type Output, plural, styleOf, table } from "./output.js";
import {
  helperRequirements,
  instructionRequirements,
  kernelOf,
  mapRequirement,
  programRequirements,
  type Requirement,
  sectionRequirements,
} from "./requirements.js";

export interface Inspection {
  readonly file: string;
  readonly bytes: number;
  readonly programs: readonly {
    readonly name: string;
    readonly section: string;
    /** Whether its section begins with `?`, which `section` leaves out: it is loaded only on request. */
    readonly optional: boolean;
    readonly type: string;
    readonly instructions: number;
    readonly coreRelocations: number;
    /** The kernel's helpers that it calls itself. */
    readonly helpers: readonly string[];
  }[];
  /** Helpers that functions outside of programs call, which programs share (section .text). */
  readonly sharedHelpers: readonly string[];
  readonly maps: readonly {
    readonly name: string;
    readonly type: string;
    readonly key: string | null;
    readonly value: string | null;
    readonly keySize: number;
    readonly valueSize: number;
    readonly maxEntries: number;
    /** In words: entries, bytes of a ring, pages of an arena. */
    readonly size: string;
    readonly record: string | null;
    readonly pinned: boolean;
  }[];
  readonly sections: readonly {
    readonly name: string;
    readonly bytes: number;
    readonly variables: readonly {
      readonly name: string;
      readonly type: string;
      readonly offset: number;
      readonly size: number;
    }[];
  }[];
  readonly types: number;
  readonly coreRelocations: CoreRelocations | null;
  readonly requirements: readonly Requirement[];
  /** The oldest kernel that has all of the above; what a program asks for first (CO-RE's bpf_core_...exists()) is counted as if it did not. */
  readonly minimumKernel: string;
}

/** What instructions ask of the kernel. */
interface Uses {
  readonly kinds: readonly InstructionKind[];
  /** By their numbers. */
  readonly helpers: readonly number[];
}

function usesOf(instructions: Uint8Array): Uses {
  return { kinds: instructionKinds(instructions), helpers: helperCalls(instructions) };
}

function needsOf(because: string, { kinds, helpers }: Uses): Requirement[] {
  return [...instructionRequirements(because, kinds), ...helperRequirements(because, helpers)];
}

export function inspectObject(path: string): Inspection {
  const core = openCore(path, {});
  try {
    const btf = core.btfOrUndefined;
    // As clang wrote it: libbpf puts a variable of its own in the place of kernel functions.
    const written = core.addon.readSection(core.image.bytes, ".BTF");
    const own = written === undefined ? undefined : Btf.parse(written, { name: path });
    const programs = core.programNames.map((name) => core.program(name));
    const maps = core.mapNames.map((name) => core.map(name));
    const description = describeObject({ programs, maps }, btf);
    const extension = core.addon.readSection(core.image.bytes, ".BTF.ext");
    const relocations = btf === undefined || extension === undefined ? undefined : parseCoreRelocations(extension, btf);
    const type = (id: number) => (btf === undefined || id === 0 ? null : btf.describe(id));
    // libbpf adds the functions that are in .text to the programs that call them, but only when it loads.
    const shared = usesOf(core.addon.readSection(core.image.bytes, ".text") ?? new Uint8Array(0));
    const used = programs.map((program) => ({ program, uses: usesOf(program.instructions()) }));
    const requirements = [
      ...programs.flatMap(programRequirements),
      ...maps.flatMap((map) => mapRequirement(map.name, map.type, map.isInternal)),
      ...used.flatMap(({ program, uses }) => needsOf(`program ${program.name}`, uses)),
      ...needsOf("functions that programs share", shared),
      ...sectionRequirements(externs(own), relocations?.total ?? 0),
    ];
    return {
      file: path,
      bytes: core.image.bytes.byteLength,
      programs: used.map(({ program, uses }) => ({
        name: program.name,
        section: program.section,
        optional: program.optional,
        type: core.addon.programTypeName(program.type) ?? `type ${program.type}`,
        instructions: program.instructionCount,
        coreRelocations: relocations?.bySection[program.section] ?? 0,
        helpers: uses.helpers.map(helperName),
      })),
      sharedHelpers: shared.helpers.map(helperName),
      maps: description.maps.map((map) => ({
        name: map.name,
        type: mapTypeConstant(map.type),
        key: type(map.keyType),
        value: type(map.valueType),
        keySize: map.keySize,
        valueSize: map.valueSize,
        maxEntries: map.maxEntries,
        size: mapSize(map),
        record: type(map.recordType ?? 0),
        pinned: core.map(map.name).pinPath !== undefined,
      })),
      sections: description.sections.map(({ name, variables }) => ({
        name,
        // Of an arena's variables there is no map of that size.
        bytes:
          maps.find((map) => map.isInternal && sectionOf(map.name) === name)?.dataSize ??
          Math.max(...variables.map(({ offset, size }) => offset + size)),
        variables: variables.map((variable) => ({
          name: variable.name,
          type: type(variable.type) ?? "",
          offset: variable.offset,
          size: variable.size,
        })),
      })),
      types: own === undefined ? 0 : own.typeCount - 1,
      coreRelocations: relocations ?? null,
      requirements: unique(requirements),
      minimumKernel: kernelOf(requirements),
    };
  } finally {
    core.close();
  }
}

/** Kernel functions and variables that the object refers to. */
function externs(btf: Btf | undefined): { readonly functions: string[]; readonly variables: string[] } {
  const id = btf?.find(".ksyms", "datasec");
  const found = { functions: [] as string[], variables: [] as string[] };
  const datasec = id === undefined ? undefined : btf?.type(id);
  if (btf === undefined || datasec?.kind !== "datasec") return found;
  for (const { type } of datasec.variables)
    found[btf.kind(type) === "func" ? "functions" : "variables"].push(btf.name(type));
  return found;
}

function unique(requirements: readonly Requirement[]): Requirement[] {
  return requirements.filter((one, i) => requirements.findIndex(({ feature }) => feature === one.feature) === i);
}

export function inspect(path: string, options: { readonly json?: boolean | undefined }, out: Output): void {
  const found = inspectObject(path);
  if (options.json) {
    out.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  const { bold, dim } = styleOf(out.stdout);
  const write = (text: string) => out.stdout.write(text);
  const title = (text: string, count: number) => write(`\n${bold(text)} (${count})\n`);
  write(
    `${bold(found.file)}  ${bytes(found.bytes)}, ${plural(found.types, "BTF type")}, libbpf ${native().libbpfVersion}\n`,
  );
  title("Programs", found.programs.length);
  write(
    table(
      found.programs.map((program) => [
        program.name,
        `SEC("${program.optional ? "?" : ""}${program.section}")`,
        program.type,
        plural(program.instructions, "instruction"),
        program.coreRelocations === 0 ? "" : `CO-RE: ${program.coreRelocations}`,
      ]),
    ),
  );
  title("Maps", found.maps.length);
  write(
    table(
      found.maps.map((map) => [
        map.name,
        map.type,
        map.record !== null
          ? `records: ${map.record}`
          : map.keySize === 0 && map.valueSize === 0
            ? ""
            : `${map.key ?? bytes(map.keySize)} -> ${map.value ?? bytes(map.valueSize)}`,
        map.size,
        map.pinned ? "pinned by name" : "",
      ]),
    ),
  );
  for (const section of found.sections) {
    title(section.name, section.variables.length);
    write(
      table(
        section.variables.map((variable) => [
          variable.name,
          variable.type,
          `${bytes(variable.size)} at ${variable.offset}`,
        ]),
      ),
    );
  }
  const { coreRelocations } = found;
  title("CO-RE relocations", coreRelocations?.total ?? 0);
  if (coreRelocations !== null)
    write(table(Object.entries(coreRelocations.byType).map(([type, count]) => [type, `${count}`])));
  title("Needs", found.requirements.length);
  write(
    table(
      found.requirements.map(({ feature, since, because }) => [
        feature,
        since === undefined ? "" : `Linux ${since}`,
        dim(because),
      ]),
    ),
  );
  write(`\nOldest kernel that has all of this: ${bold(found.minimumKernel)}.\n`);
}
