/** What this kernel can do, and what this process may. */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { gunzipSync } from "node:zlib";
import { kernelBtf } from "../btf/sources.js";
import { AttachType, LinkType, MapType, ProgramType } from "../kernel/abi.js";
import { cgroup2Mount } from "../kernel/cgroup.js";
import { hasKprobes } from "../kernel/functions.js";
import { probeAttachType, probedAttachTypes, probeMapType } from "../kernel/probe.js";
import {
  type Capability,
  isRoot,
  jit,
  lockdown,
  memlockLimit,
  perfEventParanoid,
  processCapabilities,
  securityModules,
  unprivilegedBpf,
} from "../kernel/process.js";
import { ATTACH_TYPE_SINCE, LINK_TYPE_SINCE, MAP_TYPE_SINCE, PROGRAM_TYPE_SINCE, snakeCase } from "../kernel/since.js";
import { compareVersions, type KernelVersion, kernelAtLeast } from "../kernel/version.js";
import { native } from "../native.js";
import { checkOptions } from "../options.js";
import { helpersOf } from "./helpers.js";

/** `yes`; `no`: this kernel does not have it; `refused`: it has, and does not let this process. */
export type Support = "yes" | "no" | "refused";

export interface Feature {
  readonly support: Support;
  /** The kernel version that brought it. */
  readonly since: KernelVersion;
  /** The option that this kernel was built without, where its configuration can be read: `CONFIG_FPROBE` for kprobe.multi. */
  readonly missingConfig?: string;
}

/** Plain data, for `JSON.stringify()`. */
export interface Features {
  /** Release of the running kernel, for example `6.12.95+deb12-amd64`. */
  readonly kernel: string;
  readonly libbpf: { readonly version: string; readonly features: readonly string[] };
  /** By libbpf's names, such as `kprobe`; probed by loading the smallest program of each. */
  readonly programTypes: Readonly<Record<string, Feature>>;
  /** By libbpf's names, such as `lru_hash`; probed by making one of each. */
  readonly mapTypes: Readonly<Record<string, Feature>>;
  /**
   * By libbpf's names, such as `cgroup_inet4_connect`: known to the kernel (by its BTF, else its version), and its program type may be loaded. Those
   * of tracing and of security hooks are probed one by one, as a system may refuse `trace_fentry` and let `trace_raw_tp` be.
   */
  readonly attachTypes: Readonly<Record<string, Feature>>;
  /** By libbpf's names, such as `perf_event`: what can be pinned, updated and goes with the process. */
  readonly linkTypes: Readonly<Record<string, Feature>>;
  /** Helpers by program type; only with option `helpers`, for it takes some thousand probes. Types that cannot be probed are left out. */
  readonly helpers: Readonly<Record<string, readonly string[]>> | undefined;
  /** The kernel's own BTF, for CO-RE and fentry (CONFIG_DEBUG_INFO_BTF), and that of its modules. */
  readonly btf: { readonly vmlinux: boolean; readonly modules: boolean };
  readonly kprobes: boolean;
  readonly uprobes: boolean;
  /** Undefined when not known: this process is refused to make one. */
  readonly ringBuffer: boolean | undefined;
  readonly jit: "off" | "on" | "debug" | undefined;
  /** `none`, `integrity`, `confidentiality`; undefined when not known. */
  readonly lockdown: string | undefined;
  /** Whether LSM programs run: `bpf` is among the active security modules. Undefined when not known (securityfs is not mounted). */
  readonly bpfLsm: boolean | undefined;
  /** BPF tokens (6.9): BPF for processes without privileges, by a bpf file system of their user namespace. */
  readonly token: boolean;
  /** kernel.unprivileged_bpf_disabled is 0. */
  readonly unprivilegedBpf: boolean | undefined;
  readonly perfEventParanoid: number | undefined;
  readonly process: {
    readonly root: boolean;
    readonly capabilities: Readonly<Record<Capability, boolean>> | undefined;
    /** RLIMIT_MEMLOCK: bytes, null for no limit. Kernels from 5.11 do not count BPF against it. */
    readonly memlock: { readonly limit: number | null | undefined; readonly counts: boolean };
  };
  /** Where what BPF needs is mounted. */
  readonly mounts: {
    readonly bpf: readonly string[];
    readonly tracefs: string | undefined;
    readonly cgroup2: string | undefined;
  };
  /** The kernel's configuration of BPF and tracing; undefined where neither /proc/config.gz nor /boot has it. */
  readonly config: Readonly<Record<string, string>> | undefined;
}

