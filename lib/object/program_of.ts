/** What a program can be attached to, by its section, for the compiler: the types' mirror of program/attach/by_section.ts. */
import type { Link } from "../link/link.js";
import type { AttachOptions } from "../program/attach/by_section.js";
import type { Program } from "../program/program.js";

/** `kprobe/tcp_connect` -> `kprobe`; `?` (not loaded by itself), `.s` (sleepable) and `.frags` are no part of the kind. */
type KindOf<Section extends string> = Section extends `?${infer Rest}`
  ? KindOf<Rest>
  : Section extends `${infer Kind}/${string}`
    ? PlainKind<Kind>
    : PlainKind<Section>;
type PlainKind<Kind extends string> = Kind extends `${infer Plain}.s` | `${infer Plain}.frags` ? Plain : Kind;

/** Kinds of sections with the methods that attach their programs, beside `attach`. */
interface Methods {
  kprobe: "attachKprobe" | "attachKretprobe" | "attachKsyscall" | "attachKretsyscall";
  kprobeMulti: "attachKprobeMulti";
  uprobe: "attachUprobe" | "attachUretprobe";
  uprobeMulti: "attachUprobeMulti";
  usdt: "attachUsdt";
  tracepoint: "attachTracepoint";
  rawTracepoint: "attachRawTracepoint";
  trace: "attachTrace";
  lsm: "attachLsm";
  iter: "attachIter";
  freplace: "attachFreplace";
  perfEvent: "attachPerfEvent";
  xdp: "attachXdp";
  tcx: "attachTcx" | "attachTc";
  netkit: "attachNetkit";
  netfilter: "attachNetfilter";
  cgroup: "attachCgroup";
  netns: "attachNetns";
  sockmap: "attachSockmap";
  socket: "attachSocketFilter" | "attachPacketSocket";
  reuseport: "attachReuseport";
  lwt: "attachLwt";
  /** Registered by their map, or only run. */
  none: never;
  /** Not known here: all there are. */
  other: AttachMethod;
}

/** Methods of Program that attach; what is not one of these every program has. */
type AttachMethod = Extract<keyof Program, `attach${string}`>;

type FamilyOf<Kind extends string> = Kind extends "kprobe" | "kretprobe" | "ksyscall" | "kretsyscall"
  ? "kprobe"
  : Kind extends "kprobe.multi" | "kretprobe.multi" | "kprobe.session"
    ? "kprobeMulti"
    : Kind extends "uprobe" | "uretprobe"
      ? "uprobe"
      : Kind extends "uprobe.multi" | "uretprobe.multi" | "uprobe.session"
        ? "uprobeMulti"
        : Kind extends "usdt"
          ? "usdt"
          : Kind extends "tracepoint" | "tp"
            ? "tracepoint"
            : Kind extends "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w"
              ? "rawTracepoint"
              : Kind extends "fentry" | "fexit" | "fmod_ret" | "tp_btf"
                ? "trace"
                : Kind extends "sockops" | "lsm_cgroup" | `cgroup${string}`
                  ? "cgroup"
                  : RarerFamilyOf<Kind>;

type RarerFamilyOf<Kind extends string> = Kind extends
  | "lsm"
  | "iter"
  | "freplace"
  | "xdp"
  | "netkit"
  | "netfilter"
  | "usdt"
  | "socket"
  ? Kind
  : Kind extends "perf_event"
    ? "perfEvent"
    : Kind extends "tcx" | "tc" | "classifier" | "action"
      ? "tcx"
      : Kind extends "sk_lookup" | "flow_dissector"
        ? "netns"
        : Kind extends "sk_msg" | "sk_skb"
          ? "sockmap"
          : Kind extends "sk_reuseport"
            ? "reuseport"
            : Kind extends "lwt_in" | "lwt_out" | "lwt_xmit" | "lwt_seg6local"
              ? "lwt"
              : Kind extends "struct_ops" | "syscall"
                ? "none"
                : "other";

/** Where a program that attaches to a cgroup is to be attached. */
export interface CgroupAttachOptions {
  /** Path of a cgroup v2 directory. */
  readonly cgroup: string;
}

/** Where a program that attaches to a network device is to be attached. */
export interface DeviceAttachOptions {
  /** The device's name or index. */
  readonly device: string | number;
  /** Path of the network namespace that the device is in; by default this process's. */
  readonly netns?: string | undefined;
}

/** Where a program that attaches to a network namespace is to be attached. */
export interface NetnsAttachOptions {
  /** Path of the network namespace. */
  readonly netns: string;
}

/** Arguments of `attach()`, by what the section leaves open; `never` where it cannot say enough, and only a method can attach. */
type AttachArguments<Family extends keyof Methods, Section extends string> = Section extends `?${infer Rest}`
  ? AttachArguments<Family, Rest>
  : Family extends "cgroup"
    ? [options: CgroupAttachOptions]
    : Family extends "xdp"
      ? Section extends `${string}/devmap` | `${string}/cpumap`
        ? never
        : [options: DeviceAttachOptions]
      : Family extends "tcx" | "netkit"
        ? Section extends `${"tcx" | "netkit"}/${string}`
          ? [options: DeviceAttachOptions]
          : never
        : Family extends "netns"
          ? [options: NetnsAttachOptions]
          : Family extends "kprobe" | "kprobeMulti" | "tracepoint" | "rawTracepoint" | "trace" | "lsm" | "iter"
            ? Section extends `${string}/${string}`
              ? []
              : never
            : Family extends "uprobe" | "uprobeMulti" | "usdt"
              ? Section extends `${string}/${string}:${string}`
                ? []
                : never
              : Family extends "other"
                ? [options?: AttachOptions]
                : never;

interface BySection<Arguments extends unknown[]> {
  /** Attaches as the section says. */
  attach(...options: Arguments): Link;
}

/**
 * A program of a loaded object, known by its section: it has the `attach` methods that fit it, with the options that it needs.
 *
 * @example
 * ```ts
 * import type { ProgramOf } from "ebpf/skeleton";
 * declare const flows: ProgramOf<"sockops">;
 * flows.attach({ cgroup: "/sys/fs/cgroup/web" }); // without the cgroup this does not compile
 * ```
 */
export type ProgramOf<Section extends string> = ProgramOfFamily<Section, FamilyOf<KindOf<Section>>>;

/** `section` is without the `?`, as at run time. */
type Place<Section extends string> = Section extends `?${infer Rest}`
  ? { readonly section: Rest; readonly optional: true }
  : { readonly section: Section; readonly optional: false };

type ProgramOfFamily<Section extends string, Family extends keyof Methods> = Omit<
  Program,
  AttachMethod | "section" | "optional"
> &
  Pick<Program, Exclude<Methods[Family], "attach">> &
  Place<Section> &
  ([AttachArguments<Family, Section>] extends [never] ? unknown : BySection<AttachArguments<Family, Section>>);
