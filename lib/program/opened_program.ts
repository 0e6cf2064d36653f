import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import type { NativeAddon, NativeProgram } from "../native.js";
import { invalid, shown } from "../options.js";

/** What is the same of a program before and after load. */
export interface ProgramIdentity {
  readonly name: string;
  /** The ELF section it came from, for example `kprobe/nf_hook_slow`. */
  readonly section: string;
  /** Whether its section begins with `?` in C, which `section` leaves out: it is loaded only where `autoload` is set to true. */
  readonly optional: boolean;
  /** libbpf's name of its type, for example `kprobe`, `tracing`, `sock_ops`. */
  readonly type: string;
}

export function programTypeName(addon: NativeAddon, type: number): string {
  return addon.programTypeName(type) ?? `type ${type}`;
}

/** A program of an opened object: what is set here takes effect at `load()`. */
export class OpenedProgram implements ProgramIdentity {
  readonly name: string;
  readonly section: string;
  readonly optional: boolean;
  readonly type: string;
  readonly #native: () => NativeProgram;
  #autoattach = true;

  /** @internal */
  constructor(addon: NativeAddon, native: () => NativeProgram) {
    this.#native = native;
    const program = native();
    this.name = program.name;
    this.section = program.section;
    this.optional = program.optional;
    this.type = programTypeName(addon, program.type);
  }

  /** Number of BPF instructions, before the verifier changes any. */
  get instructionCount(): number {
    return this.#native().instructionCount;
  }

  /**
   * Whether `load()` loads this program. {@link OpenedProgram.optional} ones begin as false.
   * @throws BpfError INVALID_STATE once the object is being loaded
   */
  get autoload(): boolean {
    return this.#native().autoload;
  }

  set autoload(value: boolean) {
    if (typeof value !== "boolean") throw invalid(`${this.name}.autoload must be a boolean, got ${shown(value)}`);
    this.#native().autoload = value;
  }

  /** Whether `object.attach()` attaches this program. */
  get autoattach(): boolean {
    return this.#autoattach;
  }

  set autoattach(value: boolean) {
    if (typeof value !== "boolean") throw invalid(`${this.name}.autoattach must be a boolean, got ${shown(value)}`);
    this.#autoattach = value;
  }

  /**
   * The verifier's log level: 0 logs only what it rejects, 1 the path it took, 2 every state, 4 statistics (added to the others).
   */
  get logLevel(): number {
    return this.#native().logLevel;
  }

  set logLevel(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > 7)
      throw invalid(`${this.name}.logLevel must be a whole number from 0 to 7, got ${shown(value)}`);
    this.#native().logLevel = value;
  }

  /**
   * Sets the function that a tracing program is verified against, in place of the one its section names: one of the kernel's, or, with a
   * program of another object, one of that program's (freplace, fentry, fexit; by its name in C, the program's own included).
   * @throws BpfError NOT_FOUND when there is no such function, INVALID_ARGUMENT when the program takes no target
   */
  setAttachTarget(functionName: string, program?: { readonly fd: number; readonly name: string }): void {
    if (typeof functionName !== "string" || functionName === "") {
      throw invalid(`setAttachTarget: function name must be a non-empty string, got ${shown(functionName)}`);
    }
    const native = this.#native();
    const place = program === undefined ? "the kernel's BTF" : `program ${program.name}`;
    attempt(
      {
        doing: `set the attach target of ${this.name} (${this.type}, section ${this.section})`,
        meanings: {
          [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "programs of this type take none" },
          [errno.ESRCH]: { code: "NOT_FOUND", text: `there is no ${functionName} in ${place}` },
          [errno.ENOENT]: { code: "NOT_FOUND", text: `there is no ${functionName} in ${place}` },
        },
      },
      () => native.setAttachTarget(program?.fd ?? 0, functionName),
    );
  }
}