export interface FeaturesOptions {
  /** Probe again; by default the first answer is kept. */
  readonly refresh?: boolean | undefined;
  /** Also the helpers of each program type: some seconds. */
  readonly helpers?: boolean | undefined;
}

type Config = Features["config"];

let known: Features | undefined;

/**
 * What this kernel can do, and what this process may. Takes some 50 ms the first time, and is then kept.
 *
 * Where the process may not load programs at all, types are `refused`.
 *
 * @example
 * ```ts
 * import { features } from "ebpf";
 * const { attachTypes, mapTypes } = features();
 * if (attachTypes.trace_fentry?.support !== "yes") console.log("no fentry here; it came with", attachTypes.trace_fentry?.since);
 * if (mapTypes.ringbuf?.support !== "yes") console.log("no ring buffer");
 * ```
 */
export function features(options: FeaturesOptions = {}): Features {
  checkOptions("features", options, { refresh: "boolean", helpers: "boolean" });
  if (known === undefined || options.refresh) known = probeAll();
  if (options.helpers && known.helpers === undefined) known = { ...known, helpers: helpersOf(known.programTypes) };
  return known;
}

function support(probed: number, since: KernelVersion): Support {
  if (probed === 1) return "yes";
  if (probed === 0) return "no";
  // EPERM and its kin: an old kernel says that of what it does not know, too.
  return kernelAtLeast(since) ? "refused" : "no";
}

/** What a table of the ABI has, by the kernel's names; with the option to blame where a kernel new enough does not have it. */
function featuresOf<Name extends string>(
  table: Readonly<Record<Name, number>>,
  since: Readonly<Record<Name, KernelVersion>>,
  config: Config,
  supportOf: (type: number, name: Name, since: KernelVersion) => Support,
): Record<string, Feature> {
  return Object.fromEntries(
    (Object.entries(table) as [Name, number][]).map(([name, type]) => {
      const found: Feature = { support: supportOf(type, name, since[name]), since: since[name] };
      const missingConfig =
        found.support === "no" && kernelAtLeast(found.since) ? withoutConfig(name, config) : undefined;
      return [snakeCase(name), missingConfig === undefined ? found : { ...found, missingConfig }];
    }),
  );
}

/** libbpf's probe takes a refusal of EPERM for "not supported": a second look, at whether this kernel should have it, tells them apart. */
function refusedOr(probed: number, since: KernelVersion, mayLoad: boolean): number {
  return probed === 0 && kernelAtLeast(since) && !mayLoad ? -1 : probed;
}

/** Values of an enum of the kernel's; undefined without its BTF. */
function kernelEnum(name: string): Set<number> | undefined {
  try {
    const btf = kernelBtf();
    const id = btf.find(name, "enum");
    if (id === undefined) return undefined;
    const type = btf.type(id);
    return type.kind === "enum"
      ? new Set(type.values.filter((value) => !/MAX/.test(value.name)).map(({ value }) => value))
      : undefined;
  } catch {
    return undefined;
  }
}

/** Program types of attach types, where libbpf's names do not begin alike. */
function programTypeOf(attachType: string): keyof typeof ProgramType | undefined {
  if (/^cgroupInet(In|E)gress$/.test(attachType)) return "cgroupSkb";
  if (/^cgroupInet(Sock|[46]PostBind)/.test(attachType)) return "cgroupSock";
  if (/^cgroupSockOps$/.test(attachType)) return "sockOps";
  if (/^cgroup(Device|Sysctl)$/.test(attachType)) return attachType as "cgroupDevice";
  if (/^cgroup[GS]etsockopt$/.test(attachType)) return "cgroupSockopt";
  if (/^cgroup/.test(attachType)) return "cgroupSockAddr";
  if (/^skSkb/.test(attachType)) return "skSkb";
  if (attachType === "skMsgVerdict") return "skMsg";
  if (/^trace(RawTp|Fentry|Fexit|Iter)$|^modifyReturn$/.test(attachType)) return "tracing";
  if (/^trace(Kprobe|Uprobe)/.test(attachType)) return "kprobe";
  if (/^lsm/.test(attachType)) return "lsm";
  if (/^xdp/.test(attachType)) return "xdp";
  if (/^(tcx|netkit)/.test(attachType)) return "schedCls";
  if (/^skReuseport/.test(attachType)) return "skReuseport";
  return (["lircMode2", "flowDissector", "skLookup", "perfEvent", "structOps", "netfilter"] as const).find(
    (name) => name === attachType,
  );
}

