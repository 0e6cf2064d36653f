import type { SocketDescriptor } from "../kernel/descriptor.js";
import type { Link } from "../link/link.js";
import type { MultiLink } from "../link/multi_link.js";
import { type AttachOptions, attachBySection } from "./attach/by_section.js";
import { attachCgroup, type CgroupOptions } from "./attach/cgroup.js";
import type { CookieOptions } from "./attach/cookie.js";
import type { FunctionSelector } from "./attach/functions.js";
import { attachIter, type IterLink, type IterOptions } from "./attach/iter.js";
import { attachKprobe, attachKsyscall, type KprobeOptions, type KsyscallOptions } from "./attach/kprobe.js";
import { attachKprobeMulti, type MultiOptions } from "./attach/kprobe_multi.js";
import { attachLwt, type LwtOptions } from "./attach/lwt.js";
import { attachNetfilter, type NetfilterOptions } from "./attach/netfilter.js";
import { attachNetns } from "./attach/netns.js";
import { attachPerfEvent, type PerfEventName, type PerfEventOptions, type RawPerfEvent } from "./attach/perf_event.js";
import { attachPacketSocket, attachReuseport, attachSocketFilter, type PacketSocketOptions } from "./attach/socket.js";
import { attachSockmap, type SocketMapTarget } from "./attach/sockmap.js";
import {
  attachNetkit,
  attachTc,
  attachTcx,
  type TcDirection,
  type TcLink,
  type TcOptions,
  type TcxOptions,
} from "./attach/tc.js";
import { attachFreplace, attachLsm, attachTrace, type TargetProgram } from "./attach/trace.js";
import { attachRawTracepoint, attachTracepoint } from "./attach/tracepoint.js";
import {
  attachUprobe,
  attachUprobeMulti,
  attachUsdt,
  type UprobeMultiOptions,
  type UprobeOptions,
  type UsdtOptions,
} from "./attach/uprobe.js";
import { attachXdp, type XdpOptions } from "./attach/xdp.js";
import { Attacher, type ProgramOwner } from "./attacher.js";
import type { ProgramIdentity } from "./opened_program.js";
import { pinProgram, unpinProgram } from "./pin.js";
import { type ProgramInfo, readProgramInfo } from "./program_info.js";
import { type TestRunOptions, type TestRunResult, testRun } from "./test_run.js";

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
  readonly optional: boolean;
  readonly type: string;
  readonly #attacher: Attacher;

  /** @internal */
  constructor(owner: ProgramOwner) {
    this.#attacher = new Attacher(owner);
    this.name = this.#attacher.name;
    this.section = this.#attacher.section;
    this.optional = owner.native().optional;
    this.type = this.#attacher.typeName;
  }

  /** Whether the program is in the kernel: false when it was not to be loaded. */
  get loaded(): boolean {
    return this.#attacher.owner.native().fd() >= 0;
  }

  /** The program's descriptor, owned by the object. @throws BpfError CLOSED, INVALID_STATE when it was not loaded */
  get fd(): number {
    return this.#attacher.loaded("fd").fd();
  }

  /**
   * What the verifier said of the program when it was loaded, where {@link OpenedProgram.logLevel} or {@link OpenOptions.logLevel} asked for it; undefined
   * where the level was 0 or the program was not loaded. Libbpf keeps at most 16 MiB of it. Still there after `close()`.
   *
   * @example
   * ```ts
   * import { BpfObject } from "ebpf";
   * using opened = BpfObject.open("probes.bpf.o");
   * opened.program("on_kill").logLevel = 4; // statistics
   * using object = await opened.load();
   * console.log(object.program("on_kill").verifierLog); // ... processed 31 insns (limit 1000000) ...
   * ```
   */
  get verifierLog(): string | undefined {
    return this.#attacher.owner.verifierLog();
  }

  /** What the kernel says of the program: id, tag, sizes, maps, run time. Minimum kernel 4.13. @throws BpfError CLOSED, INVALID_STATE */
  info(): ProgramInfo {
    return readProgramInfo(this.fd, this.name);
  }

  /**
   * Pins the program in a bpf file system: it stays in the kernel, not attached, when this process ends. {@link ProgramHandle} opens it.
   * @param path a path on a bpf file system, usually below /sys/fs/bpf; its folder must exist.
   * @throws BpfError EXISTS, NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT when the path is not on a bpf file system
   */
  pin(path: string): void {
    pinProgram(this, path);
  }

  /** Removes a pin of this program. @throws BpfError NOT_FOUND, INVALID_STATE when something else is pinned there */
  unpin(path: string): void {
    unpinProgram(this, path);
  }

  /**
   * Attaches as the section says. What the section cannot say comes as an option: the cgroup of sockops and the cgroup sections, the device of
   * XDP, tc and tcx, the network namespace of sk_lookup and flow_dissector.
   * @throws BpfError INVALID_ARGUMENT when that is not enough: use the method for the kind of probe.
   */
  attach(options: AttachOptions = {}): Link {
    return attachBySection(this.#attacher, this, options);
  }

  /**
   * Runs the program when a kernel function is entered (BPF_PROG_TYPE_KPROBE). Minimum kernel 4.1.
   * @throws BpfError NOT_FOUND (no such function), KERNEL_UNSUPPORTED (it may not be probed; no kprobes), INVALID_ARGUMENT
   */
  attachKprobe(functionName: string, options: KprobeOptions = {}): Link {
    return attachKprobe(this.#attacher, "kprobe", functionName, options);
  }

  /** Runs the program when a kernel function returns; see {@link Program.attachKprobe}. Prefer fexit (5.5): a kretprobe may miss returns. */
  attachKretprobe(functionName: string, options: KprobeOptions = {}): Link {
    return attachKprobe(this.#attacher, "kretprobe", functionName, options);
  }

  /**
   * Runs the program at many kernel functions: all that a glob matches and that can be probed, or those of a list. With section `kprobe.multi`,
   * `kretprobe.multi` or `kprobe.session` by one link (5.18; session 6.10, libbpf 1.5); with section `kprobe` by one probe each, which is slow.
   * @throws BpfError NOT_FOUND (nothing matches; an unknown name), INVALID_ARGUMENT (more than the limit), KERNEL_UNSUPPORTED
   */
  attachKprobeMulti(functions: FunctionSelector, options: MultiOptions = {}): MultiLink {
    return attachKprobeMulti(this.#attacher, functions, options);
  }

  /** Runs the program when a system call is entered, by its name, as `openat`, whatever the kernel calls its function. Arguments by BPF_KSYSCALL(). */
  attachKsyscall(name: string, options: KsyscallOptions = {}): Link {
    return attachKsyscall(this.#attacher, "ksyscall", name, options);
  }

  /** Runs the program when a system call returns; see {@link Program.attachKsyscall}. */
  attachKretsyscall(name: string, options: KsyscallOptions = {}): Link {
    return attachKsyscall(this.#attacher, "kretsyscall", name, options);
  }

  /**
   * Runs the program when a function of user space is entered. Minimum kernel 4.3.
   * @param binary a path; or a library (`libc.so.6`, `libc`) or program by name, found as the dynamic loader and the shell would; with option `pid` among what
   * that process has mapped, files of containers and deleted ones included.
   * @param functionName a symbol; undefined: option `offset` is one within the file.
   * @throws BpfError NOT_FOUND (file, function, process), INVALID_ARGUMENT, KERNEL_UNSUPPORTED
   */
  attachUprobe(binary: string, functionName: string | undefined, options: UprobeOptions = {}): Link {
    return attachUprobe(this.#attacher, "uprobe", binary, functionName, options);
  }

  /** Runs the program when a function of user space returns; see {@link Program.attachUprobe}. */
  attachUretprobe(binary: string, functionName: string | undefined, options: UprobeOptions = {}): Link {
    return attachUprobe(this.#attacher, "uretprobe", binary, functionName, options);
  }

  /** Runs the program at many functions of a binary, by one link. Section `uprobe.multi`; minimum kernel 6.6 (session 6.13), libbpf 1.3 (1.6). */
  attachUprobeMulti(binary: string, functions: FunctionSelector, options: UprobeMultiOptions = {}): MultiLink {
    return attachUprobeMulti(this.#attacher, binary, functions, options);
  }

  /**
   * Runs the program at a statically defined tracepoint of user space (section `usdt`, `<bpf/usdt.bpf.h>`). The cookie is read with
   * bpf_usdt_cookie(). Minimum kernel 4.20 for probes with a semaphore, 5.15 for those of libraries and position-independent binaries without option
   * `pid`.
   */
  attachUsdt(binary: string, provider: string, name: string, options: UsdtOptions = {}): Link {
    return attachUsdt(this.#attacher, binary, provider, name, options);
  }

  /** Runs the program at a tracepoint of tracefs, for example `("syscalls", "sys_enter_kill")`. Minimum kernel 4.7. */
  attachTracepoint(category: string, name: string, options: CookieOptions = {}): Link {
    return attachTracepoint(this.#attacher, category, name, options);
  }

  /** Runs the program at a tracepoint, with its raw arguments. Minimum kernel 4.17. A cookie needs libbpf 1.4 and kernel 6.10. */
  attachRawTracepoint(name: string, options: CookieOptions = {}): Link {
    return attachRawTracepoint(this.#attacher, name, options);
  }

  /**
   * Attaches an fentry, fexit, fmod_ret or tp_btf program to what it was verified against: its section's function, or
   * {@link OpenedProgram.setAttachTarget}. Minimum kernel 5.5 (fmod_ret 5.7). A cookie needs 6.0 (tp_btf 6.10).
   */
  attachTrace(options: CookieOptions = {}): Link {
    return attachTrace(this.#attacher, options);
  }

  /**
   * Replaces a global function of another BPF program by this one (section `freplace`), which was verified against it:
   * {@link OpenedProgram.setAttachTarget} before load. Minimum kernel 5.6.
   */
  attachFreplace(target: TargetProgram, functionName: string): Link {
    return attachFreplace(this.#attacher, target, functionName);
  }

  /** Attaches a security hook (section `lsm`), for the whole system. Minimum kernel 5.7, with `bpf` among the active security modules (/sys/kernel/security/lsm). */
  attachLsm(): Link {
    return attachLsm(this.#attacher);
  }

  /** Attaches an iterator (section `iter`), which runs when it is read. Minimum kernel 5.8. */
  attachIter(options: IterOptions = {}): IterLink {
    const { owner } = this.#attacher;
    return attachIter(this.#attacher, () => owner.btf(), options);
  }

  /**
   * Runs the program on a perf event: so many times a second, or each so many events; on every CPU, or one, for one process or a cgroup.
   * Minimum kernel 4.9.
   * @example
   * ```ts
   * import { BpfObject } from "ebpf";
   * using object = await BpfObject.load("profile.bpf.o");
   * object.program("sample").attachPerfEvent("cpu-clock", { frequency: 99, pid: 1234 });
   * ```
   */
  attachPerfEvent(event: PerfEventName | RawPerfEvent, options: PerfEventOptions = {}): Link {
    return attachPerfEvent(this.#attacher, event, options);
  }

  /**
   * Runs the program for each packet that a device receives. Minimum kernel 4.8 (5.9 as a link).
   * @throws BpfError BUSY (a device has one), NOT_FOUND, KERNEL_UNSUPPORTED (mode)
   */
  attachXdp(device: string | number, options: XdpOptions = {}): Link {
    return attachXdp(this.#attacher, device, options);
  }

  /**
   * Makes the program a tc filter in direct-action mode, on the device's clsact, which is made if need be. Minimum kernel 4.5. See
   * {@link Link} for its life.
   * @throws BpfError EXISTS (that handle and priority), NOT_FOUND, INVALID_ARGUMENT (egress, where the older `ingress` is in clsact's place)
   */
  attachTc(device: string | number, direction: TcDirection, options: TcOptions = {}): TcLink {
    return attachTc(this.#attacher, device, direction, options);
  }

  /** As {@link Program.attachTc}, but by a link, in an order that the anchors say. Minimum kernel 6.6, libbpf 1.3. */
  attachTcx(device: string | number, direction: TcDirection, options: TcxOptions = {}): Link {
    return attachTcx(this.#attacher, device, direction, options);
  }

  /** Runs the program for each packet that enters a netkit pair on one side; the device is the primary one. Minimum kernel 6.7, libbpf 1.3. */
  attachNetkit(device: string | number, side: "primary" | "peer", options: TcxOptions = {}): Link {
    return attachNetkit(this.#attacher, device, side, options);
  }

  /** Runs the program as a netfilter hook of a network namespace: NF_ACCEPT (1) or NF_DROP (0). Minimum kernel 6.4, libbpf 1.3. */
  attachNetfilter(options: NetfilterOptions): Link {
    return attachNetfilter(this.#attacher, options);
  }

  /**
   * Attaches to a cgroup v2 directory, for sockops and the other cgroup programs. The program then sees the sockets
   * and processes of that cgroup and of those below it. Minimum kernel 5.7 (as a link).
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT when the path is no cgroup v2 directory
   */
  attachCgroup(path: string, options: CgroupOptions = {}): Link {
    return attachCgroup(this.#attacher, path, options);
  }

  /** Attaches an sk_msg or sk_skb program to the sockets of a sockmap or sockhash. Minimum kernel 4.14 (6.10 as a link: see {@link Link}). */
  attachSockmap(map: SocketMapTarget): Link {
    return attachSockmap(this.#attacher, map);
  }

  /** Attaches an sk_lookup or flow_dissector program to a network namespace, by its path. Minimum kernel 5.9. */
  attachNetns(path: string): Link {
    return attachNetns(this.#attacher, path);
  }

  /** Filters what a socket receives: the program returns how many bytes of a packet stay, 0 drops it. Minimum kernel 3.19. */
  attachSocketFilter(socket: SocketDescriptor): Link {
    return attachSocketFilter(this.#attacher, socket);
  }

  /** Runs a socket filter for each packet that a device receives or sends, on a packet socket of the link's own. It changes nothing. */
  attachPacketSocket(device: string | number, options: PacketSocketOptions = {}): Link {
    return attachPacketSocket(this.#attacher, device, options);
  }

  /** Chooses the socket of a SO_REUSEPORT group for each connection or datagram; `socket` is one of the group. Minimum kernel 4.19. */
  attachReuseport(socket: SocketDescriptor): Link {
    return attachReuseport(this.#attacher, socket);
  }

  /**
   * Makes a route that runs an lwt_in, lwt_out or lwt_xmit program for each packet that takes it; or an IPv6 segment that runs an lwt_seg6local
   * program for each packet with a segment routing header that comes to it (End.BPF). Minimum kernel 4.10 (lwt_seg6local 4.18). See {@link Link} for
   * its life.
   * @example
   * ```ts
   * import { BpfObject } from "ebpf";
   * using object = await BpfObject.load("segments.bpf.o");
   * object.program("at_segment").attachLwt("fd98::e/128", { device: "eth0" });
   * ```
   */
  attachLwt(destination: string, options: LwtOptions): Link {
    return attachLwt(this.#attacher, destination, options);
  }

  /**
   * Runs the program without attaching it (BPF_PROG_TEST_RUN); the event loop waits. Minimum kernel 4.12; which program types can
   * depends on the kernel.
   * @throws BpfError KERNEL_UNSUPPORTED (not this program type), FULL (too little room), INVALID_ARGUMENT
   */
  testRun<Context = Uint8Array, Data = Uint8Array>(
    options: TestRunOptions<Context, Data> = {},
  ): TestRunResult<Context, Data> {
    const { owner } = this.#attacher;
    const program = { name: this.name, type: this.type, fd: this.fd, btf: () => owner.btf() };
    return testRun(owner.addon, program, `${this.name}.testRun`, options);
  }
}
