/** Which kernel has what an object uses: by its programs' types and sections, its maps' types, its data and its externs. */
import { MapType, ProgramType } from "../kernel/abi.js";

export interface Requirement {
  readonly feature: string;
  /** The first kernel with it; undefined for what a version does not tell. */
  readonly since: string | undefined;
  /** What of the object needs it. */
  readonly because: string;
}

type Since = readonly [feature: string, since: string];

/** Kernel versions: man bpf-helpers, the commits that added each type; the kernel never takes one away. */
const PROGRAMS: Readonly<Record<number, Since>> = {
  [ProgramType.socketFilter]: ["socket filter programs", "3.19"],
  [ProgramType.kprobe]: ["kprobe programs", "4.1"],
  [ProgramType.schedCls]: ["tc classifiers", "4.1"],
  [ProgramType.schedAct]: ["tc actions", "4.1"],
  [ProgramType.tracepoint]: ["tracepoint programs", "4.7"],
  [ProgramType.xdp]: ["XDP programs", "4.8"],
  [ProgramType.perfEvent]: ["perf event programs", "4.9"],
  [ProgramType.cgroupSkb]: ["cgroup skb programs", "4.10"],
  [ProgramType.cgroupSock]: ["cgroup sock programs", "4.10"],
  [ProgramType.lwtIn]: ["LWT programs", "4.10"],
  [ProgramType.lwtOut]: ["LWT programs", "4.10"],
  [ProgramType.lwtXmit]: ["LWT programs", "4.10"],
  [ProgramType.sockOps]: ["sockops programs", "4.13"],
  [ProgramType.skSkb]: ["sk_skb programs", "4.14"],
  [ProgramType.cgroupDevice]: ["cgroup device programs", "4.15"],
  [ProgramType.skMsg]: ["sk_msg programs", "4.17"],
  [ProgramType.rawTracepoint]: ["raw tracepoint programs", "4.17"],
  [ProgramType.cgroupSockAddr]: ["cgroup socket address programs", "4.17"],
  [ProgramType.lwtSeg6local]: ["seg6local programs", "4.18"],
  [ProgramType.lircMode2]: ["lirc programs", "4.18"],
  [ProgramType.skReuseport]: ["sk_reuseport programs", "4.19"],
  [ProgramType.flowDissector]: ["flow dissector programs", "4.20"],
  [ProgramType.cgroupSysctl]: ["cgroup sysctl programs", "5.2"],
  [ProgramType.rawTracepointWritable]: ["writable raw tracepoint programs", "5.2"],
  [ProgramType.cgroupSockopt]: ["cgroup sockopt programs", "5.3"],
  [ProgramType.tracing]: ["tracing programs (fentry, fexit, tp_btf)", "5.5"],
  [ProgramType.structOps]: ["struct_ops programs", "5.6"],
  [ProgramType.ext]: ["program extensions (freplace)", "5.6"],
  [ProgramType.lsm]: ["LSM programs", "5.7"],
  [ProgramType.skLookup]: ["sk_lookup programs", "5.9"],
  [ProgramType.syscall]: ["syscall programs", "5.14"],
  [ProgramType.netfilter]: ["netfilter programs", "6.4"],
};

