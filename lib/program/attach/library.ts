/** Which file a program or library of user space is. */
import { accessSync, constants, readFileSync, realpathSync, statSync } from "node:fs";
import { endianness } from "node:os";
import { basename, delimiter, join } from "node:path";
import { BpfError } from "../../errors.js";
import { nearest } from "../../nearest.js";
import { type MappedRegion, parseMaps, readProc, Unreadable } from "../../symbols/process_maps.js";

const CACHE = "/etc/ld.so.cache";
const CACHE_MAGIC = "glibc-ld.so.cache1.1";
const CACHE_HEADER = 48;
const CACHE_ENTRY = 24;

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Libraries by name, as ldconfig has found them. The first of a name is the one that the loader prefers. */
function loaderCache(): Map<string, string> {
  const found = new Map<string, string>();
  let bytes: Buffer;
  try {
    bytes = readFileSync(CACHE);
  } catch {
    return found;
  }
  // Older caches begin with another table, of which this one follows.
  const start = bytes.indexOf(CACHE_MAGIC, 0, "latin1");
  if (start < 0 || start + CACHE_HEADER > bytes.length) return found;
  const u32 = (offset: number) => (endianness() === "LE" ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset));
  const text = (offset: number) => bytes.toString("latin1", start + offset, bytes.indexOf(0, start + offset));
  const count = u32(start + 20);
  for (let i = 0; i < count; i++) {
    const entry = start + CACHE_HEADER + i * CACHE_ENTRY;
    if (entry + CACHE_ENTRY > bytes.length) break;
    const [key, value] = [u32(entry + 4), u32(entry + 8)];
    if (start + key >= bytes.length || start + value >= bytes.length) break;
    const name = text(key);
    const path = text(value);
    // One cache serves several architectures; the ELF class of the file tells ours.
    if (!found.has(name) && isOurs(path)) found.set(name, path);
  }
  return found;
}

/**
 * A file by the path that has no links in it, for people to recognise. Links of /proc (`/proc/<pid>/root`, `/proc/<pid>/exe`) lead to a file that their
 * text may not: in a container, or deleted, the text is the name of another here, or of none. Those stay as they are.
 */
function withoutLinks(path: string): string {
  const identity = (file: string) => {
    const { dev, ino } = statSync(file, { bigint: true });
    return `${dev} ${ino}`;
  };
  try {
    const real = realpathSync(path);
    return identity(real) === identity(path) ? real : path;
  } catch {
    return path;
  }
}

function isOurs(path: string): boolean {
  // The triplets' and lib64's own folders; lib32 and libx32 are others'.
  return !/\/(lib32|libx32|i386-linux-gnu)\//.test(path);
}

function notFound(operation: string, name: string, places: string, candidates: Iterable<string>): BpfError {
  const near = nearest(name, candidates);
  return new BpfError({
    code: "NOT_FOUND",
    message: `${operation}: there is no ${name} ${places}${near === undefined ? "" : ` (did you mean "${near}"?)`}`,
  });
}

interface MappedFile {
  readonly name: string;
  readonly region: MappedRegion;
}

function mappedFiles(operation: string, pid: number): MappedFile[] {
  const maps = readProc(`/proc/${pid}/maps`);
  if (maps instanceof Unreadable) {
    throw new BpfError({
      code: "NOT_FOUND",
      message: `${operation}: there is no process ${pid}, or its memory map is not ours to read (${maps.code})`,
    });
  }
  return parseMaps(maps)
    .filter((region) => region.isFile)
    .map((region) => ({ name: basename(region.path as string), region }));
}

/** Where a mapped file is from here: in a container its path is below /proc/<pid>/root, and one that was deleted since has none. */
function pathOf(operation: string, pid: number, { name, region }: MappedFile): string {
  const path = region.path as string;
  const places = region.deleted ? [`/proc/${pid}/map_files/${region.name}`] : [`/proc/${pid}/root${path}`, path];
  const found = places.find(isFile);
  if (found !== undefined) return found;
  throw new BpfError({
    code: "NOT_FOUND",
    message: `${operation}: process ${pid} has mapped ${name}, which is not at ${places[0]}: it was deleted, or to look there needs CAP_SYS_ADMIN`,
  });
}

/**
 * The file of a program or library, as the dynamic loader would find it: a path as it is; a name among what the process has mapped
 * (when there is one), else in LD_LIBRARY_PATH, in the loader's cache, in the usual folders; a program's name in PATH.
 * `libc` is `libc.so.6`: a name without `.so` takes the first version there is.
 * @throws BpfError NOT_FOUND
 */
export function resolveBinary(operation: string, name: string, pid: number | undefined): string {
  if (name.includes("/")) {
    if (!isFile(name)) throw new BpfError({ code: "NOT_FOUND", message: `${operation}: there is no file ${name}` });
    return withoutLinks(name);
  }
  const fits = (file: string) => file === name || file.startsWith(`${name}.so`) || file.startsWith(`${name}-`);
  if (pid !== undefined && pid > 0) {
    const mapped = mappedFiles(operation, pid);
    const found = mapped.find((file) => file.name === name) ?? mapped.find((file) => fits(file.name));
    if (found !== undefined) return pathOf(operation, pid, found);
    throw notFound(
      operation,
      name,
      `among what process ${pid} has mapped`,
      mapped.map((file) => file.name),
    );
  }
  if (/^lib|\.so(\.|$)/.test(name)) {
    const cache = loaderCache();
    const names = [name, ...[...cache.keys()].filter(fits)];
    const folders = [...(process.env["LD_LIBRARY_PATH"] ?? "").split(delimiter).filter(Boolean)];
    for (const folder of folders)
      for (const candidate of [name, `${name}.so`])
        if (isFile(join(folder, candidate))) return withoutLinks(join(folder, candidate));
    for (const candidate of names) {
      const path = cache.get(candidate);
      if (path !== undefined && isFile(path)) return withoutLinks(path);
    }
    for (const folder of ["/lib64", "/usr/lib64", "/lib", "/usr/lib"])
      if (isFile(join(folder, name))) return withoutLinks(join(folder, name));
    throw notFound(
      operation,
      name,
      "where the dynamic loader looks (LD_LIBRARY_PATH, /etc/ld.so.cache, /lib, /usr/lib)",
      cache.keys(),
    );
  }
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (isFile(path)) return withoutLinks(path);
    } catch {
      // Not in this folder.
    }
  }
  throw notFound(operation, name, "in PATH", []);
}
