/**
 * The boundary to the C++ addon: its types, and the one place that loads it.
 *
 * Nothing else in the library touches the addon. The addon trusts its input: whatever is passed here was checked before.
 * Every native call that fails throws a {@link NativeFailure}; `errors.ts` turns that into a `BpfError` with an explanation.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfError } from "./errors.js";

/** What the addon throws: libbpf's error and whatever libbpf printed on this thread while the operation ran. */
export interface NativeFailure extends Error {
  /** Positive errno, for example 1 for EPERM; 524 is the kernel's ENOTSUPP. */
  readonly errno: number;
  /** The libbpf function or system call that failed, for example `bpf_object__load`. */
  readonly operation: string;
  /** libbpf's messages (info and warn), one entry per call of its print callback, whole. */
  readonly log: readonly string[];
}

/** libbpf's levels: 0 warn, 1 info, 2 debug. */
export type NativeLogLevel = 0 | 1 | 2;

export interface NativeOpenOptions {
  /** Object name; required by libbpf for an object opened from memory. */
  readonly name?: string;
  /** Verifier log level for all programs: 0 (log only on failure), 1, 2 or 4 (statistics). */
  readonly kernelLogLevel?: number;
  /** Path to a BTF file to relocate against instead of /sys/kernel/btf/vmlinux. */
  readonly btfCustomPath?: string;
  /** Text in the form of a kernel .config, for `extern` kconfig values. */
  readonly kconfig?: string;
  /** Where LIBBPF_PIN_BY_NAME maps are pinned; libbpf's default is /sys/fs/bpf. */
  readonly pinRootPath?: string;
}

/** Functions by their addresses, each at the same place of every array; and the file's parts that are code. */
export interface NativeElfSymbols {
  readonly addresses: BigUint64Array;
  /** In bytes; never 0. */
  readonly sizes: BigUint64Array;
  /** The furthest end of the functions up to this one. */
  readonly reaches: BigUint64Array;
  /** Where in `strings` the name begins, which ends in a NUL. */
  readonly names: Uint32Array;
  /** STB_*. */
  readonly bindings: Uint8Array;
  readonly strings: Uint8Array;
  /** Three for each: address, offset in the file, size. */
  readonly segments: BigUint64Array;
  /** Empty when there is none. */
  readonly buildId: Uint8Array;
  /** Tables were left out. */
  readonly tooLarge: boolean;
}

