import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "./cache.mjs";

/** The kernels the library is tested on, oldest first, and the Debian suite each comes from. */
export const series = /** @type {const} */ ([
  { name: "5.10", suite: "bullseye" },
  { name: "6.1", suite: "bookworm" },
  { name: "6.12", suite: "bookworm-backports" },
  { name: "newest", suite: "sid" },
]);

/**
 * @typedef {object} Kernel
 * @property {string} name     Name of its series, as in {@link series}.
 * @property {string} suite
 * @property {string} release  What `uname -r` says.
 * @property {string} version  The first two numbers of it.
 * @property {string} directory
 * @property {string} vmlinuz
 * @property {string} modules  The folder that is /lib/modules/<release>.
 */

/** A mistake of the caller's, or of the machine; its message is all there is to say. */
export class VmError extends Error {}

/** @param {string} name @returns {Kernel | undefined} undefined when it is not in the cache */
function cached(name) {
  const entry = series.find((s) => s.name === name);
  const home = cacheDirectory("kernels", name);
  if (entry === undefined || !existsSync(join(home, "current"))) return undefined;
  const release = readFileSync(join(home, "current"), "utf8").trim();
  const directory = join(home, release);
  return {
    ...entry,
    release,
    version: release.split(".").slice(0, 2).join("."),
    directory,
    vmlinuz: join(directory, "vmlinuz"),
    modules: join(directory, "lib/modules", release),
  };
}

/** Every series with what is cached of it. */
export function listKernels() {
  return series.map((entry) => ({ ...entry, cached: cached(entry.name) }));
}

/**
 * The series that a user means: its name, or the version of the newest ("7", "7.x", "7.2").
 * @param {string} wanted
 */
export function seriesFor(wanted) {
  const exact = series.find((s) => s.name === wanted);
  if (exact !== undefined) return exact;
  // The newest one's number changes with Debian, so any major that no other series has means it.
  const major = /^(\d+)(\.(\d+|x))?$/.exec(wanted)?.[1];
  const newest = series.find((s) => s.name === "newest");
  if (major !== undefined && Number(major) >= 7 && newest !== undefined) return newest;
  throw new VmError(`no kernel "${wanted}"; there are ${series.map((s) => s.name).join(", ")} (newest: also as 7.x)`);
}

/**
 * The kernel, downloaded first when the cache does not have it.
 * @param {string} wanted
 * @param {{ update?: boolean }} [options] `update` asks Debian for a newer one of the same series
 * @returns {Promise<Kernel>}
 */
export async function ensureKernel(wanted, { update = false } = {}) {
  const { name, suite } = seriesFor(wanted);
  let kernel = cached(name);
  if (kernel === undefined || update) {
    const script = fileURLToPath(new URL("fetch-kernel", import.meta.url));
    const child = spawn(script, [suite, cacheDirectory("kernels", name), ...(update ? ["--update"] : [])], {
      stdio: ["ignore", 2, 2],
    });
    const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
    kernel = cached(name);
    if (code !== 0 || kernel === undefined) throw new VmError(`kernel ${name}: could not be fetched from ${suite}`);
  }
  return kernel;
}

/**
 * The kernel as an uncompressed ELF file. Decompressing itself is most of a kernel's boot where every instruction is
 * emulated, and QEMU boots the ELF file directly when it carries the Xen PVH entry, as Debian's do.
 * @param {Kernel} kernel
 * @returns {string | undefined} undefined when it cannot be taken apart
 */
export function uncompressedKernel(kernel) {
  const path = join(kernel.directory, "vmlinux");
  if (existsSync(path)) return path;
  const image = readFileSync(kernel.vmlinuz);
  // Documentation/arch/x86/boot.rst: setup_sects, "HdrS", payload_offset and payload_length (protocol 2.08).
  if (image.length < 0x250 || image.toString("latin1", 0x202, 0x206) !== "HdrS") return undefined;
  const start = ((image[0x1f1] || 4) + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  const tool =
    payload.readUInt32BE(0) === 0xfd377a58
      ? ["xz", "-dc", "--single-stream"]
      : payload.readUInt32LE(0) === 0xfd2fb528
        ? ["zstd", "-dcq"]
        : undefined;
  if (tool === undefined) return undefined;
  const [command = "", ...args] = tool;
  try {
    // The payload ends with four bytes of size that are not part of the stream.
    const elf = execFileSync(command, args, {
      input: payload.subarray(0, -4),
      maxBuffer: 1 << 30,
      stdio: ["pipe", "pipe", "ignore"],
    });
    if (elf.readUInt32BE(0) !== 0x7f454c46) return undefined;
    writeFileSync(`${path}.${process.pid}`, elf);
    renameSync(`${path}.${process.pid}`, path);
    return path;
  } catch {
    return undefined; // no such tool here: the compressed image boots too, later
  }
}
