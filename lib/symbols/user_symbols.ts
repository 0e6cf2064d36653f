/** Names for addresses of processes. */
import { fstatSync } from "node:fs";
import { native } from "../native.js";
import { checkOptions, integer, invalid, shown } from "../options.js";
import { ElfFile, type FoundFunction } from "./elf_file.js";
import { PerfMap } from "./perf_map.js";
import {
  type MappedRegion,
  parseMaps,
  readPerfMap,
  readProc,
  regionAt,
  Unreadable,
  withMappedFile,
} from "./process_maps.js";

/** Why an address has no name. */
export type UnnamedReason =
  /** The process ended before it was looked at (or has no memory of its own, as the kernel's threads). */
  | "process_gone"
  /** This user may not look into the process, or not read its file. */
  | "permission_denied"
  /** Nothing is mapped there. */
  | "not_mapped"
  /** Memory of no file (`[vdso]`, a just-in-time compiler's code), and no perf map that knows it. */
  | "no_file"
  /** The file is no longer to be found. */
  | "file_gone"
  /** The file is no ELF file. */
  | "not_elf"
  /** Its symbol tables are larger than is read (256 MiB). */
  | "tables_too_large"
  /** No function of the file has it: it was stripped, or is no code. */
  | "no_symbol";

/** What is known of an address of a process. */
export interface UserSymbol {
  readonly address: bigint | undefined;
  /** The function; undefined where it is not known, and then `unnamed` says why. */
  readonly name: string | undefined;
  /** Bytes from the function's start, or 0. */
  readonly offset: number;
  /** The file that it lies in, as the process sees it, or `[vdso]` and the like; undefined for memory of no file. */
  readonly module: string | undefined;
  /** Bytes from the start of that file. */
  readonly moduleOffset: bigint | undefined;
  /** The file's build id in hex, which tells symbol servers which build it is; undefined when it has none or was not read. */
  readonly buildId: string | undefined;
  readonly unnamed: UnnamedReason | undefined;
}

/** A frame of a stack: an address, or what {@link StackTraceMap.getBuildIds} gives. */
export type UserFrame =
  | bigint
  | {
      readonly buildId: string | undefined;
      readonly offset: bigint | undefined;
      readonly address: bigint | undefined;
    };

export interface UserSymbolsOptions {
  /**
   * Names of C++ and Rust as in the source: `Server::accept(int)` for `_ZN6Server6acceptEi`. Only for processes whose files you trust: a crafted
   * name can take any amount of memory.
   */
  readonly demangle?: boolean | undefined;
  /** Bytes of symbol tables that are kept, 256 MiB by default; those of files that were not used for the longest time go first. */
  readonly cacheBytes?: number | undefined;
}

const CHECKS = { demangle: "boolean", cacheBytes: integer(0, Number.MAX_SAFE_INTEGER) } as const;
const DEFAULT_CACHE_BYTES = 256 * 1024 * 1024;
/** What a file takes besides its tables, so that small ones are bounded as well. */
const FILE_BYTES = 1024;
const MOST_PERF_MAP_BYTES = 64 * 1024 * 1024;
const MOST_PIDS = 2 ** 22;

type FileOrReason = ElfFile | UnnamedReason;

/**
 * Names for the addresses of processes: functions of programs and libraries by their ELF symbol tables (.symtab, .dynsym), those of containers and
 * deleted files included, and what just-in-time compilers write into /tmp/perf-PID.map, as `node --perf-basic-prof` does. Tables are read when they
 * are first needed, and kept for all processes that share a file. It holds no descriptors.
 *
 * Whatever goes wrong is data: {@link UserSymbol.unnamed}. Needs what ptrace(2) needs to look at a process of another user; CAP_SYS_ADMIN,
 * or CAP_CHECKPOINT_RESTORE (Linux 5.9), for files that were deleted or replaced while they are mapped.
 *
 * @example
 * ```ts
 * import { BpfObject, StackTraceMap, UserSymbols } from "ebpf";
 * using object = await BpfObject.load("profile.bpf.o");
 * object.attach();
 * const symbols = new UserSymbols();
 * const stacks = object.map("stacks", StackTraceMap);
 * for await (const { pid, stack } of object.ringBuffer<{ pid: number; stack: number }>("samples"))
 *   for (const frame of symbols.process(pid).stack(stacks.get(stack) ?? [])) console.log(symbols.describe(frame));
 * ```
 */