export interface NativeAddon {
  /** Version of the libbpf linked in, for example "1.7.0". */
  readonly libbpfVersion: string;
  /** Optional libbpf API this build has, by the version that brought it: see `native/src/libbpf_features.h`. */
  readonly libbpfFeatures: readonly string[];
  readonly Object: new (source: string | Uint8Array, options: NativeOpenOptions) => NativeObject;
  readonly RingReader: new (options: NativeRingReaderOptions) => NativeRingReader;
  /** Perf buffers of so many pages (a power of two) for each CPU, which overwrite what is oldest. EBUSY as a reader. */
  readonly PerfRecorder: new (
    mapFd: number,
    pages: number,
  ) => NativePerfRecorder;
  readonly UserRingWriter: new (options: NativeUserRingWriterOptions) => NativeUserRingWriter;
  /** Map handles that do not come from an object. */
  mapFromPin(path: string): NativeMap;
  mapFromId(id: number): NativeMap;
  mapFromFd(fd: number): NativeMap;
  mapCreate(options: NativeMapCreateOptions): NativeMap;
  /** A copy of the BTF that the kernel has under this id, as a map's info names it. */
  btfById(id: number): Uint8Array;
  /** pidfd_open(2): a descriptor of a process, which the caller closes. Minimum kernel 5.3. */
  openProcess(pid: number): number;
  linkFromPin(path: string): NativeLink;
  /** Closes every link and attachment of this environment, as its end does; process.exit() does not come to that. */
  closeLinks(): void;
  /** Takes the descriptor. */
  linkFromFd(fd: number): NativeLink;
  /** bpf_link_create: `target` is a descriptor (cgroup, map, namespace), or the index of a device of the current network namespace. */
  linkCreate(programFd: number, target: number, attachType: number, options: NativeLinkCreateOptions): NativeLink;
  /** libbpf_num_possible_cpus(). */
  possibleCpus(): number;
  /** Sends libbpf's messages up to `level` to `sink`, on this environment's thread, after the operation that printed them. */
  setLogger(level: NativeLogLevel, sink: ((level: NativeLogLevel, message: string) => void) | null): void;
  /** libbpf_probe_bpf_prog_type: 1 supported, 0 not, negative errno when it cannot tell. */
  probeProgramType(type: number): number;
  probeMapType(type: number): number;
  /** Loads the smallest program about `target` as libbpf names it: 1, or a negative errno; ENOENT when the kernel's BTF has no such thing. */
  probeAttachType(programType: number, attachType: number, target: string): number;
  probeHelper(programType: number, helper: number): number;
  /** Type number by libbpf's own table of names, for example programTypeName(2) is "kprobe". */
  programTypeName(type: number): string | undefined;
  attachTypeName(type: number): string | undefined;
  mapTypeName(type: number): string | undefined;
  linkTypeName(type: number): string | undefined;
  /** bpf_prog_attach, undone by bpf_prog_detach2. Both descriptors are copied. */
  attachProgram(programFd: number, targetFd: number, attachType: number, flags: number): NativeAttachment;
  /** bpf_xdp_attach (netlink). */
  attachXdp(interfaceIndex: number, programFd: number, flags: number): NativeAttachment;
  /**
   * A tc filter on clsact, which is made where it is not there, and removed with the last filter where this made it.
   * Handle and priority 0: the kernel's choice.
   */
  attachTc(
    interfaceIndex: number,
    ingress: boolean,
    programFd: number,
    options: { readonly handle: number; readonly priority: number; readonly replace: boolean },
  ): { readonly attachment: NativeAttachment; readonly handle: number; readonly priority: number };
  /** SO_ATTACH_BPF, or SO_ATTACH_REUSEPORT_EBPF. The socket stays its owner's, unless it is handed over (`own`). */
  attachSocket(socketFd: number, reuseport: boolean, programFd: number, own: boolean): NativeAttachment;
  /** Sends one rtnetlink message to make it, another to undo it, both in the namespace that is current now. */
  attachByNetlink(make: Uint8Array, undo: Uint8Array): NativeAttachment;
  /** A kprobe by its definition in tracefs, undone by its removal. */
  attachKprobeEvent(options: NativeKprobeEventOptions): NativeAttachment;
  /** Calls `body` while this thread is in another network namespace; what it returns or throws comes back. */
  inNetworkNamespace<T>(namespaceFd: number, body: () => T): T;
  /** 0 when the current network namespace has no such device. */
  interfaceIndex(name: string): number;
  /** An rtnetlink request in the current network namespace; the answer's messages, each at a multiple of 4. */
  netlink(message: Uint8Array): Uint8Array;
  /** A raw packet(7) socket on a device of the current network namespace; the descriptor is the caller's. */
  packetSocket(interfaceIndex: number, protocol: number): number;
  /** perf_event_open(2), disabled; the descriptor is the caller's. */
  perfEventOpen(options: NativePerfEventOptions): number;
  /** BPF_ENABLE_STATS of run time and runs, until the descriptor is closed. Minimum kernel 5.8. */
  enableStats(): number;
  /** The next larger id in use, 0 when there is none. */
  readonly nextId: Readonly<Record<NativeKind, (id: number) => number>>;
  /** A descriptor, the caller's. */
  readonly openById: Readonly<Record<NativeKind, (id: number) => number>>;
  /**
   * bpf_obj_get_info_by_fd: `info` is the kernel's struct; `pointers` has pairs of an offset in it and the memory whose address goes there.
   * Returns how many bytes the kernel knew.
   */
  objectInfo(fd: number, info: Uint8Array, pointers: readonly (number | Uint8Array)[]): number;
  /** bpf_obj_get: a descriptor of whatever is pinned there, the caller's. */
  openPin(path: string): number;
  pinFd(fd: number, path: string): void;
  /** bpf_link_detach. Minimum kernel 5.9. */
  detachLink(linkFd: number): void;
  /** bpf_prog_detach2. */
  detachProgram(programFd: number, targetFd: number, attachType: number): void;
  updateLink(linkFd: number, programFd: number): void;
  /** A descriptor to read an iterator's output from, the caller's. */
  iterCreate(linkFd: number): number;
  /** BPF_PROG_QUERY: ids in the order they run. `target` is a descriptor, or for tcx and netkit a device's index. */
  programQuery(target: number, attachType: number, flags: number): readonly number[];
  /** BPF_TASK_FD_QUERY: what a perf event or raw tracepoint runs. */
  taskFdQuery(
    pid: number,
    fd: number,
  ): {
    readonly programId: number;
    readonly kind: number;
    readonly name: string;
    readonly offset: bigint;
    readonly address: bigint;
  };
  /** BPF_PROG_TEST_RUN. */
  testRun(programFd: number, options: NativeTestRunOptions): NativeTestRunResult;
  /** btf_dump: every type of a BTF file (raw, or an ELF object's) as C declarations. */
  dumpBtf(path: string): string;
  /**
   * The functions of the ELF file that a descriptor is of, by libelf; undefined when it is none. Tables of more than `mostBytes` in all are left out.
   */
  readElfSymbols(fd: number, mostBytes: number): NativeElfSymbols | undefined;
  /** A name as the C++ compiler wrote it (`_Z...`) as it is in the source; undefined when it is none. */
  demangle(name: string): string | undefined;
  /** A copy of a section of an ELF object, by libelf; undefined when it has none of this name. */
  readSection(object: Uint8Array, name: string): Uint8Array | undefined;
}

