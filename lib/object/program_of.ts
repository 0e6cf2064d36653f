/** What a program can be attached to, by its section, for the compiler. */
import type { Link } from "../link/link.js";
import type { Program } from "../program/program.js";

/** `kprobe/tcp_connect` -> `kprobe`; `?` (not loaded by itself), `.s` (sleepable) and `.frags` are no part of the kind. */
type KindOf<Section extends string> = Section extends `?${infer Rest}`
  ? KindOf<Rest>
  : Section extends `${infer Kind}/${string}`
    ? PlainKind<Kind>
    : PlainKind<Section>;
type PlainKind<Kind extends string> = Kind extends `${infer Plain}.s` | `${infer Plain}.frags` ? Plain : Kind;

/** Kinds of programs by how they are attached. A kind that is in none of these has every method there is. */
type Kprobe = "kprobe" | "kretprobe";
type Tracepoint = "tracepoint" | "tp";
type RawTracepoint = "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w";
type Trace = "fentry" | "fexit" | "fmod_ret" | "tp_btf";
type Cgroup = "sockops" | `cgroup${string}`;

/** The methods for a kind, beside `attach`. */
type MethodsOf<Kind extends string> = Kind extends Kprobe
  ? "attachKprobe" | "attachKretprobe"
  : Kind extends Tracepoint
    ? "attachTracepoint"
    : Kind extends RawTracepoint
      ? "attachRawTracepoint"
      : Kind extends Trace
        ? "attachTrace"
        : Kind extends Cgroup
          ? "attachCgroup"
          : AttachMethod;

/** Methods of Program that attach; what is not one of these every program has. */
type AttachMethod = Extract<keyof Program, `attach${string}`>;

/** Where a program that attaches to a cgroup is to be attached. */
export interface CgroupAttachOptions {
  /** Path of a cgroup v2 directory. */
  readonly cgroup: string;
}

/** Arguments of `attach()`: those kinds whose section cannot say everything take options, and they are not optional. */
type AttachArguments<Kind extends string> = Kind extends Cgroup
  ? [options: CgroupAttachOptions]
  : Kind extends Kprobe | Tracepoint | RawTracepoint | Trace
    ? []
    : Parameters<Program["attach"]>;

/** Kinds that name their target after a slash, and can only be attached by a method where they do not. */
type NeedsTarget<Section extends string> =
  KindOf<Section> extends Kprobe | Tracepoint | RawTracepoint | Trace
    ? Section extends `${string}/${string}`
      ? false
      : true
    : false;

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
export type ProgramOf<Section extends string> = Omit<Program, AttachMethod | "section"> &
  Pick<Program, Extract<MethodsOf<KindOf<Section>>, keyof Program>> & {
    readonly section: Section;
  } & (NeedsTarget<Section> extends true
    ? unknown
    : {
        /** Attaches as the section says. */
        attach(...options: AttachArguments<KindOf<Section>>): Link;
      });
