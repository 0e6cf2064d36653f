/** What kind of thing went wrong; stable, for programs to switch on. The message is for people. */
export type BpfErrorCode =
  /** An argument or option is not of the right kind; nothing was done. */
  | "INVALID_ARGUMENT"
  /** The operation does not fit the resource's phase, for example setting rodata after load. */
  | "INVALID_STATE"
  /** The resource was closed. */
  | "CLOSED"
  /** No such file, map, program, function, cgroup, link or entry. */
  | "NOT_FOUND"
  /** Not a BPF object file, or a damaged one. */
  | "OBJECT_INVALID"
  /** BTF is needed and is not there. */
  | "BTF_MISSING"
  /** BTF is damaged or contradicts itself. */
  | "BTF_INVALID"
  /** BTF has no type of that name. */
  | "BTF_NOT_FOUND"
  /** A value does not fit its C type; the message names the path. */
  | "VALUE_INVALID"
  /** The verifier rejected a program; see {@link VerifierError}. */
  | "VERIFIER_REJECTED"
  /** The kernel refused for lack of privilege or by policy. */
  | "PERMISSION_DENIED"
  /** This kernel does not have what was asked for. */
  | "KERNEL_UNSUPPORTED"
  /** The libbpf that the addon was built with is too old for what was asked for. */
  | "LIBBPF_TOO_OLD"
  /** No room: a map or ring is full. */
  | "FULL"
  /** It exists already, or is attached already. */
  | "EXISTS"
  /** In use by someone else: a ring has one reader. */
  | "BUSY"
  /** A record, map value or message was not of the size its type has. */
  | "SIZE_MISMATCH"
  /** A tool that is needed (clang) is not installed. */
  | "TOOL_MISSING"
  /** clang rejected the source. */
  | "COMPILE_FAILED"
  /** Waiting took longer than was allowed. */
  | "TIMEOUT"
  /** Any other error of the system; `errno` says which. */
  | "SYSTEM";

export interface BpfErrorInit {
  readonly code: BpfErrorCode;
  readonly message: string;
  /** Positive errno. */
  readonly errno?: number | undefined;
  /** The libbpf function or system call that failed. */
  readonly operation?: string | undefined;
  /** What libbpf printed while the operation ran. */
  readonly log?: readonly string[] | undefined;
  readonly cause?: unknown;
}

/**
 * Every error this library throws.
 *
 * @example
 * ```ts
 * import { BpfError, BpfObject } from "ebpf";
 * try {
 *   BpfObject.open("missing.bpf.o");
 * } catch (error) {
 *   if (error instanceof BpfError && error.code === "NOT_FOUND") console.error(error.message);
 *   else throw error;
 * }
 * ```
 */
export class BpfError extends Error {
  readonly code: BpfErrorCode;
  /** Positive errno, when the system gave one. */
  readonly errno: number | undefined;
  /** The libbpf function or system call that failed, when one did. */
  readonly operation: string | undefined;
  /** What libbpf printed while the operation ran; empty when it printed nothing. */
  readonly libbpfLog: readonly string[];

  constructor(init: BpfErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.errno = init.errno;
    this.operation = init.operation;
    this.libbpfLog = init.log ?? [];
  }

  static {
    // On the prototype, not on each error: an own `name` would be printed as a property.
    Object.defineProperty(BpfError.prototype, "name", { value: "BpfError", configurable: true, writable: true });
  }
}

export interface VerifierErrorInit extends Omit<BpfErrorInit, "code"> {
  readonly program: string;
  readonly reason: string;
  readonly sourceLine: string | undefined;
  readonly verifierLog: string;
}

/** The verifier rejected a program. The message starts with its reason and the C line it points to. */
export class VerifierError extends BpfError {
  /** Name of the rejected program. */
  readonly program: string;
  /** The verifier's own sentence, for example `invalid access to packet, off=0 size=8, R1(id=0,off=0,r=0)`. */
  readonly reason: string;
  /** The C line the reason points to, with file and line where the object has line information. */
  readonly sourceLine: string | undefined;
  /** The verifier's log, whole. */
  readonly log: string;

  constructor(init: VerifierErrorInit) {
    super({ ...init, code: "VERIFIER_REJECTED" });
    this.program = init.program;
    this.reason = init.reason;
    this.sourceLine = init.sourceLine;
    this.log = init.verifierLog;
    // Thousands of lines, and the message is above them: there for who asks, and not for whoever prints the error.
    for (const name of ["log", "libbpfLog"]) Object.defineProperty(this, name, { enumerable: false });
  }

  static {
    Object.defineProperty(VerifierError.prototype, "name", {
      value: "VerifierError",
      configurable: true,
      writable: true,
    });
  }
}

/** A use of something that was closed. */
export function closedError(what: string): BpfError {
  return new BpfError({ code: "CLOSED", message: `${what} is closed` });
}
