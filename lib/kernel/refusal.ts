/** Why the kernel refused a program, told with what it and this process can do. */

import { release } from "node:os";
import type { BpfErrorCode } from "../errors.js";
import { native } from "../native.js";
import { AttachType, ENOTSUPP, MapType, ProgramType } from "./abi.js";
import { errno } from "./errno.js";
import { probeAttachType, probeMapType } from "./probe.js";
import { isRoot, lackedCapabilities, lockdown } from "./process.js";
import {
  ATTACH_TYPE_SINCE,
  helperSince,
  INSTRUCTION_SINCE,
  MAP_TYPE_SINCE,
  PROGRAM_TYPE_SINCE,
  snakeCase,
} from "./since.js";
import { compareVersions, type KernelVersion, kernelAtLeast } from "./version.js";

/** A reason, in the form that explain() takes. */
interface Reason {
  readonly code: BpfErrorCode;
  readonly text: string;
}

export interface RefusedProgram {
  readonly name: string;
  readonly section: string;
  readonly type: number;
  readonly expectedAttachType: number;
}

const TRACING: readonly number[] = [
  ProgramType.kprobe,
  ProgramType.tracepoint,
  ProgramType.perfEvent,
  ProgramType.rawTracepoint,
  ProgramType.rawTracepointWritable,
  ProgramType.tracing,
  ProgramType.lsm,
  ProgramType.ext,
];

/** What to use in place of a type that this kernel lacks. */
const INSTEAD: Partial<Record<keyof typeof ProgramType, string>> = {
  lsm: "a kprobe, which sees but cannot refuse",
  netfilter: "tc or XDP",
  syscall: "a raw tracepoint program, which can be run too (5.10)",
  ext: "a tail call through a prog_array",
};

const INSTEAD_OF_ATTACH: Partial<Record<keyof typeof AttachType, string>> = {
  traceFentry: "a kprobe",
  traceFexit: "a kprobe with a kretprobe",
  traceRawTp: "a raw tracepoint (section raw_tp)",
  traceKprobeMulti: "section kprobe with attachKprobeMulti(), which attaches one by one",
  traceKprobeSession: "a kprobe and a kretprobe",
  traceUprobeMulti: "a uprobe each",
  traceUprobeSession: "a uprobe and a uretprobe",
  tcxIngress: "section tc with attachTc()",
  tcxEgress: "section tc with attachTc()",
  skSkbVerdict: "section sk_skb/stream_verdict",
  lsmCgroup: "section lsm, which is for the whole system",
};

function nameOf<T extends Readonly<Record<string, number>>>(table: T, number: number): keyof T | undefined {
  return Object.keys(table).find((name) => table[name] === number);
}

/** Only where it has one: 0 is an attach type too. */
function attachTypeOf(program: RefusedProgram): keyof typeof AttachType | undefined {
  return program.expectedAttachType === 0 ? undefined : nameOf(AttachType, program.expectedAttachType);
}

function insteadOf(
  attach: keyof typeof AttachType | undefined,
  type: keyof typeof ProgramType | undefined,
): string | undefined {
  return (
    (attach === undefined ? undefined : INSTEAD_OF_ATTACH[attach]) ?? (type === undefined ? undefined : INSTEAD[type])
  );
}

function instead(hint: string | undefined): string {
  return hint === undefined ? "" : `; use ${hint}`;
}

function probe(type: number): number {
  try {
    return native().probeProgramType(type);
  } catch {
    return -errno.EPERM;
  }
}

function missing(what: string, since: KernelVersion | undefined, hint: string | undefined): Reason {
  const when =
    since === undefined || kernelAtLeast(since)
      ? "this kernel was built without it, or refuses it"
      : `it came with kernel ${since}, and this is ${release()}`;
  return { code: "KERNEL_UNSUPPORTED", text: `this kernel has no ${what}: ${when}${instead(hint)}` };
}

/** Which capabilities a program type asks for and this process lacks (Linux 5.8; CAP_SYS_ADMIN stands for all). */
function lacking(type: number): string[] {
  if (TRACING.includes(type)) return lackedCapabilities("CAP_BPF", "CAP_PERFMON");
  if (type === ProgramType.socketFilter) return lackedCapabilities("CAP_BPF");
  return lackedCapabilities("CAP_BPF", "CAP_NET_ADMIN");
}

