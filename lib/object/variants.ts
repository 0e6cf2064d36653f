/**
 * One probe, several ways to put it in place: the first that this kernel loads and attaches is used.
 *
 * For example fexit where the kernel has BPF trampolines, else a kprobe with a kretprobe.
 */
import { BpfError } from "../errors.js";
import { suggestion } from "../nearest.js";
import { invalid, shown } from "../options.js";

/**
 * For each probe, by a name of your choice, its candidates in order of preference: a program's name, or the names of programs that
 * belong together. An empty list as the last candidate means: do without.
 */
export type VariantSpec<Program extends string = string> = Readonly<
  Record<string, readonly (Program | readonly Program[])[]>
>;

export interface RejectedVariant {
  readonly programs: readonly string[];
  /** Why it was not used. */
  readonly reason: Error;
}

/** What was chosen for a probe, and why nothing before it was. */
export interface VariantChoice {
  readonly chosen: readonly string[];
  readonly rejected: readonly RejectedVariant[];
}

class Group {
  readonly name: string;
  readonly candidates: readonly (readonly string[])[];
  readonly rejected: RejectedVariant[] = [];

  constructor(name: string, candidates: readonly (readonly string[])[]) {
    this.name = name;
    this.candidates = candidates;
  }

  get chosen(): readonly string[] {
    return this.candidates[this.rejected.length] ?? [];
  }

  /** Passes on to the next candidate. @throws BpfError when this was the last */
  reject(reason: Error): void {
    this.rejected.push({ programs: this.chosen, reason });
    if (this.rejected.length < this.candidates.length) return;
    const tried = this.rejected.map(
      ({ programs, reason: why }) => `\n  ${programs.join(" + ")}: ${why.message.split("\n").join("\n    ")}`,
    );
    throw new BpfError({
      code: reason instanceof BpfError ? reason.code : "SYSTEM",
      message: `no variant of "${this.name}" works on this kernel:${tried.join("")}`,
      errno: reason instanceof BpfError ? reason.errno : undefined,
      cause: reason,
    });
  }
}

/** The state of the choice, for one object. */
export class Variants {
  readonly #groups: readonly Group[];

  /** @throws BpfError INVALID_ARGUMENT when the specification names a program the object does not have, or one twice */
  constructor(spec: VariantSpec, programs: readonly string[]) {
    const taken = new Map<string, string>();
    this.#groups = Object.entries(spec).map(([name, given]) => {
      if (!Array.isArray(given) || given.length === 0)
        throw invalid(`variants: "${name}" must be a list of candidates, got ${shown(given)}`);
      const candidates = given.map((candidate: string | readonly string[]) =>
        typeof candidate === "string" ? [candidate] : [...candidate],
      );
      for (const program of candidates.flat()) {
        if (!programs.includes(program))
          throw invalid(
            `variants: "${name}" names a program "${program}" that the object does not have${suggestion(program, programs)}`,
          );
        const other = taken.get(program);
        if (other !== undefined)
          throw invalid(`variants: program "${program}" is in "${other}" and again in "${name}"`);
        taken.set(program, name);
      }
      return new Group(name, candidates);
    });
  }

  /** Whether a program is to be loaded: undefined when it belongs to no group. */
  wants(program: string): boolean | undefined {
    const group = this.#groupOf(program);
    return group === undefined ? undefined : group.chosen.includes(program);
  }

  /** Takes a program's failure to load; false when it belongs to no group. @throws BpfError when nothing is left to try */
  rejectProgram(program: string | undefined, reason: Error): boolean {
    const group = program === undefined ? undefined : this.#groupOf(program);
    if (group === undefined) return false;
    group.reject(reason);
    return true;
  }

  get names(): readonly string[] {
    return this.#groups.map((group) => group.name);
  }

  chosen(name: string): readonly string[] {
    return this.#group(name).chosen;
  }

  /** @throws BpfError when this was the last candidate: then those since `tried` are candidates again, so that the caller may try once more */
  reject(name: string, reason: Error, tried: number): void {
    const group = this.#group(name);
    try {
      group.reject(reason);
    } catch (error) {
      group.rejected.length = tried;
      throw error;
    }
  }

  /** How many candidates were rejected. */
  tried(name: string): number {
    return this.#group(name).rejected.length;
  }

  /** For users: what was chosen and why. */
  report(): Readonly<Record<string, VariantChoice>> {
    return Object.fromEntries(
      this.#groups.map((group) => [group.name, { chosen: group.chosen, rejected: [...group.rejected] }]),
    );
  }

  #group(name: string): Group {
    return this.#groups.find((group) => group.name === name) as Group;
  }

  #groupOf(program: string): Group | undefined {
    return this.#groups.find((group) => group.candidates.some((candidate) => candidate.includes(program)));
  }
}
