/** From what the addon throws to a BpfError that says what was wrong and what to do. */
import { release } from "node:os";
import { BpfError, type BpfErrorCode, VerifierError } from "../errors.js";
import type { NativeFailure } from "../native.js";
import { ENOTSUPP } from "./abi.js";
import { errno, errnoName } from "./errno.js";
import { lackedCapabilities, unprivilegedBpf } from "./process.js";
import { explainVerifierReason } from "./refusal.js";
import { findFailedProgram, findProgramLog, readVerdict } from "./verifier_log.js";

/** What was being done, for the message: `load drops.bpf.o`, `attach on_verdict to nf_hook_slow`. */
export interface Attempt {
  readonly doing: string;
  /** What an errno means in this very operation, before the general meaning is used. */
  readonly meanings?: Readonly<Record<number, Meaning>>;
}

export interface Meaning {
  readonly code: BpfErrorCode;
  readonly text: string;
}

export function isNativeFailure(error: unknown): error is NativeFailure {
  return (
    error instanceof Error &&
    typeof (error as Partial<NativeFailure>).errno === "number" &&
    Array.isArray((error as Partial<NativeFailure>).log)
  );
}

const GENERAL: Readonly<Record<number, Meaning>> = {
  [errno.EPERM]: {
    code: "PERMISSION_DENIED",
    text: "the kernel refused it: this needs root, or CAP_BPF with CAP_PERFMON (tracing) or CAP_NET_ADMIN (networking) (Linux 5.8); a security policy (lockdown, seccomp, a container's profile) refuses the same way",
  },
  [errno.EACCES]: { code: "PERMISSION_DENIED", text: "access was denied" },
  [errno.ENOENT]: { code: "NOT_FOUND", text: "it does not exist" },
  [errno.EINVAL]: {
    code: "SYSTEM",
    text: "the kernel found an argument invalid, or is too old to know what was asked for",
  },
  [errno.EEXIST]: { code: "EXISTS", text: "it exists already" },
  [errno.EBUSY]: { code: "BUSY", text: "it is in use" },
  [errno.E2BIG]: { code: "FULL", text: "there is no room for more" },
  [errno.ENOSPC]: { code: "FULL", text: "there is no room for more" },
  [errno.ENOMEM]: { code: "SYSTEM", text: "out of memory, or of the cgroup's or memlock's share of it" },
  [errno.EOPNOTSUPP]: { code: "KERNEL_UNSUPPORTED", text: "this kernel, or the libbpf in use, does not support it" },
  [ENOTSUPP]: {
    code: "KERNEL_UNSUPPORTED",
    text: "this kernel does not support it on this architecture or with this configuration",
  },
  [errno.ESRCH]: { code: "NOT_FOUND", text: "nothing of that name was found in the kernel" },
  [errno.EMFILE]: {
    code: "FULL",
    text: "this process has as many files open as it may (ulimit -n), and every map, program and link is one",
  },
  [errno.ENFILE]: { code: "FULL", text: "there are as many files open as the system allows (fs.file-max)" },
  [errno.EBADF]: { code: "CLOSED", text: "the descriptor is not open, or not of the right kind" },
};

/** Of what looks at everything in the kernel, by id: the narrower capabilities do not do. */
export const BY_ID: Readonly<Record<number, Meaning>> = {
  [errno.EPERM]: {
    code: "PERMISSION_DENIED",
    text: "the kernel refused it: what anybody has loaded may be seen by root, or with CAP_SYS_ADMIN, only",
  },
};

/** Lines that say only that it failed. */
const EMPTY_WORDS = [
  /PROG LOAD LOG/,
  /^Error in bpf_object__probe_loading/,
  /^failed to load (object|BPF skeleton)/,
  /^prog '[^']*': failed to (prepare load attributes|load)\b/,
];