/** EPERM: a capability, a policy, or a type that this system does not give to anybody. */
function refusedByPolicy(program: RefusedProgram): Reason {
  const type = nameOf(ProgramType, program.type);
  const named = type === undefined ? `type ${program.type}` : `type ${snakeCase(type)}`;
  const lack = lacking(program.type);
  if (lack.length > 0) {
    return {
      code: "PERMISSION_DENIED",
      text: `loading ${program.name} (${named}) needs root, or ${lack.join(" and ")}, which this process lacks`,
    };
  }
  const locked = lockdown();
  if (TRACING.includes(program.type) && locked === "confidentiality") {
    return {
      code: "PERMISSION_DENIED",
      text: `the kernel is locked down (confidentiality): programs of ${named} may not read its memory`,
    };
  }
  const attach = attachTypeOf(program);
  const probed = attach === undefined ? undefined : probeAttachType(attach);
  if ((probed ?? probe(program.type)) !== 1) {
    const all = probed === undefined || attach === undefined ? named : `${named} for ${snakeCase(attach)}`;
    return {
      code: "PERMISSION_DENIED",
      text: `this kernel refuses all programs of ${all} (${program.name}, section ${program.section}), though this process has the capabilities: a policy of the system or of the container${instead(insteadOf(attach, type))}`,
    };
  }
  return {
    code: "PERMISSION_DENIED",
    text: `the kernel refused ${program.name} (${named}): ${isRoot() ? "a security policy (seccomp, a security module, a container's profile)" : "this needs root"}`,
  };
}

/** Why a program was refused without a word of the verifier's; undefined when there is nothing to say beyond the errno. */
export function explainRefusal(program: RefusedProgram, code: number): Reason | undefined {
  if (code === errno.EPERM) return refusedByPolicy(program);
  if (code !== errno.EINVAL && code !== errno.EOPNOTSUPP && code !== ENOTSUPP && code !== errno.E2BIG) return undefined;
  const attach = attachTypeOf(program);
  const type = nameOf(ProgramType, program.type);
  if (
    attach !== undefined &&
    !kernelAtLeast(ATTACH_TYPE_SINCE[attach]) &&
    compareVersions(ATTACH_TYPE_SINCE[attach], "5.7") > 0
  ) {
    return missing(
      `attach type ${snakeCase(attach)} (${program.name}, section ${program.section})`,
      ATTACH_TYPE_SINCE[attach],
      insteadOf(attach, type),
    );
  }
  if (type !== undefined && probe(program.type) === 0) {
    return missing(
      `program type ${snakeCase(type)} (${program.name}, section ${program.section})`,
      PROGRAM_TYPE_SINCE[type],
      INSTEAD[type],
    );
  }
  return undefined;
}

/**
 * The verifier's `unknown func bpf_loop#181`, `program of this type cannot use helper bpf_loop#181`; and where it does not even know the
 * number, `invalid func unknown#181`.
 */
const HELPER = /(?:unknown func|invalid func|cannot use helper) (\w+)#(\d+)/;

/** How an older kernel speaks of instructions that it does not have. */
const NEWER_INSTRUCTIONS: readonly (readonly [pattern: RegExp, since: KernelVersion, what: string, instead: string])[] =
  [
    [
      // BPF_STX | BPF_ATOMIC, of 4 and of 8 bytes.
      /^(BPF_STX uses reserved fields|unknown opcode (c3|db)$)/,
      INSTRUCTION_SINCE["atomic operations other than additions without a result"],
      "an atomic operation that is no addition, or whose result is used,",
      "read the variable before or after `__sync_fetch_and_add(&variable, 1);`",
    ],
    [
      // BPF_LDX | BPF_MEMSX, BPF_JMP32 | BPF_JA; and fields that only newer moves, divisions and swaps fill.
      /^(BPF_(MOV|ALU|END|LDX|JA) uses reserved fields|unknown opcode (81|89|91|06|d7)$)/,
      INSTRUCTION_SINCE["sign-extending moves"],
      "an instruction of clang's -mcpu=v4",
      "compile with -mcpu=v3, as `ebpf build` does",
    ],
  ];

/** What a reason of the verifier's means for this kernel, and what to do: which one has the instruction; which one has the helper; how an array in a context is read. */
export function explainVerifierReason(reason: string): string | undefined {
  if (/^dereference of modified ctx ptr/.test(reason))
    return "a context's members are read one at a time, at fixed places; an array in it is copied by BPF_CORE_READ_INTO(&to, ctx, member)";
  for (const [pattern, since, what, instead] of NEWER_INSTRUCTIONS) {
    if (pattern.test(reason) && !kernelAtLeast(since))
      return `${what} came with kernel ${since}, and this is ${release()}: ${instead}`;
  }
  const [, known, number] = HELPER.exec(reason) ?? [];
  if (known === undefined || number === undefined) return undefined;
  const name = known === "unknown" ? `#${number} (enum bpf_func_id)` : known;
  const since = helperSince(Number(number));
  if (since === undefined) return undefined;
  if (!kernelAtLeast(since)) return `helper ${name} came with kernel ${since}, and this is ${release()}`;
  return `this kernel has helper ${name} (since ${since}), but not for programs of this type, or not for a licence that is not the GPL's`;
}

/** Why a map was refused; undefined when its type is there. */
export function explainMapRefusal(type: number): Reason | undefined {
  const name = nameOf(MapType, type);
  if (name === undefined || probeMapType(type) !== 0) return undefined;
  return missing(
    `map type ${snakeCase(name)}`,
    MAP_TYPE_SINCE[name],
    name === "ringbuf" ? "a perf event array" : undefined,
  );
}
