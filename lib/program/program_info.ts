import { closeSync } from "node:fs";
import { ProgramType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { fdInfo } from "../kernel/fd_info.js";
import { InfoBuffer, u32List } from "../kernel/layout.js";
import { snakeCase } from "../kernel/since.js";
import { native } from "../native.js";

/** What the kernel says of a program. */
export interface ProgramInfo {
  readonly id: number;
  /** libbpf's name of the type, for example `kprobe`. */
  readonly type: string;
  /** As the kernel keeps it: 15 characters at most. */
  readonly name: string;
  /** SHA of the instructions, as 16 hexadecimal digits: the same program has the same tag on every machine. */
  readonly tag: string;
  readonly gplCompatible: boolean;
  /** When it was loaded: nanoseconds since boot (CLOCK_BOOTTIME). */
  readonly loadTimeNs: bigint;
  /** User id of who loaded it. */
  readonly uid: number;
  /** Bytes of machine code; 0 when the JIT compiler is off. */
  readonly jitedSize: number;
  /** Bytes of BPF instructions, after the verifier's changes. */
  readonly translatedSize: number;
  /** Bytes of kernel memory; undefined without /proc. */
  readonly memory: number | undefined;
  readonly mapIds: readonly number[];
  /** The kernel's number for the program's BTF; 0 when it has none. */
  readonly btfId: number;
  /** For tracing programs: BTF object and type that it was verified against; 0 for others. Minimum kernel 5.17. */
  readonly attachBtfObjectId: number;
  readonly attachBtfId: number;
  /** Nanoseconds that it ran, and how often: counted while statistics are on, see {@link enableStatistics}. Minimum kernel 5.1. */
  readonly runTimeNs: bigint;
  readonly runCount: bigint;
  /** Runs left out because the program was running on that CPU already. Minimum kernel 5.12. */
  readonly recursionMisses: bigint;
  /** Instructions that the verifier looked at. Minimum kernel 5.16. */
  readonly verifiedInstructions: number;
  /** For programs that are bound to a device: its index, and the inode number of its network namespace. */
  readonly interfaceIndex: number;
  readonly netnsInode: bigint;
}

const SIZE = 232;
const PROGRAM_TYPE_NAMES = new Map<number, string>(
  Object.entries(ProgramType).map(([name, type]) => [type, snakeCase(name)]),
);

/** libbpf's name of a program type, also of one that the libbpf in use does not know yet. */
export function programTypeName(type: number): string {
  return PROGRAM_TYPE_NAMES.get(type) ?? native().programTypeName(type) ?? `type ${type}`;
}

/** @internal */
export function readProgramInfo(fd: number, what: string): ProgramInfo {
  // Twice: first for the number of maps, which can only grow (bpf_prog_bind_map).
  const count = new InfoBuffer(SIZE).fill(fd, what).u32(52);
  const ids = new Uint8Array(Math.max(1, count) * 4);
  const info = new InfoBuffer(SIZE);
  if (count > 0) {
    info.setU32(52, count);
    info.point(56, ids);
  }
  info.fill(fd, what);
  return {
    id: info.u32(4),
    type: programTypeName(info.u32(0)),
    name: info.text(64, 16),
    tag: info.hex(8, 8),
    gplCompatible: (info.u32(84) & 1) === 1,
    loadTimeNs: info.u64(40),
    uid: info.u32(48),
    jitedSize: info.u32(16),
    translatedSize: info.u32(20),
    memory: fdInfo(fd)("memlock"),
    mapIds: u32List(ids, Math.min(count, info.u32(52))),
    btfId: info.u32(128),
    attachBtfObjectId: info.u32(220),
    attachBtfId: info.u32(224),
    runTimeNs: info.u64(192),
    runCount: info.u64(200),
    recursionMisses: info.u64(208),
    verifiedInstructions: info.u32(216),
    interfaceIndex: info.u32(80),
    netnsInode: info.u64(96),
  };
}

/** Statistics are on until this is closed. */
export interface Statistics extends Disposable {
  close(): void;
}

/**
 * Has the kernel count, for every program of the system, how often and how long it runs: see {@link ProgramInfo.runTimeNs}.
 * It costs each run some 20 ns. Ends with `close()` or the process. Minimum kernel 5.8.
 *
 * @example
 * ```ts
 * import { enableStatistics, listPrograms } from "ebpf";
 * using _statistics = enableStatistics();
 * for (const { name, runCount, runTimeNs } of listPrograms()) console.log(name, runCount, runTimeNs);
 * ```
 * @throws BpfError PERMISSION_DENIED, KERNEL_UNSUPPORTED
 */
export function enableStatistics(): Statistics {
  const fd = attempt(
    {
      doing: "switch BPF statistics on",
      meanings: {
        [errno.EPERM]: { code: "PERMISSION_DENIED", text: "statistics of all programs need root, or CAP_SYS_ADMIN" },
      },
    },
    () => native().enableStats(),
  );
  let open = true;
  const close = () => {
    if (open) closeSync(fd);
    open = false;
  };
  return { close, [Symbol.dispose]: close };
}
