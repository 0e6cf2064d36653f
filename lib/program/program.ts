import { BpfError } from "../errors.js";
import { ENOTSUPP, ProgramType } from "../kernel/abi.js";
import { withCgroup } from "../kernel/cgroup.js";
import { errno } from "../kernel/errno.js";
import { attempt, type Meaning } from "../kernel/explain.js";
import { functionMeanings } from "../kernel/functions.js";
import { Link, type LinkTarget } from "../link/link.js";
import type { NativeAddon, NativeLink, NativeProgram } from "../native.js";
import { checkOptions, checkString, integer, invalid, oneOf, u64 } from "../options.js";
import { programTypeName, type ProgramIdentity } from "./opened_program.js";

/** Options of {@link Program.attach}. */
export interface AttachOptions {
  /** For programs that attach to a cgroup (sockops and the cgroup sections): path of a cgroup v2 directory. */
  readonly cgroup?: string | undefined;
}

export interface CookieOptions {
  /** A u64 that the program reads with bpf_get_attach_cookie(). Minimum kernel 5.15. */
  readonly cookie?: number | bigint | undefined;
}

export interface KprobeOptions extends CookieOptions {
  /** Bytes from the function's start; must be the start of an instruction. */
  readonly offset?: number | undefined;
  /** How libbpf attaches: `link` (5.15), `perf` (4.17) or `legacy` (tracefs); by default the newest this kernel has. */
  readonly mode?: "link" | "perf" | "legacy" | undefined;
}

export interface TestRunOptions {
  /** The packet, for programs that see one; XDP and tc want at least 14 bytes. */
  readonly data?: Uint8Array | undefined;
  /** Bytes of room for the packet as the program leaves it; none comes back by default. */
  readonly dataRoom?: number | undefined;
  /** The context (`struct __sk_buff`, `struct xdp_md`, a raw tracepoint's arguments, ...), for program types that take one. */
  readonly context?: Uint8Array | undefined;
  /** Bytes of room for the context as the program leaves it. */
  readonly contextRoom?: number | undefined;
  /** How often to run it; by default once. */
  readonly repeat?: number | undefined;
  /** BPF_F_TEST_* flags. */
  readonly flags?: number | undefined;
}

export interface TestRunResult {
  /** What the program returned, the last time. */
  readonly returnValue: number;
  /** Mean nanoseconds of one run. */
  readonly durationNs: number;
  /** The packet as the program left it, if there was room. */
  readonly data: Uint8Array | undefined;
  readonly context: Uint8Array | undefined;
}

const COOKIE = { cookie: u64 } as const;
const BYTES = { wants: "a Uint8Array", accepts: (value: unknown) => value instanceof Uint8Array } as const;
const PROBE_MODES: Readonly<Record<string, number>> = { legacy: 1, perf: 2, link: 3 };

/** Who owns a program: told of each link, so that closing the object closes it. @internal */
export interface ProgramOwner {
  readonly addon: NativeAddon;
  adopt(link: Link): void;
  release(link: Link): void;
  /** The live native program. @throws BpfError CLOSED */
  native(): NativeProgram;
}

/**
 * A program of a loaded object.
 *
 * Each `attach...()` returns a {@link Link} that stays attached until it, or the object, is closed.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * using object = await BpfObject.load("probes.bpf.o");
 * const link = object.program("on_kill").attachTracepoint("syscalls", "sys_enter_kill");
 * link.close();
 * ```
 */
export class Program implements ProgramIdentity {
  readonly name: string;
  readonly section: string;
  readonly type: string;
  readonly #owner: ProgramOwner;
  readonly #typeNumber: number;

  /** @internal */
  constructor(owner: ProgramOwner) {
    this.#owner = owner;
    const native = owner.native();
    this.name = native.name;
    this.section = native.section;
    this.#typeNumber = native.type;
    this.type = programTypeName(owner.addon, native.type);
  }

  /** Whether the program is in the kernel: false when it was not to be loaded. */
  get loaded(): boolean {
    return this.#owner.native().fd() >= 0;
  }

  /** The program's descriptor, owned by the object. @throws BpfError CLOSED, INVALID_STATE when it was not loaded */
  get fd(): number {
    return this.#loaded("fd").fd();
  }

  /**
   * Attaches as the section says.
   * @throws BpfError INVALID_ARGUMENT when the section does not say enough: use the method for the kind of probe.
   */
  attach(options: AttachOptions = {}): Link {
    checkOptions(`${this.name}.attach`, options, { cgroup: "string" });
    if (needsCgroup(this.section)) {
      if (options.cgroup === undefined) {
        throw invalid(`${this.name} (section ${this.section}) attaches to a cgroup: say which, attach({ cgroup: "/sys/fs/cgroup/..." })`);
      }
      return this.attachCgroup(options.cgroup);
    }
    const target = sectionTarget(this.section);
    return this.#attach({ kind: sectionKind(this.section), target: target || this.section }, (native) => native.attach(), this.#sectionMeanings(target));
  }

