/** Which method attaches a program: what an error names where another was called. */
import { ProgramType } from "../kernel/abi.js";
import { needsCgroup, sectionKind, sectionTarget } from "./section.js";

type AttachMethod = `attach${string}`;

/** By the section's kind, without `.s` and `.frags`. */
const BY_KIND = {
  kprobe: ["attachKprobe"],
  kretprobe: ["attachKretprobe"],
  ksyscall: ["attachKsyscall"],
  kretsyscall: ["attachKretsyscall"],
  "kprobe.multi": ["attachKprobeMulti"],
  "kretprobe.multi": ["attachKprobeMulti"],
  "kprobe.session": ["attachKprobeMulti"],
  uprobe: ["attachUprobe"],
  uretprobe: ["attachUretprobe"],
  "uprobe.multi": ["attachUprobeMulti"],
  "uretprobe.multi": ["attachUprobeMulti"],
  "uprobe.session": ["attachUprobeMulti"],
  usdt: ["attachUsdt"],
  tcx: ["attachTcx"],
  netkit: ["attachNetkit"],
  iter: ["attachIter"],
} as const satisfies Record<string, readonly AttachMethod[]>;

/** By the type, where the kinds of its sections are attached alike. */
const BY_TYPE = {
  [ProgramType.kprobe]: ["attachKprobe", "attachUprobe"],
  [ProgramType.tracepoint]: ["attachTracepoint"],
  [ProgramType.rawTracepoint]: ["attachRawTracepoint"],
  [ProgramType.rawTracepointWritable]: ["attachRawTracepoint"],
  [ProgramType.tracing]: ["attachTrace"],
  [ProgramType.lsm]: ["attachLsm"],
  [ProgramType.ext]: ["attachFreplace"],
  [ProgramType.perfEvent]: ["attachPerfEvent"],
  [ProgramType.xdp]: ["attachXdp"],
  [ProgramType.schedCls]: ["attachTc", "attachTcx"],
  [ProgramType.netfilter]: ["attachNetfilter"],
  [ProgramType.skLookup]: ["attachNetns"],
  [ProgramType.flowDissector]: ["attachNetns"],
  [ProgramType.skMsg]: ["attachSockmap"],
  [ProgramType.skSkb]: ["attachSockmap"],
  [ProgramType.socketFilter]: ["attachSocketFilter", "attachPacketSocket"],
  [ProgramType.skReuseport]: ["attachReuseport"],
  [ProgramType.lwtIn]: ["attachLwt"],
  [ProgramType.lwtOut]: ["attachLwt"],
  [ProgramType.lwtXmit]: ["attachLwt"],
  [ProgramType.lwtSeg6local]: ["attachLwt"],
} as const satisfies Record<number, readonly AttachMethod[]>;

/** Every method that is named here: a `Program` has them all, which test/types holds. */
export type NamedMethod =
  | (typeof BY_KIND)[keyof typeof BY_KIND][number]
  | (typeof BY_TYPE)[keyof typeof BY_TYPE][number];

function lookUp<T>(table: Readonly<Record<string, T>>, key: string | number): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** `attachTc() or attachTcx()`; for what no method attaches, what does run it. */
export function methodFor(type: number, section: string): string {
  if (type === ProgramType.structOps) return "object.attachStructOps(), with the name of the map that it is in";
  if (type === ProgramType.syscall) return "testRun(): it is run, not attached";
  if (/^(devmap|cpumap)$/.test(sectionTarget(section)) && type === ProgramType.xdp)
    return "an entry of such a map, which runs it: it is not attached";
  if (needsCgroup(section)) return "attachCgroup()";
  const methods: readonly AttachMethod[] | undefined =
    lookUp<readonly AttachMethod[]>(BY_KIND, sectionKind(section).replace(/\.s$/, "")) ??
    lookUp<readonly AttachMethod[]>(BY_TYPE, type);
  return methods === undefined ? "another method" : methods.map((method) => `${method}()`).join(" or ");
}
