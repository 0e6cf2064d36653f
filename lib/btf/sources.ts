/** Where BTF is found: the running kernel, its modules, files. */
import { readFileSync } from "node:fs";
import { BpfError } from "../errors.js";
import { Btf, type BtfOptions } from "./btf.js";

const SYSFS = "/sys/kernel/btf";

let kernel: Btf | undefined;
const modules = new Map<string, Btf>();

/** A file's bytes. @internal */
export function readBtf(path: string, missing: () => BpfError = () => notThere(path)): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code, errno } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw missing();
    const denied = code === "EACCES" || code === "EPERM";
    throw new BpfError({
      code: denied ? "PERMISSION_DENIED" : "SYSTEM",
      message: `cannot read BTF from ${path}: ${(cause as Error).message}`,
      errno: errno === undefined ? undefined : Math.abs(errno),
      operation: "read",
      cause,
    });
  }
}

function notThere(path: string): BpfError {
  return new BpfError({ code: "NOT_FOUND", message: `no such file: ${path}` });
}

/** @internal */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * The running kernel's BTF, read once per process from /sys/kernel/btf/vmlinux (Linux 5.4 with CONFIG_DEBUG_INFO_BTF).
 *
 * @throws BpfError `BTF_MISSING` when the kernel was built without it.
 */
export function kernelBtf(): Btf {
  if (kernel === undefined) {
    const path = `${SYSFS}/vmlinux`;
    kernel = Btf.parse(
      readBtf(path, () => {
        return new BpfError({
          code: "BTF_MISSING",
          message: `this kernel has no BTF: ${path} is not there (CONFIG_DEBUG_INFO_BTF)`,
        });
      }),
      { name: path },
    );
  }
  return kernel;
}

/**
 * A loaded module's BTF, split BTF on top of the kernel's (Linux 5.11 with CONFIG_DEBUG_INFO_BTF_MODULES).
 * It is read once per process: a module reloaded in another build needs a new process.
 *
 * @throws BpfError `BTF_MISSING` when no such module is loaded or it has no BTF.
 */
export function moduleBtf(name: string): Btf {
  // The name becomes part of a path; the kernel's names have no separators.
  if (!/^[\w-]+$/.test(name))
    throw new BpfError({ code: "INVALID_ARGUMENT", message: `"${name}" is not a module's name` });
  if (name === "vmlinux") return kernelBtf();
  const known = modules.get(name);
  if (known !== undefined) return known;
  const path = `${SYSFS}/${name.replaceAll("-", "_")}`;
  const bytes = readBtf(path, () => {
    return new BpfError({
      code: "BTF_MISSING",
      message: `no BTF for module ${name}: ${path} is not there (is the module loaded, and CONFIG_DEBUG_INFO_BTF_MODULES set?)`,
    });
  });
  const btf = Btf.parse(bytes, { base: kernelBtf(), name: path });
  modules.set(name, btf);
  return btf;
}

/**
 * BTF from a file that holds nothing else, such as a copy of /sys/kernel/btf/vmlinux or an archive like BTFHub's, unpacked.
 * For an ELF object open it with `BpfObject`: libbpf reads its sections.
 *
 * @throws BpfError `NOT_FOUND`, or `BTF_INVALID` when it is something else.
 */
export function fileBtf(path: string, options: BtfOptions = {}): Btf {
  const bytes = readBtf(path);
  if (isElf(bytes)) {
    throw new BpfError({
      code: "BTF_INVALID",
      message: `${path} is an ELF object, not raw BTF; open it with BpfObject.open, or extract .BTF with objcopy`,
    });
  }
  return Btf.parse(bytes, { name: path, ...options });
}