  /**
   * Runs the program when a kernel function is entered (BPF_PROG_TYPE_KPROBE). Minimum kernel 4.1.
   * @throws BpfError NOT_FOUND (no such function), KERNEL_UNSUPPORTED (it may not be probed; no kprobes), INVALID_ARGUMENT
   */
  attachKprobe(functionName: string, options: KprobeOptions = {}): Link {
    return this.#attachKprobe("kprobe", functionName, options);
  }

  /** Runs the program when a kernel function returns; see {@link Program.attachKprobe}. Prefer fexit (5.5): a kretprobe may miss returns. */
  attachKretprobe(functionName: string, options: KprobeOptions = {}): Link {
    return this.#attachKprobe("kretprobe", functionName, options);
  }

  /** Runs the program at a tracepoint of tracefs, for example `("syscalls", "sys_enter_kill")`. Minimum kernel 4.7. */
  attachTracepoint(category: string, name: string, options: CookieOptions = {}): Link {
    const operation = `${this.name}.attachTracepoint`;
    checkString(operation, "category", category);
    checkString(operation, "name", name);
    checkOptions(operation, options, COOKIE);
    this.#mustBe(operation, [ProgramType.tracepoint], "tracepoint");
    return this.#attach({ kind: "tracepoint", target: `${category}:${name}` }, (native) => native.attachTracepoint(category, name, cookieOf(options)), {
      [errno.ENOENT]: { code: "NOT_FOUND", text: `this kernel has no tracepoint ${category}:${name}, or tracefs is not mounted at /sys/kernel/tracing` },
    });
  }

  /** Runs the program at a tracepoint, with its raw arguments. Minimum kernel 4.17. A cookie needs libbpf 1.5 and kernel 6.10. */
  attachRawTracepoint(name: string, options: CookieOptions = {}): Link {
    const operation = `${this.name}.attachRawTracepoint`;
    checkString(operation, "name", name);
    checkOptions(operation, options, COOKIE);
    this.#mustBe(operation, [ProgramType.rawTracepoint, ProgramType.rawTracepointWritable], "raw_tracepoint");
    const cookie = cookieOf(options);
    if (cookie !== 0n) this.#needsLibbpf("raw_tp_cookie", "a cookie on a raw tracepoint", "1.5");
    return this.#attach({ kind: "raw_tp", target: name }, (native) => native.attachRawTracepoint(name, cookie), {
      [errno.ENOENT]: { code: "NOT_FOUND", text: `this kernel has no tracepoint ${name}` },
    });
  }

  /**
   * Attaches an fentry, fexit, fmod_ret or tp_btf program to what it was verified against: its section's function, or
   * {@link OpenedProgram.setAttachTarget}. Minimum kernel 5.5. A cookie needs 6.0.
   */
  attachTrace(options: CookieOptions = {}): Link {
    const operation = `${this.name}.attachTrace`;
    checkOptions(operation, options, COOKIE);
    this.#mustBe(operation, [ProgramType.tracing], "tracing");
    const target = sectionTarget(this.section);
    return this.#attach(
      { kind: sectionKind(this.section), target: target || this.section },
      (native) => native.attachTrace(cookieOf(options)),
      this.#sectionMeanings(target),
    );
  }

  /**
   * Attaches to a cgroup v2 directory, for sockops and the other cgroup programs. The program then sees the sockets
   * and processes of that cgroup and of those below it. Minimum kernel 5.7 (as a link).
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT when the path is no cgroup v2 directory
   */
  attachCgroup(path: string): Link {
    const operation = `${this.name}.attachCgroup`;
    return withCgroup(operation, path, (fd) =>
      this.#attach({ kind: "cgroup", target: path }, (native) => native.attachCgroup(fd), {
        [errno.EINVAL]: {
          code: "KERNEL_UNSUPPORTED",
          text: `a ${this.type} program cannot be attached to a cgroup, or this kernel is older than 5.7`,
        },
      }),
    );
  }

  /**
   * Runs the program without attaching it (BPF_PROG_TEST_RUN), on this thread: the event loop waits. Minimum kernel 4.12; which
   * program types can depends on the kernel.
   * @throws BpfError KERNEL_UNSUPPORTED (not this program type), FULL (too little room), INVALID_ARGUMENT
   */
  testRun(options: TestRunOptions = {}): TestRunResult {
    const operation = `${this.name}.testRun`;
    checkOptions(operation, options, {
      data: BYTES,
      context: BYTES,
      dataRoom: integer(0, 0x7fffffff),
      contextRoom: integer(0, 0x7fffffff),
      repeat: integer(0, 0x7fffffff),
      flags: integer(0, 0xffffffff),
    });
    const native = this.#loaded("testRun");
    const dataOut = options.dataRoom ? new Uint8Array(options.dataRoom) : undefined;
    const contextOut = options.contextRoom ? new Uint8Array(options.contextRoom) : undefined;
    const result = attempt(
      {
        doing: `run ${this.name}`,
        meanings: {
          [ENOTSUPP]: { code: "KERNEL_UNSUPPORTED", text: `this kernel cannot run a ${this.type} program by itself` },
          [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: `a ${this.type} program cannot be run with this data and context` },
          [errno.ENOSPC]: { code: "FULL", text: "what the program left is larger than dataRoom or contextRoom" },
        },
      },
      () =>
        this.#owner.addon.testRun(native.fd(), {
          ...(options.data === undefined ? {} : { data: options.data }),
          ...(options.context === undefined ? {} : { context: options.context }),
          ...(dataOut === undefined ? {} : { dataOut }),
          ...(contextOut === undefined ? {} : { contextOut }),
          repeat: options.repeat ?? 1,
          flags: options.flags ?? 0,
        }),
    );
    return {
      returnValue: result.returnValue,
      durationNs: result.duration,
      data: dataOut?.subarray(0, result.dataSizeOut),
      context: contextOut?.subarray(0, result.contextSizeOut),
    };
  }

  #attachKprobe(kind: "kprobe" | "kretprobe", functionName: string, options: KprobeOptions): Link {
    const operation = `${this.name}.attach${kind === "kprobe" ? "Kprobe" : "Kretprobe"}`;
    checkString(operation, "function name", functionName);
    checkOptions(operation, options, { cookie: u64, offset: integer(0, 0xffffffff), mode: oneOf("link", "perf", "legacy") });
    this.#mustBe(operation, [ProgramType.kprobe], "kprobe");
    const native = {
      retprobe: kind === "kretprobe",
      offset: options.offset ?? 0,
      cookie: cookieOf(options),
      mode: options.mode === undefined ? 0 : (PROBE_MODES[options.mode] as number),
    };
    return this.#attach({ kind, target: functionName }, (program) => program.attachKprobe(functionName, native), () => functionMeanings(functionName));
  }

  #attach(
    where: Pick<LinkTarget, "kind" | "target">,
    call: (native: NativeProgram) => NativeLink,
    meanings: Readonly<Record<number, Meaning>> | (() => Readonly<Record<number, Meaning>>),
  ): Link {
    const native = this.#loaded("attach");
    const link = attempt(
      {
        doing: `attach ${this.name} to ${where.kind} ${where.target}`,
        // Some meanings cost a look into the kernel's symbols: only a failure asks for them.
        get meanings() {
          return typeof meanings === "function" ? meanings() : meanings;
        },
      },
      () => call(native),
    );
    const made = new Link(link, { program: this.name, ...where }, (closed) => this.#owner.release(closed));
    this.#owner.adopt(made);
    return made;
  }

  #sectionMeanings(target: string): Readonly<Record<number, Meaning>> | (() => Readonly<Record<number, Meaning>>) {
    if (this.#typeNumber === ProgramType.kprobe) return () => functionMeanings(target.replace(/\+.*$/, ""));
    const notEnough: Meaning = {
      code: "INVALID_ARGUMENT",
      text: `section "${this.section}" does not say where to attach; use the method for its kind (attachKprobe, attachTracepoint, attachCgroup, ...)`,
    };
    if (this.#typeNumber === ProgramType.tracepoint || this.#typeNumber === ProgramType.rawTracepoint) {
      return { [errno.EOPNOTSUPP]: notEnough, [errno.ENOENT]: { code: "NOT_FOUND", text: `this kernel has no tracepoint ${target}, or tracefs is not mounted` } };
    }
    return { [errno.EOPNOTSUPP]: notEnough };
  }

  #loaded(operation: string): NativeProgram {
    const native = this.#owner.native();
    if (native.fd() < 0) {
      throw new BpfError({
        code: "INVALID_STATE",
        message: `${this.name}.${operation}: the program is not in the kernel: its autoload was off, or another variant was chosen`,
      });
    }
    return native;
  }

  #mustBe(operation: string, types: readonly number[], wanted: string): void {
    if (!types.includes(this.#typeNumber)) {
      throw invalid(`${operation}: ${this.name} is a ${this.type} program (section ${this.section}); this attaches ${wanted} programs`);
    }
  }

  #needsLibbpf(feature: string, what: string, version: string): void {
    const { addon } = this.#owner;
    if (!addon.libbpfFeatures.includes(feature)) {
      throw new BpfError({ code: "LIBBPF_TOO_OLD", message: `${what} needs libbpf ${version}; this build has ${addon.libbpfVersion}` });
    }
  }
}

function cookieOf(options: CookieOptions): bigint {
  return BigInt(options.cookie ?? 0);
}

/** `kprobe/nf_hook_slow` -> `kprobe`; a leading `?` (do not load by itself) is not part of it. */
function sectionKind(section: string): string {
  return section.replace(/^\?/, "").split("/", 1)[0] as string;
}

function sectionTarget(section: string): string {
  const slash = section.indexOf("/");
  return slash < 0 ? "" : section.slice(slash + 1);
}

/** Sections whose programs attach to a cgroup by its path. */
function needsCgroup(section: string): boolean {
  const kind = sectionKind(section);
  return kind === "sockops" || kind.startsWith("cgroup");
}