/** An opened, later loaded, bpf_object. It stays alive until `close()`, whatever the garbage collector does. */
export interface NativeObject {
  readonly name: string;
  readonly programs: readonly NativeProgram[];
  readonly maps: readonly NativeMapDefinition[];
  /** A copy of the object's .BTF section; undefined when it has none. */
  btf(): Uint8Array | undefined;
  /**
   * bpf_object__load on a libuv worker thread; rejects with a NativeFailure. Resolves to libbpf's messages that hold the verifier's logs
   * of programs with a log level.
   */
  load(): Promise<readonly string[]>;
  /** The same on this thread, for the rare case that cannot wait (a variant chosen at attach). */
  loadSync(): readonly string[];
  /** Frees the object, its programs and its maps' descriptors. Idempotent. Links must be closed first (lib/ does). */
  close(): void;
}

/** A bpf_program. Every method throws after the object is closed. */
export interface NativeProgram {
  readonly name: string;
  /** Without the `?` that it may begin with in C: see `optional`. */
  readonly section: string;
  /** Its section began with `?`: whatever `autoload` is now, it began as false. */
  readonly optional: boolean;
  readonly instructionCount: number;
  type: number;
  expectedAttachType: number;
  autoload: boolean;
  autoattach: boolean;
  logLevel: number;
  flags: number;
  /** bpf_program__set_attach_target: for fentry, fexit, freplace, tp_btf, lsm. `programFd` 0 means the kernel. */
  setAttachTarget(programFd: number, functionName: string): void;
  /** bpf_program__insns: a copy; before load without the functions that the program calls, which libbpf adds there. */
  instructions(): Uint8Array;
  /** The program's descriptor, -1 before load. Owned by the object. */
  fd(): number;
  /** By its section: bpf_program__attach. Throws errno EOPNOTSUPP where the section does not say enough. */
  attach(): NativeLink;
  attachKprobe(functionName: string, options: NativeKprobeOptions): NativeLink;
  attachTracepoint(category: string, name: string, cookie: bigint): NativeLink;
  /** `cookie` other than 0 needs libbpf 1.4 (feature "raw_tp_cookie"). */
  attachRawTracepoint(name: string, cookie: bigint): NativeLink;
  /** fentry, fexit, fmod_ret, tp_btf. */
  attachTrace(cookie: bigint): NativeLink;
  attachCgroup(cgroupFd: number): NativeLink;
  attachKprobeMulti(options: NativeKprobeMultiOptions): NativeLink;
  attachKsyscall(name: string, retprobe: boolean, cookie: bigint): NativeLink;
  /** `pid`: 0 this process, -1 every process. `offset` is one within the file, or within `function` where that is given. */
  attachUprobe(pid: number, path: string, offset: bigint, options: NativeUprobeOptions): NativeLink;
  /** Needs libbpf 1.3 (feature "uprobe_multi"). */
  attachUprobeMulti(pid: number, path: string, options: NativeUprobeMultiOptions): NativeLink;
  attachUsdt(pid: number, path: string, provider: string, name: string, cookie: bigint): NativeLink;
  /** Takes the descriptor of a perf event, also where it fails. */
  attachPerfEvent(perfFd: number, cookie: bigint): NativeLink;
  /** Needs libbpf 1.3 (feature "netfilter"). */
  attachNetfilter(options: NativeNetfilterOptions): NativeLink;
  attachNetns(namespaceFd: number): NativeLink;
  attachFreplace(targetProgramFd: number, functionName: string): NativeLink;
  attachLsm(): NativeLink;
  /** `linkInfo`: union bpf_iter_link_info; empty where there is nothing to say. */
  attachIter(linkInfo: Uint8Array): NativeLink;
}