export class UserSymbols {
  readonly #demangle: boolean;
  readonly #cacheBytes: number;
  /** By what tells a file from any other, and a build of it from another; those used last are last. */
  readonly #files = new Map<string, FileOrReason>();
  #bytes = 0;

  /** @throws BpfError INVALID_ARGUMENT */
  constructor(options: UserSymbolsOptions = {}) {
    checkOptions("new UserSymbols", options, CHECKS);
    this.#demangle = options.demangle ?? false;
    this.#cacheBytes = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
  }

  /**
   * A process as it is now: what it maps is read here, so ask while it lives, and again after it has loaded a library or become another program.
   * @throws BpfError INVALID_ARGUMENT when `pid` is no process id, as this process sees them. A process that is not there is no error
   */
  process(pid: number): ProcessSymbols {
    if (!Number.isInteger(pid) || pid < 1 || pid > MOST_PIDS)
      throw invalid(`symbols.process: pid must be a whole number from 1 to ${MOST_PIDS}, got ${shown(pid)}`);
    return new ProcessSymbols(pid, {
      file: (region) => this.#file(pid, region),
      withBuildId: (buildId) => this.#withBuildId(buildId),
      name: (found) => this.#name(found),
    });
  }

  /** `main+0x1a (/usr/bin/app)`, `[unknown] (/usr/lib/libc.so.6+0x2724a)`, or the address in hex, as `perf script` has it. */
  describe(symbol: UserSymbol): string {
    const { name, offset, module, moduleOffset, buildId, address } = symbol;
    if (name !== undefined) return `${name}+0x${offset.toString(16)}${module === undefined ? "" : ` (${module})`}`;
    const place = module ?? (moduleOffset === undefined ? undefined : buildId);
    if (place !== undefined) return `[unknown] (${place}+0x${(moduleOffset ?? 0n).toString(16)})`;
    return `0x${(address ?? 0n).toString(16)}`;
  }

  #name({ name }: FoundFunction): string {
    // _R is Rust's newer way, which the C++ runtime does not know.
    return (this.#demangle && name.startsWith("_Z") ? native().demangle(name) : undefined) ?? name;
  }

  #file(pid: number, region: MappedRegion): FileOrReason {
    const found = withMappedFile(pid, region, (fd) => {
      const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
      const key = [dev, ino, size, mtimeNs, ctimeNs].join(":");
      const known = this.#files.get(key);
      const file = known ?? ElfFile.read(fd) ?? "not_elf";
      this.#keep(key, file, known !== undefined);
      return file;
    });
    return found instanceof Unreadable ? reasonOf(found) : found;
  }

  #keep(key: string, file: FileOrReason, known: boolean): void {
    this.#files.delete(key);
    this.#files.set(key, file);
    if (known) return;
    this.#bytes += bytesOf(file);
    for (const [oldest, other] of this.#files) {
      if (this.#bytes <= this.#cacheBytes || oldest === key) break;
      this.#files.delete(oldest);
      this.#bytes -= bytesOf(other);
    }
  }

  #withBuildId(buildId: string): ElfFile | undefined {
    for (const file of this.#files.values()) if (file instanceof ElfFile && file.buildId === buildId) return file;
    return undefined;
  }
}

interface Files {
  file(region: MappedRegion): FileOrReason;
  withBuildId(buildId: string): ElfFile | undefined;
  name(found: FoundFunction): string;
}

/** Names for the addresses of one process, as it was when {@link UserSymbols.process} looked at it. */
export class ProcessSymbols {
  readonly pid: number;
  /** Why nothing of it could be read; undefined when it could. */
  readonly problem: UnnamedReason | undefined;
  readonly #regions: readonly MappedRegion[];
  readonly #files: Files;
  readonly #ofRegions = new Map<MappedRegion, FileOrReason>();
  #perfMap: PerfMap | undefined;

  /** @internal */
  constructor(pid: number, files: Files) {
    this.pid = pid;
    this.#files = files;
    const maps = readProc(`/proc/${pid}/maps`);
    this.#regions = maps instanceof Unreadable ? [] : parseMaps(maps);
    if (maps instanceof Unreadable) this.problem = maps.code === "ENOENT" ? "process_gone" : reasonOf(maps);
    // A zombie, or a thread of the kernel.
    else this.problem = maps === "" ? "process_gone" : undefined;
  }