/** Of libbpf's messages, which end in newlines and repeat its name, the first that says what failed: the others follow from it. */
function telling(log: readonly string[]): string | undefined {
  const lines = log
    .map((line) => line.trim().replace(/^libbpf: /, ""))
    .filter((line) => line !== "" && !line.includes("\n"));
  const useful = lines.filter((line) => EMPTY_WORDS.every((words) => !words.test(line)));
  return (
    useful.find((line) => /fail|error|can't|cannot|not found|invalid|unsupported|unknown|unrecognized/i.test(line)) ??
    useful.at(-1) ??
    lines.at(-1)
  );
}

/** Which kernel this is, where the text says which it should be. */
function ranOn({ code, text }: Meaning): string {
  return code === "KERNEL_UNSUPPORTED" && /\b\d+\.\d+\b/.test(text) && !text.includes(release())
    ? `; this is ${release()}`
    : "";
}

/** What of that this process does not have, and whether anybody may without. */
function whatIsLacking(): string {
  const missing = lackedCapabilities("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN");
  if (missing.length === 0) return "";
  const forAll =
    !missing.includes("CAP_BPF") || unprivilegedBpf() !== false
      ? ""
      : ", and kernel.unprivileged_bpf_disabled leaves nothing without";
  return `; this process has no ${missing.join(", ")}${forAll}`;
}

/** Turns an error of node:fs that means nothing in particular into the error users see. */
export function explainFile(cause: unknown, doing: string): BpfError {
  const number = Math.abs((cause as NodeJS.ErrnoException).errno ?? 0);
  const { code, text } = GENERAL[number] ?? { code: "SYSTEM" as const, text: (cause as Error).message };
  return new BpfError({ code, message: `cannot ${doing}: ${text} (${errnoName(number)})`, errno: number, cause });
}

/** Turns a failure of the addon into the error users see. Anything else passes through unchanged. */
export function explain(failure: unknown, attempt: Attempt): Error {
  if (!isNativeFailure(failure)) return failure instanceof Error ? failure : new Error(String(failure));
  // The error that is made of it has the log: whoever prints that with its cause need not see it twice.
  Object.defineProperty(failure, "log", { enumerable: false });
  const verifier = explainVerifier(failure, attempt);
  if (verifier !== undefined) return verifier;
  const meaning = attempt.meanings?.[failure.errno] ?? GENERAL[failure.errno];
  const warning = telling(failure.log);
  const name = errnoName(failure.errno);
  const said = warning === undefined ? "" : `; libbpf: ${warning}`;
  const lacks = meaning === GENERAL[errno.EPERM] ? whatIsLacking() : "";
  const text = meaning === undefined ? name : `${meaning.text}${lacks}${ranOn(meaning)} (${name})`;
  return new BpfError({
    code: meaning?.code ?? "SYSTEM",
    message: `cannot ${attempt.doing}: ${text}${said}`,
    errno: failure.errno,
    operation: failure.operation,
    log: failure.log,
    cause: failure,
  });
}

/** A VerifierError when the failure is a program that the verifier looked at and rejected. */
function explainVerifier(failure: NativeFailure, attempt: Attempt): VerifierError | undefined {
  const found = findProgramLog(failure.log);
  if (found === undefined) return undefined;
  const verdict = readVerdict(found.log);
  // The log also comes, without a reason of the verifier's, when the kernel refuses before or after verification.
  if (verdict.reason === "") return undefined;
  const from = verdict.reachedFrom === undefined ? "" : `\n    reached from: ${verdict.reachedFrom}`;
  const where = verdict.sourceLine === undefined ? "" : `\n    at: ${verdict.sourceLine}${from}`;
  const meant = explainVerifierReason(verdict.reason);
  const hint = meant === undefined ? "" : `\n    ${meant}`;
  return new VerifierError({
    message: `${verdict.reason}${where}${hint}\n    cannot ${attempt.doing}: the verifier rejected program "${found.program}" (${errnoName(failure.errno)}); the whole log is in .log`,
    errno: failure.errno,
    operation: failure.operation,
    log: failure.log,
    cause: failure,
    program: found.program,
    reason: verdict.reason,
    sourceLine: verdict.sourceLine,
    verifierLog: found.log,
  });
}

/** The program a failed load stumbled over, when libbpf says. */
export function failedProgram(error: unknown): string | undefined {
  if (error instanceof VerifierError) return error.program;
  if (error instanceof BpfError) return findFailedProgram(error.libbpfLog);
  return undefined;
}

/** Runs a native call; what it throws is explained. */
export function attempt<T>(what: Attempt, call: () => T): T {
  try {
    return call();
  } catch (failure) {
    throw explain(failure, what);
  }
}