export interface NativeLinkCreateOptions {
  /** Those of the attach type: XDP modes; BPF_F_BEFORE, BPF_F_AFTER, BPF_F_ID, BPF_F_LINK. */
  readonly flags: number;
  /** What the fields below are for: "tcx" and "netkit" need libbpf 1.3 (features of these names), "cgroup" 1.6 ("cgroup_opts"). */
  readonly anchor?: "tcx" | "netkit" | "cgroup" | undefined;
  readonly relativeFd: number;
  readonly relativeId: number;
  readonly revision: bigint;
}

export interface NativeKprobeMultiOptions {
  /** Either a glob or symbols. */
  readonly pattern?: string | undefined;
  readonly symbols?: readonly string[] | undefined;
  /** One per symbol. */
  readonly cookies?: readonly bigint[] | undefined;
  readonly retprobe: boolean;
  /** Needs libbpf 1.5 (feature "kprobe_session"). */
  readonly session: boolean;
}

export interface NativeKprobeEventOptions {
  /** The file of tracefs that takes both lines. */
  readonly file: string;
  readonly definition: string;
  readonly removal: string;
  /** The file in which the kernel tells the event's number, once it is defined. */
  readonly number: string;
  readonly program: number;
  /** Needs kernel 5.15, and a cookie needs it. */
  readonly byLink: boolean;
  readonly cookie: bigint;
}

export interface NativeUprobeOptions {
  readonly function?: string | undefined;
  readonly refCounterOffset: bigint;
  readonly cookie: bigint;
  readonly retprobe: boolean;
  /** As NativeKprobeOptions.mode. */
  readonly mode: number;
}

export interface NativeUprobeMultiOptions {
  /** A glob, or symbols, or offsets within the file. */
  readonly pattern?: string | undefined;
  readonly symbols?: readonly string[] | undefined;
  readonly offsets?: readonly bigint[] | undefined;
  readonly refCounterOffsets?: readonly bigint[] | undefined;
  readonly cookies?: readonly bigint[] | undefined;
  readonly retprobe: boolean;
  /** Needs libbpf 1.6 (feature "uprobe_session"). */
  readonly session: boolean;
}

export interface NativeNetfilterOptions {
  /** NFPROTO_*. */
  readonly family: number;
  /** NF_INET_*. */
  readonly hook: number;
  readonly priority: number;
  /** BPF_F_NETFILTER_IP_DEFRAG. */
  readonly flags: number;
}

/**
 * An attachment for which the kernel has no link, and which would outlive the process. It is undone by `close()`, at the end of the
 * environment, and on SIGINT, SIGTERM and SIGHUP where nobody else in the process handles them.
 */
export interface NativeAttachment {
  /** Exchanges the program; errno EOPNOTSUPP where the kind cannot. */
  updateProgram(programFd: number): void;
  /** Undoes it. Idempotent. `gone`: errnos that mean it is gone already. Where it fails otherwise, it is tried again as the environment ends. */
  close(gone: Int32Array): void;
}

export interface NativePerfEventOptions {
  /** PERF_TYPE_*, or a PMU's number. */
  readonly type: number;
  readonly config: bigint;
  /** Events per sample; 0 where `frequency` says. */
  readonly period: bigint;
  /** Samples per second; 0 where `period` says. */
  readonly frequency: bigint;
  /** -1: every process; with `cgroup` the descriptor of a cgroup. */
  readonly pid: number;
  /** -1: every CPU. */
  readonly cpu: number;
  readonly cgroup: boolean;
  /** Also what it starts later: threads and processes, or (`inheritThread`, minimum kernel 5.13) only threads. */
  readonly inherit: boolean;
  readonly inheritThread: boolean;
}

export type NativeKind = "program" | "map" | "btf" | "link";