/** What a section asks for beyond its program's type. */
const SECTIONS: readonly (readonly [pattern: RegExp, feature: string, since: string])[] = [
  [/^kprobe\.multi|^kretprobe\.multi/, "kprobe.multi links", "5.18"],
  [/^kprobe\.session/, "kprobe sessions", "6.10"],
  [/^uprobe\.multi|^uretprobe\.multi/, "uprobe.multi links", "6.6"],
  [/^fmod_ret/, "fmod_ret programs", "5.7"],
  [/^iter(\.s)?\//, "BPF iterators", "5.8"],
  [/^lsm_cgroup/, "LSM programs on cgroups", "6.0"],
  [/^tcx\//, "tcx", "6.6"],
  [/^netkit\//, "netkit", "6.7"],
  [/^xdp\.frags/, "XDP on packets of several buffers", "5.18"],
  [/^xdp(\.frags)?\/devmap/, "XDP programs on a devmap", "5.8"],
  [/^xdp(\.frags)?\/cpumap/, "XDP programs on a cpumap", "5.9"],
  [/^(fentry|fexit|fmod_ret|lsm)\.s\//, "sleepable programs", "5.10"],
  [/^iter\.s\//, "sleepable iterators", "5.17"],
  [/^u(ret)?probe\.s/, "sleepable uprobes", "6.0"],
  [/^cgroup\/.*_unix$/, "cgroup programs on Unix sockets", "6.7"],
];

const MAPS: Readonly<Record<number, Since>> = {
  [MapType.hash]: ["hash maps", "3.19"],
  [MapType.array]: ["array maps", "3.19"],
  [MapType.progArray]: ["tail calls (program arrays)", "4.2"],
  [MapType.perfEventArray]: ["perf event arrays", "4.3"],
  [MapType.perCpuHash]: ["per-CPU hash maps", "4.6"],
  [MapType.perCpuArray]: ["per-CPU arrays", "4.6"],
  [MapType.stackTrace]: ["stack trace maps", "4.6"],
  [MapType.cgroupArray]: ["cgroup arrays", "4.8"],
  [MapType.lruHash]: ["LRU hash maps", "4.10"],
  [MapType.lruPerCpuHash]: ["per-CPU LRU hash maps", "4.10"],
  [MapType.lpmTrie]: ["LPM tries", "4.11"],
  [MapType.arrayOfMaps]: ["arrays of maps", "4.12"],
  [MapType.hashOfMaps]: ["hashes of maps", "4.12"],
  [MapType.devmap]: ["devmaps", "4.14"],
  [MapType.sockmap]: ["sockmaps", "4.14"],
  [MapType.cpumap]: ["cpumaps", "4.15"],
  [MapType.xskmap]: ["xskmaps", "4.18"],
  [MapType.sockhash]: ["sockhashes", "4.18"],
  [MapType.cgroupStorage]: ["cgroup storage", "4.19"],
  [MapType.reuseportSockarray]: ["reuseport socket arrays", "4.19"],
  [MapType.perCpuCgroupStorage]: ["per-CPU cgroup storage", "4.20"],
  [MapType.queue]: ["queues", "4.20"],
  [MapType.stack]: ["stacks", "4.20"],
  [MapType.skStorage]: ["socket storage", "5.2"],
  [MapType.devmapHash]: ["devmap hashes", "5.4"],
  [MapType.structOps]: ["struct_ops", "5.6"],
  [MapType.ringbuf]: ["ring buffers", "5.8"],
  [MapType.inodeStorage]: ["inode storage", "5.10"],
  [MapType.taskStorage]: ["task storage", "5.11"],
  [MapType.bloomFilter]: ["bloom filters", "5.16"],
  [MapType.userRingbuf]: ["user ring buffers", "6.1"],
  [MapType.cgrpStorage]: ["cgroup local storage", "6.2"],
  [MapType.arena]: ["arenas", "6.9"],
};

export function programRequirements(program: {
  readonly name: string;
  readonly type: number;
  readonly section: string;
}): Requirement[] {
  const because = `program ${program.name}`;
  const section = program.section.replace(/^\?/, "");
  const found: Requirement[] = [];
  const own = PROGRAMS[program.type];
  if (own !== undefined) found.push({ feature: own[0], since: own[1], because });
  for (const [pattern, feature, since] of SECTIONS) if (pattern.test(section)) found.push({ feature, since, because });
  return found;
}

export function mapRequirement(name: string, type: number, internal: boolean): Requirement[] {
  if (internal) return [{ feature: "global variables", since: "5.2", because: "data sections" }];
  const own = MAPS[type];
  return own === undefined ? [] : [{ feature: own[0], since: own[1], because: `map ${name}` }];
}

/** Needs of the object as a whole. */
export function sectionRequirements(
  externs: { readonly functions: readonly string[]; readonly variables: readonly string[] },
  relocations: number,
): Requirement[] {
  const found: Requirement[] = [];
  if (relocations > 0) {
    found.push({
      feature: "kernel BTF (CONFIG_DEBUG_INFO_BTF)",
      since: "5.4",
      because: `${relocations} CO-RE relocations; or open({ btfPath })`,
    });
  }
  for (const name of externs.functions)
    found.push({
      feature: `kernel function ${name}`,
      since: "5.13",
      because: "extern __ksym: kernels differ in which functions they offer",
    });
  for (const name of externs.variables)
    found.push({ feature: `kernel variable ${name}`, since: "5.10", because: "extern __ksym" });
  return found;
}

/** The newest of the kernels asked for. */
export function kernelOf(requirements: readonly Requirement[]): string {
  const number = (version: string) => version.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
  const versions = requirements.flatMap(({ since }) => (since === undefined ? [] : [since]));
  return versions.reduce((newest, version) => (number(version) > number(newest) ? version : newest), "3.19");
}
