/** What attaches through BTF: functions and tracepoints of the kernel, other BPF programs, security hooks. */
import { AttachType, ProgramType } from "../../kernel/abi.js";
import { errno } from "../../kernel/errno.js";
import type { Meaning } from "../../kernel/explain.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { checkOptions, checkString, invalid, shown } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { readProgramInfo } from "../program_info.js";
import { sectionKind, sectionTarget } from "../section.js";
import { COOKIE, type CookieOptions, cookieOf } from "./cookie.js";
import { AT_TRACEPOINT_ALREADY } from "./tracepoint.js";

/** A program to attach to: of this or of another object, or one from `ProgramHandle`. */
export interface TargetProgram {
  readonly fd: number;
  readonly name: string;
}

const TRACE: Meanings = {
  [errno.EBUSY]: { code: "BUSY", text: "this program is attached here already, or another replaces the function" },
  [errno.EEXIST]: AT_TRACEPOINT_ALREADY,
  [errno.E2BIG]: { code: "FULL", text: "the function has as many programs attached as the kernel allows (38)" },
  // bpf_tracing_prog_attach() of kernels before 5.13 has no trampoline left for a second time.
  ...(kernelAtLeast("5.13")
    ? {}
    : {
        [errno.ENOENT]: {
          code: "KERNEL_UNSUPPORTED",
          text: "this kernel attaches a loaded tracing or LSM program once (until 5.13): load the object again, or keep the link",
        },
      }),
};

function place(attacher: Attacher): { kind: string; target: string } {
  return { kind: sectionKind(attacher.section), target: sectionTarget(attacher.section) || attacher.section };
}

/**
 * What the program was attached to was a BPF program, and is no longer known: bpf_tracing_prog_attach() remembers what of the kernel a program is for, to
 * attach it again, and nothing else. Told since 5.17.
 */
function hasLostItsTarget(attacher: Attacher): boolean {
  const { attachBtfId, attachBtfObjectId } = readProgramInfo(attacher.owner.native().fd(), attacher.name);
  return attachBtfId !== 0 && attachBtfObjectId === 0;
}

function invalidTrace(attacher: Attacher, cookie: bigint): Meaning {
  if (hasLostItsTarget(attacher))
    return {
      code: "INVALID_STATE",
      text: "a program for another BPF program is attached once in its life: load the object again, or keep the link",
    };
  const text =
    cookie === 0n
      ? "this function cannot be traced"
      : "a cookie on fentry, fexit and fmod_ret needs kernel 6.0, on tp_btf 6.10";
  return { code: "KERNEL_UNSUPPORTED", text };
}

export function attachTrace(attacher: Attacher, options: CookieOptions): Link {
  const operation = `${attacher.name}.attachTrace`;
  checkOptions(operation, options, COOKIE);
  attacher.mustBe(operation, [ProgramType.tracing], "tracing");
  attacher.mustNotExpect(operation, [AttachType.traceIter], "fentry, fexit, fmod_ret and tp_btf");
  const cookie = cookieOf(options);
  return attacher.link(
    place(attacher),
    (native) => native.attachTrace(cookie),
    () => ({ ...TRACE, [errno.EINVAL]: invalidTrace(attacher, cookie) }),
  );
}

export function attachLsm(attacher: Attacher): Link {
  const operation = `${attacher.name}.attachLsm`;
  attacher.mustBe(operation, [ProgramType.lsm], "lsm");
  attacher.mustNotExpect(operation, [AttachType.lsmCgroup], "lsm");
  return attacher.link(place(attacher), (native) => native.attachLsm(), TRACE);
}

export function attachFreplace(attacher: Attacher, target: TargetProgram, functionName: string): Link {
  const operation = `${attacher.name}.attachFreplace`;
  if (typeof target !== "object" || target === null || typeof target.fd !== "number") {
    throw invalid(`${operation}: target must be a loaded program, got ${shown(target)}`);
  }
  checkString(operation, "function name", functionName);
  attacher.mustBe(operation, [ProgramType.ext], "ext (freplace)");
  return attacher.link(
    { kind: "freplace", target: `${target.name}:${functionName}` },
    (native) => native.attachFreplace(target.fd, functionName),
    {
      [errno.ENOENT]: {
        code: "NOT_FOUND",
        text: `${target.name} has no function ${functionName} in its BTF: it must be global (not static), and the object compiled with -g`,
      },
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: `${attacher.name} was not loaded against ${target.name}:${functionName}, or the functions' types differ: setAttachTarget() before load`,
      },
      [errno.EBUSY]: { code: "BUSY", text: `${target.name}:${functionName} is replaced already` },
    },
  );
}