export interface NativeKprobeOptions {
  readonly retprobe: boolean;
  readonly offset: number;
  readonly cookie: bigint;
  /** enum probe_attach_mode: 0 default, 1 legacy tracefs, 2 perf event, 3 link. */
  readonly mode: number;
}

/** An owned bpf_link. It stays attached until `close()` or the end of the environment, whatever the garbage collector does. */
export interface NativeLink {
  readonly fd: number;
  /** bpf_link__detach: force-detaches; the link stays open. */
  detach(): void;
  pin(path: string): void;
  unpin(): void;
  readonly pinPath: string | undefined;
  /** bpf_link__update_program. */
  updateProgram(programFd: number): void;
  /** bpf_link__destroy. Idempotent. A link that libbpf implements without a kernel link is detached too. */
  close(): void;
}

/** A map as the object declares it. Setters throw EBUSY after load. */
export interface NativeMapDefinition {
  readonly name: string;
  /** One of libbpf's own: .bss, .data, .rodata, .kconfig, .struct_ops and their kin. */
  readonly isInternal: boolean;
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  numaNode: number;
  mapExtra: bigint;
  autocreate: boolean;
  pinPath: string | undefined;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  /** The map's descriptor, -1 before load. Owned by the object. */
  fd(): number;
  /** bpf_map__reuse_fd: use an existing map in place of making one. */
  reuse(fd: number): void;
  /** bpf_map__set_inner_map_fd. */
  setInnerMap(fd: number): void;
  /** Size in bytes of the section's data (bpf_map__initial_value), 0 when the map has none. */
  readonly dataSize: number;
  /** Where libbpf has the data (bpf_map__initial_value), 0 when it has none; of an arena, once it is loaded and mapped, where its variables are, or its start. */
  dataAddress(): bigint;
  /**
   * Copies from the section's data: before load its initial value, after load the live mapping; no system call after the first.
   * A copy of 4 or 8 bytes at an address aligned to its size is one atomic load (acquire).
   */
  readData(offset: number, target: Uint8Array): void;
  /** The other way; EPERM for .rodata after load. 4 and 8 aligned bytes are one atomic store (release). */
  writeData(offset: number, source: Uint8Array): void;
  /** A handle with a descriptor of its own (F_DUPFD_CLOEXEC), for after load. */
  open(): NativeMap;
  /** bpf_map__attach_struct_ops. */
  attachStructOps(): NativeLink;
  /** The same for one that is no link of the kernel's (without BPF_F_LINK): it stays registered until it is undone. */
  registerStructOps(): NativeAttachment;
  /** bpf_link__update_map: takes the place of another at its link, which must come from `attachStructOps()`. */
  replaceStructOps(link: NativeLink): void;
}

export interface NativeMapInfo {
  readonly id: number;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly name: string;
  readonly mapExtra: bigint;
  readonly btfId: number;
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
}

/**
 * A map by its descriptor. Keys and values pass through buffers bound once, so the hot methods take no object and make none.
 * Hot methods return 0 or a negative errno and throw only when the handle is closed.
 */
export interface NativeMap {
  readonly fd: number;
  info(): NativeMapInfo;
  /** `key`, `nextKey`: keySize bytes (at least 1); `value`: what one lookup returns (per-CPU: round8(valueSize) x possible CPUs). */
  bind(key: ArrayBuffer, nextKey: ArrayBuffer, value: ArrayBuffer): void;
  /** key -> value. */
  lookup(flags: number): number;
  /** key, value -> map. */
  update(flags: number): number;
  /** key. */
  delete(): number;
  /** key -> value, removed. Queues and stacks take no key. */
  lookupAndDelete(flags: number): number;
  /** key (ignored when `first`) -> nextKey. */
  nextKey(first: boolean): number;
  /** Looks up as many keys as `results` has elements; each result is 0 or a negative errno. Keys and values lie as in batches. */
  lookupMany(keys: Uint8Array, values: Uint8Array, results: Int32Array, flags: number): void;
  /**
   * Batch operations over caller's buffers. `inBatch`/`outBatch` are the kernel's opaque cursor (max(4, keySize) bytes);
   * `inBatch` null starts. Returns { errno (0 or negative), count }.
   */
  lookupBatch(
    inBatch: Uint8Array | null,
    outBatch: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
    remove: boolean,
  ): { errno: number; count: number };
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number, flags: number): { errno: number; count: number };
  deleteBatch(keys: Uint8Array, count: number, flags: number): { errno: number; count: number };
  /** Maps an arena of so many bytes, at `address` or (0) where the kernel likes; returns where. Unmapped by `close()`. */
  mapArena(address: bigint, bytes: number): bigint;
  /** Copies memory of this process, by the kernel: EFAULT, never a fault, where there is none. */
  readMemory(address: bigint, target: Uint8Array): void;
  writeMemory(address: bigint, source: Uint8Array): void;
  freeze(): void;
  pin(path: string): void;
  /** Idempotent. */
  close(): void;
}