/** What a type needs the kernel to be built with, beside BPF itself. */
const CONFIG: Readonly<Record<string, string>> = {
  lsm: "CONFIG_BPF_LSM",
  lwtIn: "CONFIG_LWTUNNEL_BPF",
  lwtOut: "CONFIG_LWTUNNEL_BPF",
  lwtXmit: "CONFIG_LWTUNNEL_BPF",
  traceKprobeMulti: "CONFIG_FPROBE",
  traceKprobeSession: "CONFIG_FPROBE",
  kprobeMulti: "CONFIG_FPROBE",
  traceUprobeMulti: "CONFIG_UPROBES",
  traceUprobeSession: "CONFIG_UPROBES",
  uprobeMulti: "CONFIG_UPROBES",
  netkitPrimary: "CONFIG_NETKIT",
  netkitPeer: "CONFIG_NETKIT",
  netkit: "CONFIG_NETKIT",
  lircMode2: "CONFIG_BPF_LIRC_MODE2",
  netfilter: "CONFIG_NETFILTER_BPF_LINK",
};

/** Of the attach types that are probed by themselves. */
type Probed = Readonly<Partial<Record<keyof typeof AttachType, number | undefined>>>;

function probeAttachTypes(
  programTypes: Readonly<Record<string, Feature>>,
  probed: Probed,
  config: Config,
): Record<string, Feature> {
  const values = kernelEnum("bpf_attach_type");
  return featuresOf(AttachType, ATTACH_TYPE_SINCE, config, (type, name, since) => {
    if (!isBuilt(name, values?.has(type), since, config)) return "no";
    const found = probed[name];
    if (found !== undefined) return support(found, since);
    const program = programTypeOf(name);
    return program === undefined ? "yes" : (programTypes[snakeCase(program)]?.support ?? "no");
  });
}

function probeLinkTypes(config: Config): Record<string, Feature> {
  const values = kernelEnum("bpf_link_type");
  return featuresOf(LinkType, LINK_TYPE_SINCE, config, (type, name, since) => {
    // The number came with 5.19, for the kernel's own use (kernel/bpf/bpf_struct_ops.c); the link itself with 6.4.
    const has = name === "structOps" ? kernelAtLeast(since) : values?.has(type);
    return isBuilt(name, has, since, config) ? "yes" : "no";
  });
}

/** What the kernel knows by its BTF (`has`; undefined without BTF: then its version says it) and was built with, it has. */
function isBuilt(name: string, has: boolean | undefined, since: KernelVersion, config: Config): boolean {
  return (has ?? kernelAtLeast(since)) && withoutConfig(name, config) === undefined;
}

function withoutConfig(name: string, config: Config): string | undefined {
  const option = CONFIG[name];
  return option !== undefined && config !== undefined && config[option] === undefined ? option : undefined;
}

/** `CONFIG_BPF...` and what else BPF depends on, as far as it is set. */
const INTERESTING =
  /^CONFIG_(\w*BPF\w*|KPROBES|UPROBES|FPROBE|FTRACE|FUNCTION_TRACER|DYNAMIC_FTRACE\w*|DEBUG_INFO_BTF\w*|CGROUPS|NETKIT|NET_XGRESS|NET_CLS_ACT|NET_SCH_INGRESS|LWTUNNEL\w*|XDP_SOCKETS|SECURITY|SECURITY_LOCKDOWN_LSM|LSM|FUNCTION_ERROR_INJECTION|TRACEPOINTS|PERF_EVENTS|HZ)$/;

