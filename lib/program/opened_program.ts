import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { flagBits, flagNames } from "../kernel/flags.js";
import type { NativeProgram } from "../native.js";
import { invalid, shown } from "../options.js";
import type { Settable } from "../settable.js";
import { programTypeName } from "./program_info.js";

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

/** BPF_F_* of BPF_PROG_LOAD (include/uapi/linux/bpf.h), in the order of their bits. */
const PROGRAM_LOAD_FLAGS = {
  strict_alignment: 1 << 0,
  any_alignment: 1 << 1,
  test_rnd_hi32: 1 << 2,
  test_state_freq: 1 << 3,
  sleepable: 1 << 4,
  xdp_has_frags: 1 << 5,
  xdp_dev_bound_only: 1 << 6,
  test_reg_invariants: 1 << 7,
} as const;

/** A flag of loading a program: BPF_F_* in lower case. */
export type ProgramLoadFlag = keyof typeof PROGRAM_LOAD_FLAGS;

/** A program of an opened object: what is set here takes effect at `load()`. */
export class OpenedProgram implements ProgramIdentity {
  readonly name: string;
  readonly section: string;
  readonly optional: boolean;
  readonly type: string;
  readonly #settable: Settable<NativeProgram>;
  #autoattach = true;

  /** @internal */
  constructor(settable: Settable<NativeProgram>) {
    this.#settable = settable;
    const program = settable.native();
    this.name = program.name;
    this.section = program.section;
    this.optional = program.optional;
    this.type = programTypeName(program.type);
  }

  /** Number of BPF instructions, before the verifier changes any. */
  get instructionCount(): number {
    return this.#settable.native().instructionCount;
  }

  /**
   * Whether `load()` loads this program. {@link OpenedProgram.optional} ones begin as false.
   * @throws BpfError INVALID_STATE once the object is being loaded
   */
  get autoload(): boolean {
    return this.#settable.native().autoload;
  }

  set autoload(value: boolean) {
    if (typeof value !== "boolean") throw invalid(`${this.name}.autoload must be a boolean, got ${shown(value)}`);
    this.#settable.native().autoload = value;
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
   * The verifier's log level: 0 logs only what it rejects, 1 the same and statistics, 2 every instruction with the state of registers, 4 statistics
   * only (added to the others). What it says of a program that loads is then {@link Program.verifierLog}. Verifying takes longer with it.
   */
  get logLevel(): number {
    return this.#settable.native().logLevel;
  }

  set logLevel(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > 7)
      throw invalid(`${this.name}.logLevel must be a whole number from 0 to 7, got ${shown(value)}`);
    this.#settable.native().logLevel = value;
  }

  /**
   * Flags that the program is loaded with, beside those that its section implies (`.s`: sleepable, `.frags`: xdp_has_frags).
   *
   * `strict_alignment` (4.12) and `any_alignment` (5.0): whether the verifier refuses memory accesses that are not aligned; by default as
   * the machine needs it. `sleepable` (5.10): the program may call what sleeps, where its type and place allow it. `xdp_has_frags` (5.18):
   * an XDP program that can do with packets in several buffers, without which devices with a large MTU refuse it. The `test_...`
   * flags have the verifier check itself, which costs time.
   * @throws BpfError INVALID_ARGUMENT for a name that is none
   */
  get flags(): readonly ProgramLoadFlag[] {
    return flagNames(PROGRAM_LOAD_FLAGS, this.#settable.native().flags);
  }

  set flags(value: readonly ProgramLoadFlag[]) {
    if (!Array.isArray(value))
      throw invalid(`${this.name}.flags must be an array of BPF_F_* names, got ${shown(value)}`);
    this.#settable.native().flags = flagBits(`${this.name}.flags`, PROGRAM_LOAD_FLAGS, value);
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
      () => this.#settable.keep("attach target", (native) => native.setAttachTarget(program?.fd ?? 0, functionName)),
    );
  }
}