export interface NativeMapCreateOptions {
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly numaNode?: number;
  readonly mapExtra?: bigint;
  readonly innerMapFd?: number;
  /** Raw BTF to load with the map, and the ids of its key's and value's types in it. */
  readonly btf?: Uint8Array;
  readonly keyTypeId?: number;
  readonly valueTypeId?: number;
}

export interface NativeTestRunOptions {
  readonly data?: Uint8Array;
  /** Room for the packet as the program left it; no data comes back without it. */
  readonly dataOut?: Uint8Array;
  readonly context?: Uint8Array;
  readonly contextOut?: Uint8Array;
  readonly repeat?: number;
  readonly flags?: number;
  readonly cpu?: number;
  readonly batchSize?: number;
}

export interface NativeTestRunResult {
  readonly returnValue: number;
  /** Mean nanoseconds of one run. */
  readonly duration: number;
  readonly dataSizeOut: number;
  readonly contextSizeOut: number;
}

export interface NativeRingReaderOptions {
  /** Descriptor of the BPF_MAP_TYPE_RINGBUF, or with `perf` of the BPF_MAP_TYPE_PERF_EVENT_ARRAY; the reader's libbpf ring_buffer keeps its own mapping, so the map may be closed. */
  readonly mapFd: number;
  /** Where records are copied, each at an offset that is a multiple of 8. Made by lib/, never shown to users. */
  readonly slab: ArrayBuffer;
  /** Pairs (offset, length) per record, written only when a batch is not uniform. Bounds the records of a batch. */
  readonly index: Int32Array;
  /** Of REPORT_LENGTH: what `fill()` says of its batch, at the places of `Report`. */
  readonly report: Float64Array;
  /**
   * Called at most once per turn of the event loop, in its own callback scope (microtasks run after it), after a `fill()` of so many records;
   * the next one is the callee's, and throws what this one could not. When it returns, the reader waits for what comes, unless it was stopped.
   */
  readonly onReady: (count: number) => void;
  /** Refuses (EBUSY, operation "bind") a map that another reader has open, in this process or another of its network namespace. */
  readonly exclusive: boolean;
  readonly perf?: NativePerfOptions;
  /** A thread reads what comes first, as far as `readAhead()` lets it. */
  readonly thread?: NativeReaderThread;
}

export interface NativeReaderThread {
  /** Of memory for records that were read and not delivered. */
  readonly bytes: number;
  /** It looks so often by itself; -1: only when told. */
  readonly milliseconds: number;
  /** The descriptor tells of records; else only time does. */
  readonly watches: boolean;
}

/** Places in the report of `fill()`. */
export const Report = {
  stride: 0,
  size: 1,
  /** Whose perf buffer the records come from; -1 for a ring. */
  cpu: 2,
  /** Records that the kernel had no room for in the perf buffer of `cpu`, as it told on the way. */
  lost: 3,
  /** When not 0: the next record is larger than the slab, and comes after `setBuffers` with at least so many bytes. */
  oversize: 4,
  /** 1 when there is more now; what is being written at the moment included. */
  more: 5,
} as const;
export const REPORT_LENGTH = 6;

export interface NativePerfOptions {
  /** Pages of each CPU's buffer, a power of two. */
  readonly pages: number;
  /** Wakes at so many records, or, when `wakeupBytes` is not 0, at so many bytes. */
  readonly wakeupEvents: number;
  readonly wakeupBytes: number;
}

/**
 * Reads one ring with libbpf's ring_buffer, or the perf buffers of all CPUs with its perf_buffer, driven by uv_poll on the owning environment's loop.
 * Stays alive (and, while started and ref'ed, keeps the loop alive) until `close()`.
 */