  /** What is known of an address: that of an instruction. The return addresses of a stack are the next instruction's: see `stack()`. */
  find(address: bigint): UserSymbol {
    if (typeof address !== "bigint") throw invalid(`symbols.find: address must be a bigint, got ${shown(address)}`);
    return this.#find(address, 0n);
  }

  /**
   * What is known of each frame of a stack, innermost first, as `bpf_get_stack()`, `bpf_get_stackid()` and StackTraceMap give them. A frame that
   * is no address but a build id is looked for among the files of the process, and all that were read before.
   */
  stack(frames: readonly UserFrame[]): UserSymbol[] {
    return frames.map((frame, i) => {
      // A return address is behind the call, which may be the last instruction of its function: the one before it is in it for sure.
      const back = i === 0 ? 0n : 1n;
      if (typeof frame === "bigint") return this.#find(frame, back);
      const { buildId, offset, address } = frame;
      if (buildId === undefined || offset === undefined) return this.#find(address ?? 0n, back);
      return this.#findBuildId(buildId, offset, back);
    });
  }

  #find(address: bigint, back: bigint): UserSymbol {
    const region = regionAt(this.#regions, address - back);
    if (region === undefined) return unnamed(address, this.problem ?? "not_mapped");
    const place = {
      module: region.path,
      moduleOffset: region.isFile ? address - region.start + region.offset : undefined,
    };
    if (!region.isFile || region.deleted) {
      const compiled = this.#compiled().find(address - back);
      if (compiled !== undefined) return { ...this.#named(address, compiled, back), ...place };
    }
    if (!region.isFile) return { ...unnamed(address, "no_file"), ...place };
    const file = this.#fileOf(region);
    if (typeof file === "string") return { ...unnamed(address, file), ...place };
    return { ...this.#inFile(file, address, address - region.start + region.offset, back), ...place };
  }

  #findBuildId(buildId: string, offset: bigint, back: bigint): UserSymbol {
    const region = this.#regions.find((region) => {
      const file = region.isFile ? this.#fileOf(region) : undefined;
      return file instanceof ElfFile && file.buildId === buildId;
    });
    const file = region === undefined ? this.#files.withBuildId(buildId) : this.#fileOf(region);
    const place = { module: region?.path, moduleOffset: offset, buildId };
    if (!(file instanceof ElfFile)) return { ...unnamed(undefined, this.problem ?? "file_gone"), ...place };
    return { ...this.#inFile(file, undefined, offset, back), ...place };
  }

  #inFile(file: ElfFile, address: bigint | undefined, offset: bigint, back: bigint): UserSymbol {
    const found = file.find(offset - back);
    if (found !== undefined) return { ...this.#named(address, found, back), buildId: file.buildId };
    return { ...unnamed(address, file.tooLarge ? "tables_too_large" : "no_symbol"), buildId: file.buildId };
  }

  #named(address: bigint | undefined, found: FoundFunction, back: bigint): UserSymbol {
    return {
      address,
      name: this.#files.name(found),
      offset: found.offset + Number(back),
      module: undefined,
      moduleOffset: undefined,
      buildId: undefined,
      unnamed: undefined,
    };
  }

  #fileOf(region: MappedRegion): FileOrReason {
    const known = this.#ofRegions.get(region);
    if (known !== undefined) return known;
    const file = this.#files.file(region);
    this.#ofRegions.set(region, file);
    return file;
  }

  #compiled(): PerfMap {
    if (this.#perfMap === undefined) {
      const text = readPerfMap(this.pid, MOST_PERF_MAP_BYTES);
      this.#perfMap = new PerfMap(text instanceof Unreadable ? "" : text);
    }
    return this.#perfMap;
  }
}

function unnamed(address: bigint | undefined, reason: UnnamedReason): UserSymbol {
  return {
    address,
    name: undefined,
    offset: 0,
    module: undefined,
    moduleOffset: undefined,
    buildId: undefined,
    unnamed: reason,
  };
}

function bytesOf(file: FileOrReason): number {
  return FILE_BYTES + (file instanceof ElfFile ? file.bytes : 0);
}

function reasonOf({ code }: Unreadable): UnnamedReason {
  if (code === "ESRCH") return "process_gone";
  return code === "EACCES" || code === "EPERM" ? "permission_denied" : "file_gone";
}
