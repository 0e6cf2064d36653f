/** vmlinux.h: all types of a kernel, as one header for CO-RE programs. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { checkBtfFile } from "../btf/for_libbpf.js";
import { BpfError } from "../errors.js";
import { attempt } from "../kernel/explain.js";
import { native } from "../native.js";
import { makeFolder } from "./folder.js";

/** The running kernel's own BTF. Minimum kernel 5.4. */
export const KERNEL_BTF = "/sys/kernel/btf/vmlinux";

/**
 * The header for a kernel, from its BTF: the running kernel's, a copy of another's, or a vmlinux with debug information.
 * Programs that include it are relocated to whichever kernel loads them (CO-RE).
 *
 * @throws BpfError BTF_MISSING when this kernel has none, NOT_FOUND, BTF_INVALID
 */
export function vmlinuxHeader(btfPath: string = KERNEL_BTF): string {
  if (!existsSync(btfPath)) {
    throw btfPath === KERNEL_BTF
      ? new BpfError({
          code: "BTF_MISSING",
          message: `this kernel has no BTF: ${KERNEL_BTF} is not there (CONFIG_DEBUG_INFO_BTF); give the BTF or the vmlinux.h of another with --vmlinux`,
        })
      : new BpfError({ code: "NOT_FOUND", message: `no such file: ${btfPath}` });
  }
  // The kernel's own it has looked at itself.
  if (btfPath !== KERNEL_BTF) checkBtfFile(btfPath);
  let types: string;
  try {
    types = attempt({ doing: `read BTF from ${btfPath}` }, () => native().dumpBtf(btfPath));
  } catch (error) {
    if (!(error instanceof BpfError) || error.code === "PERMISSION_DENIED") throw error;
    throw new BpfError({
      code: "BTF_INVALID",
      message: `${btfPath} has no BTF that libbpf can read: it must be raw BTF such as ${KERNEL_BTF}, or an ELF file with a .BTF section`,
      cause: error,
    });
  }
  // To the byte what `bpftool btf dump file ... format c` writes around them.
  return `#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

${types}#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
`;
}

/**
 * A folder to add to the include path that has a vmlinux.h: of the running kernel, or `from`, which is a header or BTF.
 * Made once and kept in the user's cache, for each kernel one.
 */
export function vmlinuxFolder(from?: string | undefined): string {
  if (from !== undefined && basename(from) === "vmlinux.h" && existsSync(from)) return resolve(dirname(from));
  const path = from ?? KERNEL_BTF;
  if (from !== undefined && !existsSync(from))
    throw new BpfError({ code: "NOT_FOUND", message: `no such file: ${from}` });
  if (from !== undefined && !statSync(from).isFile())
    throw new BpfError({ code: "INVALID_ARGUMENT", message: `${from} is not a file: give a vmlinux.h, or BTF` });
  if (from !== undefined && isText(from)) return keep(digestOf(from), () => readFileSync(from, "utf8"));
  if (!existsSync(path)) vmlinuxHeader(path);
  return keep(digestOf(path), () => vmlinuxHeader(path));
}

/** BTF and ELF begin with bytes that no header does. */
function isText(path: string): boolean {
  const start = Buffer.alloc(4);
  const fd = openSync(path, "r");
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  return start.every((byte) => byte >= 9 && byte < 0x7f);
}

function digestOf(path: string): string {
  return createHash("sha256")
    .update(`${native().libbpfVersion}\n`)
    .update(readFileSync(path))
    .digest("hex")
    .slice(0, 20);
}

function keep(digest: string, make: () => string): string {
  const failures: unknown[] = [];
  for (const base of cacheFolders()) {
    const folder = join(base, `vmlinux-${digest}`);
    const file = join(folder, "vmlinux.h");
    if (existsSync(file)) return folder;
    try {
      makeFolder(folder, 0o700);
      // Whoever reads it meanwhile sees none or all of it.
      const unfinished = `${file}.${process.pid}`;
      writeFileSync(unfinished, make());
      renameSync(unfinished, file);
      return folder;
    } catch (error) {
      if (error instanceof BpfError) throw error;
      failures.push(error);
    }
  }
  throw new BpfError({
    code: "SYSTEM",
    message: `cannot write vmlinux.h into a cache: ${(failures[0] as Error).message}`,
    cause: failures[0],
  });
}

/** The user's cache; where a home cannot be written, as for a service, one of this user's in the temporary folder. */
function cacheFolders(): string[] {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return [join(cache, "ebpf"), join(tmpdir(), `ebpf-${userInfo().uid}`)];
}