export interface NativeRingReader {
  start(): void;
  stop(): void;
  /** Lets a thread read ahead of `start()` and on through `stop()`, or has it rest, as it does at first. Nothing without a thread. */
  readAhead(on: boolean): void;
  /**
   * Fills the slab with what is there now, and the report; returns the number of records. At a stride above 0 they lie at 0, stride,
   * 2 * stride, ..., each of `size` bytes; at stride 0 see `index`. Throws what came after the records of the call before: EBADMSG when
   * the ring was tampered with, and then the reader has stopped; ENOMEM when a record was lost that did not fit.
   */
  fill(): number;
  setBuffers(slab: ArrayBuffer, index: Int32Array): void;
  /** Bytes not yet delivered, record headers included: in the ring, in a thread's queue, held back. */
  available(): number;
  ref(): void;
  unref(): void;
  close(): void;
}

export interface NativePerfRecorder {
  /** What is there now, as pairs: the CPU, and the record's bytes; of each CPU the oldest first. */
  snapshot(): (number | Uint8Array)[];
  /** Idempotent. */
  close(): void;
}

export interface NativeUserRingWriterOptions {
  /** Descriptor of the BPF_MAP_TYPE_USER_RINGBUF; the writer keeps its own. EBUSY (operation "bind") when another writer has it open. */
  readonly mapFd: number;
  /** Between `watch()` and `rest()`: a program has drained something. Called once more than needed at first. */
  readonly onDrained: () => void;
}

/** Writes a user ring buffer with libbpf's user_ring_buffer. Stays open until `close()`; watching keeps the loop alive. */
export interface NativeUserRingWriter {
  /** Writes the first `size` bytes as one record: 0, -ENOSPC (full for now) or -E2BIG (more than the ring holds). */
  write(bytes: Uint8Array, size: number): number;
  /** A token for room that was reserved, or a negative errno as of `write`. */
  reserve(size: number): number;
  /** `bytes`: as many as were reserved. */
  submit(token: number, bytes: Uint8Array): void;
  discard(token: number): void;
  /** Bytes written and not yet drained, record headers included. */
  pending(): number;
  watch(): void;
  rest(): void;
  /** Discards what is reserved. Idempotent. */
  close(): void;
}

const require = createRequire(import.meta.url);

/** Folder of the prebuilt addon for this platform; glibc and musl cannot load each other's. */
function prebuild(): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const musl = report.header?.glibcVersionRuntime === undefined;
  return `${process.platform}-${process.arch}${musl ? "-musl" : ""}`;
}

/** EBPF_ADDON names an addon to load in place of the package's own: one built with sanitizers, or with another libbpf. */
function loadAddon(): NativeAddon {
  const chosen = process.env["EBPF_ADDON"];
  if (chosen !== undefined && chosen !== "") return require(resolve(chosen)) as NativeAddon;
  const bindings = require("bindings") as (options: object) => NativeAddon;
  const root = fileURLToPath(new URL("..", import.meta.url));
  const built = ["module_root", "build", "Release", "bindings"];
  try {
    const places = existsSync(join(root, "prebuilds"))
      ? [built, ["module_root", "prebuilds", prebuild(), "bindings"]]
      : [built];
    return bindings({ bindings: "ebpf", module_root: root, try: places });
  } catch (cause) {
    const { message } = cause as Error;
    throw new BpfError({
      code: "TOOL_MISSING",
      message: `the native addon cannot be loaded: the package has none for ${prebuild()}, or this system lacks what it needs; to build it here: cd ${root} && npm install --include=dev && npm run build:native. ${message}`,
      cause,
    });
  }
}

/** @throws BpfError LIBBPF_TOO_OLD where the libbpf in use has no such feature, which came with `version`; `what` begins the message */
export function needsLibbpf(addon: NativeAddon, feature: string, what: string, version: string): void {
  if (addon.libbpfFeatures.includes(feature)) return;
  throw new BpfError({
    code: "LIBBPF_TOO_OLD",
    message: `${what} needs libbpf ${version}; this build has ${addon.libbpfVersion}`,
  });
}

let addon: NativeAddon | undefined;

/** The addon, loaded on first use so that code which needs no kernel (BTF, codecs, types) runs without it. */
export function native(): NativeAddon {
  if (addon === undefined) {
    const loaded = loadAddon();
    // Most links go with the process; what the kernel has no link for would stay.
    process.on("exit", () => loaded.closeLinks());
    addon = loaded;
  }
  return addon;
}
