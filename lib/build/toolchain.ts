/** Finding clang, and the flags that BPF C is compiled with. */
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfError } from "../errors.js";
import { run } from "./run.js";

export interface Clang {
  readonly command: string;
  readonly major: number;
  /** First line of `clang --version`. */
  readonly version: string;
}

/** Older ones lack BTF type tags (14) and miscompile some atomics. */
const OLDEST_CLANG = 14;
const HOW_TO_INSTALL =
  "install it (Debian and Ubuntu: apt install clang; Fedora: dnf install clang; Alpine: apk add clang), or name one with --clang or EBPF_CLANG";

/** libbpf's __TARGET_ARCH_*, and Debian's multi-arch triplet, by Node's name of the architecture. */
const ARCHITECTURES = {
  arm: { target: "arm", triplet: "arm-linux-gnueabihf" },
  arm64: { target: "arm64", triplet: "aarch64-linux-gnu" },
  loong64: { target: "loongarch", triplet: "loongarch64-linux-gnu" },
  ppc64: { target: "powerpc", triplet: "powerpc64le-linux-gnu" },
  riscv64: { target: "riscv", triplet: "riscv64-linux-gnu" },
  s390x: { target: "s390", triplet: "s390x-linux-gnu" },
  x64: { target: "x86", triplet: "x86_64-linux-gnu" },
} as const;

/** An architecture by Node's name for it (`process.arch`). */
export type Architecture = keyof typeof ARCHITECTURES;

export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as readonly Architecture[];

async function inspectClang(command: string): Promise<Clang | undefined> {
  const result = await run(command, ["--version"]);
  const found = result.status === 0 ? /clang version (\d+)/.exec(result.stdout) : null;
  return found === null
    ? undefined
    : { command, major: Number(found[1]), version: result.stdout.split("\n", 1)[0] as string };
}

function candidates(): string[] {
  const found: string[] = [];
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (folder === "" || !existsSync(folder)) continue;
    try {
      for (const name of readdirSync(folder)) if (/^clang(-\d+)?$/.test(name)) found.push(join(folder, name));
    } catch {
      // A folder of PATH that may not be read has no clang for us.
    }
  }
  return found;
}

/**
 * The clang to compile with: `asked`, else $EBPF_CLANG, else the newest on PATH.
 * @throws BpfError TOOL_MISSING
 */
export async function findClang(asked: string | undefined): Promise<Clang> {
  const named = asked ?? (process.env["EBPF_CLANG"] || undefined);
  if (named !== undefined) {
    const clang = await inspectClang(named);
    if (clang === undefined) throw missing(`"${named}" is not a clang that runs: ${HOW_TO_INSTALL}`);
    return recent(clang);
  }
  const all = await Promise.all(candidates().map(inspectClang));
  const [newest] = all.filter((clang) => clang !== undefined).sort((a, b) => b.major - a.major);
  if (newest === undefined) throw missing(`compiling BPF needs clang, which is not on PATH: ${HOW_TO_INSTALL}`);
  return recent(newest);
}

function recent(clang: Clang): Clang {
  if (clang.major < OLDEST_CLANG)
    throw missing(`${clang.version} is too old: clang ${OLDEST_CLANG} or newer is needed`);
  return clang;
}

function missing(message: string): BpfError {
  return new BpfError({ code: "TOOL_MISSING", message });
}

/** llvm-strip of the same version: it drops DWARF and keeps .BTF and .BTF.ext; binutils' strip does not know BPF. */
export async function findStrip(clang: Clang): Promise<string | undefined> {
  const beside = clang.command.includes("/")
    ? [join(clang.command, "..", "llvm-strip"), join(clang.command, "..", `llvm-strip-${clang.major}`)]
    : [];
  for (const command of [`llvm-strip-${clang.major}`, ...beside, "llvm-strip"]) {
    if ((await run(command, ["--version"])).status === 0) return command;
  }
  return undefined;
}

// lib/build and dist/build are as deep.
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Our headers: <ebpf/events.h>. */
export const OUR_HEADERS = join(ROOT, "bpf/include");

/** libbpf's headers for BPF C, and the kernel's <linux/bpf.h> that goes with them: the package's copy, or that of a clone. */
export function libbpfHeaders(): string | undefined {
  return [join(ROOT, "dist/include"), join(ROOT, ".deps/libbpf/include")].find((folder) =>
    existsSync(join(folder, "bpf/bpf_helpers.h")),
  );
}

/**
 * Flags for programs of `arch`, by default this machine's.
 * @throws BpfError TOOL_MISSING for an architecture that BPF programs are not written for
 */
export function compilerFlags(arch: string = process.arch): string[] {
  const architecture = architectureOf(arch);
  if (architecture === undefined) throw missing(`no BPF target is known for the architecture ${arch}`);
  const flags = [
    "-g",
    "-O2",
    "-target",
    "bpf",
    "-mcpu=v3",
    `-D__TARGET_ARCH_${architecture.target}`,
    "-Wall",
    // A vmlinux.h of Linux 6.19 or newer, which is built so itself, has members that are a named struct without a name of their own.
    "-fms-extensions",
    "-Wno-microsoft-anon-tag",
    "-I",
    OUR_HEADERS,
  ];
  const libbpf = libbpfHeaders();
  if (libbpf !== undefined) flags.push("-isystem", libbpf);
  // -target bpf has no multi-arch folder, and <linux/types.h> needs <asm/types.h> from there; this machine's has the same types.
  for (const { triplet } of [architecture, architectureOf(process.arch) ?? architecture]) {
    const multiArch = `/usr/include/${triplet}`;
    if (existsSync(multiArch) && !flags.includes(multiArch)) flags.push("-idirafter", multiArch);
  }
  return flags;
}

function architectureOf(arch: string) {
  return Object.hasOwn(ARCHITECTURES, arch) ? ARCHITECTURES[arch as Architecture] : undefined;
}
