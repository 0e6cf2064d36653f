/** Which kernel has what an object uses: by its programs' types, sections, instructions and helpers, its maps' types, its data and its externs. */
import { helperName } from "../features/helpers.js";
import { MapType, ProgramType } from "../kernel/abi.js";
import {
  helperSince,
  INSTRUCTION_SINCE,
  type InstructionKind,
  MAP_TYPE_SINCE,
  PROGRAM_TYPE_SINCE,
  snakeCase,
} from "../kernel/since.js";

export interface Requirement {
  readonly feature: string;
  /** The first kernel with it; undefined for what a version does not tell. */
  readonly since: string | undefined;
  /** What of the object needs it. */
  readonly because: string;
}

/** What a section asks for beyond its program's type. */
const SECTIONS: readonly (readonly [pattern: RegExp, feature: string, since: string])[] = [
  [/^kprobe\.multi|^kretprobe\.multi/, "kprobe.multi links", "5.18"],
  [/^kprobe\.session/, "kprobe sessions", "6.10"],
  [/^uprobe\.multi|^uretprobe\.multi/, "uprobe.multi links", "6.6"],
  [/^fmod_ret/, "fmod_ret programs", "5.7"],
  [/^iter(\.s)?\//, "BPF iterators", "5.8"],
  [/^lsm_cgroup/, "LSM programs on cgroups", "6.0"],
  [/^tcx\//, "tcx", "6.6"],
  [/^netkit\//, "netkit", "6.7"],
  [/^xdp\.frags/, "XDP on packets of several buffers", "5.18"],
  [/^xdp(\.frags)?\/devmap/, "XDP programs on a devmap", "5.8"],
  [/^xdp(\.frags)?\/cpumap/, "XDP programs on a cpumap", "5.9"],
  [/^(fentry|fexit|fmod_ret|lsm)\.s\//, "sleepable programs", "5.10"],
  [/^iter\.s\//, "sleepable iterators", "5.17"],
  [/^u(ret)?probe\.s/, "sleepable uprobes", "6.0"],
  [/^cgroup\/.*_unix$/, "cgroup programs on Unix sockets", "6.7"],
];

/** A type's key in the tables of kernel/since.ts, by its number. */
function nameOf<Table extends Readonly<Record<string, number>>>(table: Table, number: number): keyof Table | undefined {
  return Object.keys(table).find((name) => table[name] === number);
}

export function programRequirements(program: {
  readonly name: string;
  readonly type: number;
  readonly section: string;
}): Requirement[] {
  const because = `program ${program.name}`;
  const section = program.section.replace(/^\?/, "");
  const found: Requirement[] = [];
  const type = nameOf(ProgramType, program.type);
  if (type !== undefined)
    found.push({ feature: `program type ${snakeCase(type)}`, since: PROGRAM_TYPE_SINCE[type], because });
  for (const [pattern, feature, since] of SECTIONS) if (pattern.test(section)) found.push({ feature, since, because });
  return found;
}

export function mapRequirement(name: string, type: number, internal: boolean): Requirement[] {
  if (internal) return [{ feature: "global variables", since: "5.2", because: "data sections" }];
  const own = nameOf(MapType, type);
  return own === undefined
    ? []
    : [{ feature: `map type ${snakeCase(own)}`, since: MAP_TYPE_SINCE[own], because: `map ${name}` }];
}

/** Needs for helpers, by their numbers. */
export function helperRequirements(because: string, helpers: readonly number[]): Requirement[] {
  return helpers.map((helper) => ({ feature: `helper ${helperName(helper)}`, since: helperSince(helper), because }));
}

/** Needs for instructions. */
export function instructionRequirements(because: string, kinds: readonly InstructionKind[]): Requirement[] {
  return kinds.map((feature) => ({ feature, since: INSTRUCTION_SINCE[feature], because }));
}

/** Needs of the object as a whole. */
export function sectionRequirements(
  externs: { readonly functions: readonly string[]; readonly variables: readonly string[] },
  relocations: number,
): Requirement[] {
  const found: Requirement[] = [];
  if (relocations > 0) {
    found.push({
      feature: "kernel BTF (CONFIG_DEBUG_INFO_BTF)",
      since: "5.4",
      because: `${relocations} CO-RE relocations; or open({ btfPath })`,
    });
  }
  for (const name of externs.functions)
    found.push({
      feature: `kernel function ${name}`,
      since: "5.13",
      because: "extern __ksym: kernels differ in which functions they offer",
    });
  for (const name of externs.variables)
    found.push({ feature: `kernel variable ${name}`, since: "5.10", because: "extern __ksym" });
  return found;
}

/** The newest of the kernels asked for. */
export function kernelOf(requirements: readonly Requirement[]): string {
  const number = (version: string) => version.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
  const versions = requirements.flatMap(({ since }) => (since === undefined ? [] : [since]));
  return versions.reduce((newest, version) => (number(version) > number(newest) ? version : newest), "3.19");
}
