import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";
import { attempt, type Meaning } from "../kernel/explain.js";
import { Link, type LinkParts, type LinkTarget } from "../link/link.js";
import { type NativeAddon, type NativeLink, type NativeProgram, needsLibbpf } from "../native.js";
import { invalid } from "../options.js";
import { methodFor } from "./method_for.js";
import { programTypeName } from "./program_info.js";

/** Who owns a program: told of each link, so that closing the object closes it. @internal */
export interface ProgramOwner {
  readonly addon: NativeAddon;
  /** The object's BTF. @throws BpfError BTF_MISSING */
  btf(): Btf;
  adopt(link: Link): void;
  release(link: Link): void;
  /** The live native program. @throws BpfError CLOSED */
  native(): NativeProgram;
  /** What the verifier said when it was loaded, if that was asked for. */
  verifierLog(): string | undefined;
}

export type Meanings = Readonly<Record<number, Meaning>>;

/** What every way to attach needs of a program: one file of attach/ each uses it. @internal */
export class Attacher {
  readonly name: string;
  readonly section: string;
  readonly type: number;
  readonly typeName: string;
  readonly owner: ProgramOwner;

  constructor(owner: ProgramOwner) {
    this.owner = owner;
    const native = owner.native();
    this.name = native.name;
    this.section = native.section;
    this.type = native.type;
    this.typeName = programTypeName(native.type);
  }

  get addon(): NativeAddon {
    return this.owner.addon;
  }

  /** @throws BpfError CLOSED, INVALID_STATE when the program is not in the kernel */
  loaded(operation: string): NativeProgram {
    const native = this.owner.native();
    if (native.fd() < 0) {
      throw new BpfError({
        code: "INVALID_STATE",
        message: `${this.name}.${operation}: the program is not in the kernel: its autoload was off, or another variant was chosen`,
      });
    }
    return native;
  }

  /** @throws BpfError INVALID_ARGUMENT */
  mustBe(operation: string, types: readonly number[], wanted: string): void {
    if (!types.includes(this.type)) throw this.wrongType(operation, `${wanted} programs`);
  }

  /** That the program is of a type which the operation is not for. */
  wrongType(operation: string, wanted: string): BpfError {
    return invalid(
      `${operation}: ${this.name} is a ${this.typeName} program (section ${this.section}); this attaches ${wanted}: use ${this.method}`,
    );
  }

  /** @throws BpfError INVALID_ARGUMENT unless the program is to be attached in one of these ways */
  mustExpect(operation: string, attachTypes: readonly number[], wanted: string): number {
    const expected = this.owner.native().expectedAttachType;
    if (!attachTypes.includes(expected)) throw this.#notFor(operation, `programs of ${wanted}`);
    return expected;
  }

  /** @throws BpfError INVALID_ARGUMENT if the program, though of a type that fits, is to be attached in one of these ways */
  mustNotExpect(operation: string, attachTypes: readonly number[], wanted: string): void {
    if (attachTypes.includes(this.owner.native().expectedAttachType))
      throw this.#notFor(operation, `${wanted} programs`);
  }

  #notFor(operation: string, wanted: string): BpfError {
    return invalid(
      `${operation}: ${this.name} (section ${this.section}) is not for it; this attaches ${wanted}: use ${this.method}`,
    );
  }

  /** What attaches the program, for the message of an error. */
  get method(): string {
    return methodFor(this.type, this.section);
  }

  /** @throws BpfError LIBBPF_TOO_OLD */
  needsLibbpf(feature: string, what: string, version: string): void {
    needsLibbpf(this.addon, feature, what, version);
  }

  /** Ids of the programs that are attached to a cgroup or map itself; none where the kernel does not tell. */
  attachedTo(targetFd: number, attachType: number): readonly number[] {
    try {
      return this.addon.programQuery(targetFd, attachType, 0);
    } catch {
      return [];
    }
  }

  /** Attaches by one call of libbpf's that makes one link. */
  link(
    where: Pick<LinkTarget, "kind" | "target">,
    call: (native: NativeProgram) => NativeLink,
    meanings?: Meanings | (() => Meanings),
  ): Link {
    return this.attach(where, (native) => ({ links: [call(native)] }), meanings);
  }

  /** Attaches; what `call` made belongs to the link from then on. */
  attach(
    where: Pick<LinkTarget, "kind" | "target">,
    call: (native: NativeProgram) => LinkParts,
    meanings: Meanings | (() => Meanings) = {},
  ): Link {
    const parts = this.try(where, call, meanings);
    return this.adopt(new Link(parts, { program: this.name, ...where }, this.release));
  }

  /** Runs a native call, explaining what it throws. */
  try<T>(
    where: Pick<LinkTarget, "kind" | "target">,
    call: (native: NativeProgram) => T,
    meanings: Meanings | (() => Meanings) = {},
  ): T {
    const native = this.loaded("attach");
    return attempt(
      {
        doing: `attach ${this.name} to ${where.kind} ${where.target}`,
        // Some meanings cost a look into the kernel's symbols: only a failure asks for them.
        get meanings() {
          if (typeof meanings !== "function") return meanings;
          try {
            return meanings();
          } catch {
            // That nothing more can be found out (no descriptor left to look with) is no reason not to tell what failed.
            return {};
          }
        },
      },
      () => call(native),
    );
  }

  adopt<L extends Link>(link: L): L {
    this.owner.adopt(link);
    return link;
  }

  readonly release = (link: Link): void => this.owner.release(link);
}