function kernelConfig(): Record<string, string> | undefined {
  const sources = [
    () => gunzipSync(readFileSync("/proc/config.gz")).toString("latin1"),
    () => readFileSync(`/boot/config-${release()}`, "latin1"),
    () => readFileSync(`/lib/modules/${release()}/config`, "latin1"),
  ];
  for (const source of sources) {
    try {
      const found: Record<string, string> = {};
      for (const line of source().split("\n")) {
        const equals = line.indexOf("=");
        if (equals > 0 && INTERESTING.test(line.slice(0, equals)))
          found[line.slice(0, equals)] = line.slice(equals + 1).replace(/^"|"$/g, "");
      }
      return found;
    } catch {
      // Not there, or not readable.
    }
  }
  return undefined;
}

function mountsOf(type: string): string[] {
  try {
    return readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .flatMap((line) => (line.split(" ")[2] === type ? [line.split(" ")[1] as string] : []));
  } catch {
    return [];
  }
}

function probeAll(): Features {
  const addon = native();
  const config = kernelConfig();
  const capabilities = processCapabilities();
  // A program that every kernel since 3.19 takes: what is refused with it is refused for lack of privilege.
  const mayLoad = addon.probeProgramType(ProgramType.socketFilter) === 1;
  const attachable: Probed = Object.fromEntries(probedAttachTypes().map((name) => [name, probeAttachType(name)]));
  const programTypes = featuresOf(ProgramType, PROGRAM_TYPE_SINCE, config, (type, name, since) => {
    // libbpf asks for tracing by fentry alone.
    const probed = probedAttachTypes(name).some((attach) => attachable[attach] === 1)
      ? 1
      : addon.probeProgramType(type);
    // Tracing, extensions and security hooks are in every kernel since then that has BTF: where it has, "no" is a refusal.
    const refusable = name === "tracing" || name === "ext" || name === "lsm";
    const refused =
      refusable &&
      probed === 0 &&
      kernelAtLeast(since) &&
      existsSync("/sys/kernel/btf/vmlinux") &&
      (name !== "lsm" || config?.["CONFIG_BPF_LSM"] === "y");
    return support(refused ? -1 : refusedOr(probed, since, mayLoad), since);
  });
  const mapTypes = featuresOf(MapType, MAP_TYPE_SINCE, config, (type, _name, since) =>
    support(refusedOr(probeMapType(type), since, mayLoad), since),
  );
  const tracefs = [
    ...mountsOf("tracefs"),
    ...(existsSync("/sys/kernel/debug/tracing/events") ? ["/sys/kernel/debug/tracing"] : []),
  ][0];
  const limit = memlockLimit();
  return {
    kernel: release(),
    libbpf: { version: addon.libbpfVersion, features: addon.libbpfFeatures },
    programTypes,
    mapTypes,
    attachTypes: probeAttachTypes(programTypes, attachable, config),
    linkTypes: probeLinkTypes(config),
    helpers: undefined,
    btf: {
      vmlinux: existsSync("/sys/kernel/btf/vmlinux"),
      modules: kernelAtLeast("5.11") && config?.["CONFIG_DEBUG_INFO_BTF_MODULES"] !== undefined,
    },
    kprobes: hasKprobes(),
    uprobes: existsSync("/sys/bus/event_source/devices/uprobe/type"),
    ringBuffer: mapTypes["ringbuf"]?.support === "refused" ? undefined : mapTypes["ringbuf"]?.support === "yes",
    jit: jit(),
    lockdown: lockdown(),
    bpfLsm: securityModules()?.includes("bpf"),
    token: kernelAtLeast("6.9") && addon.libbpfFeatures.includes("token"),
    unprivilegedBpf: unprivilegedBpf(),
    perfEventParanoid: perfEventParanoid(),
    process: {
      root: isRoot(),
      capabilities,
      memlock: {
        limit: limit === Number.POSITIVE_INFINITY ? null : limit,
        counts: compareVersions(release(), "5.11") < 0,
      },
    },
    mounts: { bpf: mountsOf("bpf"), tracefs, cgroup2: cgroup2Mount() },
    config,
  };
}
