/** What a process has mapped, and its files, from /proc/PID: also of a process in a container. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { BpfError } from "../errors.js";

/** A line of /proc/PID/maps. */
export interface MappedRegion {
  readonly start: bigint;
  readonly end: bigint;
  /** Where in the file. */
  readonly offset: bigint;
  /** Its file as the process sees it, `[vdso]` and the like, or undefined for memory of no file. */
  readonly path: string | undefined;
  /** There is a file, be it that it was deleted since. */
  readonly isFile: boolean;
  readonly deleted: boolean;
  /** Its name in /proc/PID/map_files. */
  readonly name: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S{4} ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ (\d+)(?: +(.*))?$/;
const DELETED = " (deleted)";

/** By their addresses, as the kernel lists them. */
export function parseMaps(text: string): MappedRegion[] {
  const regions: MappedRegion[] = [];
  for (const line of text.split("\n")) {
    const [, start, end, offset, inode, shown = ""] = LINE.exec(line) ?? [];
    if (start === undefined || end === undefined || offset === undefined) continue;
    // The kernel writes a newline in a name as \012.
    const name = shown.replaceAll("\\012", "\n");
    const deleted = name.endsWith(DELETED);
    const path = deleted ? name.slice(0, -DELETED.length) : name;
    // Shared memory of no file has an inode too; its names are /memfd:x, /SYSV00000000, /dev/zero, all deleted, and [anon_shmem:x].
    const isFile = inode !== "0" && path.startsWith("/");
    regions.push({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      offset: BigInt(`0x${offset}`),
      path: path === "" || path.startsWith("//anon") ? undefined : path,
      isFile,
      deleted,
      // Without the zeros that maps has in front.
      name: `${BigInt(`0x${start}`).toString(16)}-${BigInt(`0x${end}`).toString(16)}`,
    });
  }
  return regions;
}

export function regionAt(regions: readonly MappedRegion[], address: bigint): MappedRegion | undefined {
  let low = 0;
  let high = regions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((regions[middle] as MappedRegion).end <= address) low = middle + 1;
    else high = middle;
  }
  const region = regions[low];
  return region !== undefined && region.start <= address ? region : undefined;
}

/** Why something of a process could not be read: an errno's name. */
export class Unreadable {
  readonly code: string;

  constructor(error: unknown) {
    this.code = (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** An open file, for as long as `use` runs. */
export function withMappedFile<T>(pid: number, region: MappedRegion, use: (fd: number) => T): T | Unreadable {
  // The very file, whatever became of its name; it takes CAP_SYS_ADMIN, or CAP_CHECKPOINT_RESTORE from 5.9 on.
  const exact = withRegularFile(`/proc/${pid}/map_files/${region.name}`, 0, use);
  if (!(exact instanceof Unreadable) || region.deleted) return exact;
  const named = withRegularFile(`/proc/${pid}/root${region.path}`, 0, use);
  return named instanceof Unreadable && exact.code !== "ENOENT" ? exact : named;
}

/**
 * What is opened is another's: it must be a plain file, since to open a pipe waits and to open a device does things.
 * The descriptor is closed when `use` returns.
 */
export function withRegularFile<T>(path: string, flags: number, use: (fd: number) => T): T | Unreadable {
  let fd: number;
  try {
    if (!statSync(path).isFile()) return new Unreadable({ code: "EINVAL" });
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | flags);
  } catch (error) {
    return new Unreadable(error);
  }
  try {
    return fstatSync(fd).isFile() ? use(fd) : new Unreadable({ code: "EINVAL" });
  } catch (error) {
    // The addon's own errors are mistakes, and those of the file's what they say.
    if (error instanceof BpfError || (error as NodeJS.ErrnoException).code === undefined) throw error;
    return new Unreadable(error);
  } finally {
    closeSync(fd);
  }
}

/** A file of /proc as text. */
export function readProc(path: string): string | Unreadable {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return new Unreadable(error);
  }
}

/**
 * The text of the perf map that the process wrote, in its own /tmp and under the number that it has for itself.
 * Only its own or root's: anybody can put a file there.
 */
export function readPerfMap(pid: number, mostBytes: number): string | Unreadable {
  const status = readProc(`/proc/${pid}/status`);
  if (status instanceof Unreadable) return status;
  const own = /^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? String(pid);
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1]);
  return withRegularFile(`/proc/${pid}/root/tmp/perf-${own}.map`, constants.O_NOFOLLOW, (fd) => {
    const found = fstatSync(fd);
    if (found.uid !== uid && found.uid !== 0) return new Unreadable({ code: "EPERM" });
    const bytes = Buffer.allocUnsafe(Math.min(found.size, mostBytes));
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(fd, bytes, length, bytes.length - length, length);
    return bytes.toString("utf8", 0, length);
  });
}
