/**
 * The boundary to the C++ addon: its types, and the one place that loads it.
 *
 * Nothing else in the library touches the addon. The addon trusts its input: whatever is passed here was checked before.
 * Every native call that fails throws a {@link NativeFailure}; `errors.ts` turns that into a `BpfError` with an explanation.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

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

export interface NativeAddon {
  /** Version of the libbpf linked in, for example "1.7.0". */
  readonly libbpfVersion: string;
  /** Optional libbpf API this build has, by the version that brought it: see `native/src/libbpf_features.h`. */
  readonly libbpfFeatures: readonly string[];
  readonly Object: new (source: string | Uint8Array, options: NativeOpenOptions) => NativeObject;
  readonly RingReader: new (options: NativeRingReaderOptions) => NativeRingReader;
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
  /** libbpf_num_possible_cpus(). */
  possibleCpus(): number;
  /** Sends libbpf's messages up to `level` to `sink`, on this environment's thread, after the operation that printed them. */
  setLogger(level: NativeLogLevel, sink: ((level: NativeLogLevel, message: string) => void) | null): void;
  /** libbpf_probe_bpf_prog_type: 1 supported, 0 not, negative errno when it cannot tell. */
  probeProgramType(type: number): number;
  probeMapType(type: number): number;
  probeHelper(programType: number, helper: number): number;
  /** Type number by libbpf's own table of names, for example programTypeName(2) is "kprobe". */
  programTypeName(type: number): string | undefined;
  attachTypeName(type: number): string | undefined;
  mapTypeName(type: number): string | undefined;
  linkTypeName(type: number): string | undefined;
  /** BPF_PROG_TEST_RUN. */
  testRun(programFd: number, options: NativeTestRunOptions): NativeTestRunResult;
  /** btf_dump: every type of a BTF file (raw, or an ELF object's) as C declarations. */
  dumpBtf(path: string): string;
  /** The .BTF.ext section of an ELF object, which btf__parse_elf reads; undefined when it has none. */
  readBtfExtension(path: string): Uint8Array | undefined;
}

/** An opened, later loaded, bpf_object. It stays alive until `close()`, whatever the garbage collector does. */
export interface NativeObject {
  readonly name: string;
  readonly programs: readonly NativeProgram[];
  readonly maps: readonly NativeMapDefinition[];
  /** A copy of the object's .BTF section; undefined when it has none. */
  btf(): Uint8Array | undefined;
  /** bpf_object__load on a libuv worker thread; rejects with a NativeFailure. */
  load(): Promise<void>;
  /** The same on this thread, for the rare case that cannot wait (a variant chosen at attach). */
  loadSync(): void;
  /** Frees the object, its programs and its maps' descriptors. Idempotent. Links must be closed first (lib/ does). */
  close(): void;
}

/** A bpf_program. Every method throws after the object is closed. */
export interface NativeProgram {
  readonly name: string;
  readonly section: string;
  readonly instructionCount: number;
  type: number;
  expectedAttachType: number;
  autoload: boolean;
  autoattach: boolean;
  logLevel: number;
  flags: number;
  /** bpf_program__set_attach_target: for fentry, fexit, freplace, tp_btf, lsm. `programFd` 0 means the kernel. */
  setAttachTarget(programFd: number, functionName: string): void;
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
}

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
  /**
   * Copies from the section's data: before load its initial value, after load the live mapping; no system call after the first.
   * A copy of 4 or 8 bytes at an address aligned to its size is one atomic load (acquire).
   */
  readData(offset: number, target: Uint8Array): void;
  /** The other way; EPERM for .rodata after load. 4 and 8 aligned bytes are one atomic store (release). */
  writeData(offset: number, source: Uint8Array): void;
  /** A handle with a descriptor of its own (F_DUPFD_CLOEXEC), for after load. */
  open(): NativeMap;
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
  /** Descriptor of the BPF_MAP_TYPE_RINGBUF; the reader's libbpf ring_buffer keeps its own mapping, so the map may be closed. */
  readonly mapFd: number;
  /** Where records are copied, each at an offset that is a multiple of 8. Made by lib/, never shown to users. */
  readonly slab: ArrayBuffer;
  /** Pairs (offset, length) per record, written only when a batch is not uniform. Bounds the records of a batch. */
  readonly index: Int32Array;
  /**
   * Called at most once per turn of the event loop, never with count 0, in its own callback scope (microtasks run after it).
   * stride > 0: `count` records of `size` bytes each, at 0, stride, 2*stride, ...; stride 0: see `index`.
   */
  readonly onBatch: (count: number, stride: number, size: number) => void;
  /** The next record is larger than the slab and is held back; call `setBuffers` with at least `bytes`, then it comes. */
  readonly onOversize: (bytes: number) => void;
}

/**
 * Reads one ring with libbpf's ring_buffer, driven by uv_poll on the owning environment's loop.
 * Stays alive (and, while started and ref'ed, keeps the loop alive) until `close()`.
 */
export interface NativeRingReader {
  start(): void;
  stop(): void;
  /** Drains at most one slab now, synchronously, calling onBatch; returns the number of records. */
  drain(): number;
  setBuffers(slab: ArrayBuffer, index: Int32Array): void;
  /** Bytes in the ring not yet consumed, record headers included. */
  available(): number;
  ref(): void;
  unref(): void;
  close(): void;
}

const require = createRequire(import.meta.url);

function loadAddon(): NativeAddon {
  const bindings = require("bindings") as (options: object) => NativeAddon;
  const root = fileURLToPath(new URL("..", import.meta.url));
  return bindings({ bindings: "ebpf", module_root: root });
}

let addon: NativeAddon | undefined;

/** The addon, loaded on first use so that code which needs no kernel (BTF, codecs, types) runs without it. */
export function native(): NativeAddon {
  addon ??= loadAddon();
  return addon;
}
