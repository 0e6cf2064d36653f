/** Which method attaches a program: what an error names where another was called. */
import { ProgramType } from "../kernel/abi.js";
import type { Program } from "./program.js";
import { needsCgroup, sectionKind, sectionTarget } from "./section.js";

type AttachMethod = Extract<keyof Program, `attach${string}`>;

/** By the section's kind, without `.s` and `.frags`. */
const BY_KIND: Readonly<Record<string, readonly AttachMethod[]>> = {
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
};

/** By the type, where the kinds of its sections are attached alike. */
const BY_TYPE: Readonly<Record<number, readonly AttachMethod[]>> = {
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
};

/** `attachTc() or attachTcx()`; for what no method attaches, what does run it. */
export function methodFor(type: number, section: string): string {
  if (type === ProgramType.structOps) return "object.attachStructOps(), with the name of the map that it is in";
  if (type === ProgramType.syscall) return "testRun(): it is run, not attached";
  if (/^(devmap|cpumap)$/.test(sectionTarget(section)) && type === ProgramType.xdp)
    return "an entry of such a map, which runs it: it is not attached";
  if (needsCgroup(section)) return "attachCgroup()";
  const methods = BY_KIND[sectionKind(section).replace(/\.s$/, "")] ?? BY_TYPE[type];
  return methods === undefined ? "another method" : methods.map((method) => `${method}()`).join(" or ");
}
