/** Whether the kernel has a type, by trying. */
import { native } from "../native.js";
import { AttachType, MapType, ProgramType } from "./abi.js";
import { errno } from "./errno.js";

/**
 * 1 it has, 0 it has not, negative errno when it cannot be told. Libbpf from 1.4 asks for a struct_ops in a way that kernels before 6.9 do not understand,
 * and takes that for a no: its programs came with it, and are not asked for in that way.
 */
export function probeMapType(type: number): number {
  return type === MapType.structOps ? native().probeProgramType(ProgramType.structOps) : native().probeMapType(type);
}

type AttachTypeName = keyof typeof AttachType;

/** Programs that are about something of the kernel's, and what every kernel that has them offers them. */
const TARGETS: Partial<Record<AttachTypeName, { readonly program: "tracing" | "lsm"; readonly target: string }>> = {
  traceRawTp: { program: "tracing", target: "sched_switch" },
  traceFentry: { program: "tracing", target: "bpf_fentry_test1" },
  traceFexit: { program: "tracing", target: "bpf_fentry_test1" },
  // Of what may be modified, security hooks are on every kernel; bpf_modify_return_test is where errors may be injected.
  modifyReturn: { program: "tracing", target: "security_task_kill" },
  traceIter: { program: "tracing", target: "task" },
  lsmMac: { program: "lsm", target: "file_open" },
  lsmCgroup: { program: "lsm", target: "socket_post_create" },
};

/** The attach types that are probed by themselves, as a policy may refuse one and give another; of a program type, or all. */
export function probedAttachTypes(program?: keyof typeof ProgramType): AttachTypeName[] {
  return (Object.keys(TARGETS) as AttachTypeName[]).filter(
    (name) => program === undefined || TARGETS[name]?.program === program,
  );
}

/** 1 a program of it was loaded, 0 the kernel has none, -EPERM it was refused; undefined where it is not probed by itself, or has nothing to be about here. */
export function probeAttachType(name: AttachTypeName): number | undefined {
  const probe = TARGETS[name];
  if (probe === undefined) return undefined;
  const found = native().probeAttachType(ProgramType[probe.program], AttachType[name], probe.target);
  if (found === -errno.ENOENT) return undefined;
  return found === 1 ? 1 : found === -errno.EPERM || found === -errno.EACCES ? -errno.EPERM : 0;
}
