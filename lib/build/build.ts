import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { BpfError } from "../errors.js";
import { abortSignal, checkOptions, invalid, oneOf, shown } from "../options.js";
import { CompileError, type Diagnostic, parseDiagnostics } from "./compile_error.js";
import { run } from "./run.js";
import { ARCHITECTURE_NAMES, type Architecture, type Clang, compilerFlags, findClang, findStrip } from "./toolchain.js";
import { vmlinuxFolder } from "./vmlinux.js";

/** What to compile: a file, or text. */
export type BuildSource =
  | { readonly file: string }
  | {
      readonly code: string;
      /** What clang calls it in messages. By default `program.bpf.c`. */
      readonly name?: string | undefined;
    };

export interface BuildOptions {
  /** The compiler; by default `$EBPF_CLANG`, else the newest clang on PATH, 14 at least. */
  readonly clang?: string | undefined;
  /** What `#include "vmlinux.h"` means: a header, or BTF to make it from. By default that of the running kernel is made. */
  readonly vmlinux?: string | undefined;
  /**
   * For which machines, by Node's name (`x64`, `arm64`, ...); by default this one's. It decides what `PT_REGS_PARM1()` and the like mean; the
   * kernel's types are those of `vmlinux`, which is then to be of such a machine too.
   */
  readonly arch?: Architecture | undefined;
  /** More folders for `#include`. */
  readonly include?: readonly string[] | undefined;
  /** Macros: `{ MAX_FLOWS: 1024 }`. `true` defines it as 1. */
  readonly define?: Readonly<Record<string, string | number | true>> | undefined;
  /** More arguments for clang, after all others. */
  readonly flags?: readonly string[] | undefined;
  /** Have clang colour its messages. */
  readonly color?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface BuildResult {
  /** The object file's bytes, for `BpfObject.open`. DWARF is left out where llvm-strip is installed. */
  readonly object: Uint8Array;
  /** Warnings; a source with errors is thrown as a {@link CompileError}. */
  readonly diagnostics: readonly Diagnostic[];
  /** All that clang printed. */
  readonly output: string;
  readonly clang: Clang;
  /** Every file that was read: the source, and what it includes. Without system headers. */
  readonly dependencies: readonly string[];
}

const texts = {
  wants: "an array of strings",
  accepts: (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === "string"),
};
const definitions = {
  wants: "an object of strings, numbers and true",
  accepts: (value: unknown) =>
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((item) => typeof item === "string" || typeof item === "number" || item === true),
};

/**
 * Compiles BPF C: with the right target, with `<ebpf/events.h>`, libbpf's headers and, for a source that includes it, a
 * vmlinux.h of the running kernel.
 *
 * @throws CompileError (code COMPILE_FAILED) with clang's messages
 * @throws BpfError TOOL_MISSING when there is no clang; NOT_FOUND when there is no such file; BTF_MISSING for a vmlinux.h
 * that cannot be made; INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * import { build } from "ebpf/build";
 * const { object } = await build({
 *   code: `
 *     #include <linux/bpf.h>
 *     #include <bpf/bpf_helpers.h>
 *     __u64 seen;
 *     SEC("raw_tp/sys_enter") int on_enter(void *ctx) { __sync_fetch_and_add(&seen, 1); return 0; }
 *     char _license[] SEC("license") = "GPL";`,
 * });
 * using counter = await BpfObject.load(object);
 * ```
 */
export async function build(source: BuildSource, options: BuildOptions = {}): Promise<BuildResult> {
  checkOptions("build", options, {
    clang: "string",
    vmlinux: "string",
    arch: oneOf(...ARCHITECTURE_NAMES),
    include: texts,
    define: definitions,
    flags: texts,
    color: "boolean",
    signal: abortSignal,
  });
  const input = checkSource(source);
  const clang = await findClang(options.clang);
  const folder = mkdtempSync(join(tmpdir(), "ebpf-build-"));
  try {
    if (input.code !== undefined) writeFileSync(join(folder, input.name), input.code);
    return await compile(clang, input, options, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Input {
  readonly name: string;
  readonly code: string | undefined;
}

function checkSource(source: BuildSource): Input {
  const { file, code, name } = (source ?? {}) as { file?: unknown; code?: unknown; name?: unknown };
  if (typeof file === "string" && code === undefined) {
    if (!existsSync(file)) throw new BpfError({ code: "NOT_FOUND", message: `build: no such file: ${file}` });
    if (!statSync(file).isFile()) throw invalid(`build: ${file} is not a file`);
    return { name: file, code: undefined };
  }
  if (typeof code === "string" && file === undefined) {
    if (name !== undefined && (typeof name !== "string" || !/^[\w.+-]+$/.test(name)))
      throw invalid(`build: name must be a file name, got ${shown(name)}`);
    return { name: name ?? "program.bpf.c", code };
  }
  throw invalid("build: the source must be { file: path } or { code: text }");
}

async function compile(clang: Clang, input: Input, options: BuildOptions, folder: string): Promise<BuildResult> {
  const object = join(folder, "out.o");
  const depfile = join(folder, "out.d");
  // A file is compiled where the caller is, so that messages name it as the caller did. Text lies in a folder of its own,
  // and its own includes are still looked up where the caller is.
  const cwd = input.code === undefined ? undefined : folder;
  const here = input.code === undefined ? [] : ["-iquote", process.cwd()];
  const include = (options.include ?? []).flatMap((path) => ["-I", resolve(path)]);
  const define = Object.entries(options.define ?? {}).map(([name, value]) => `-D${name}=${value === true ? 1 : value}`);
  // Clang writes it for a source with errors as well, unless an include is missing.
  const dependencies = (): string[] => {
    if (!existsSync(depfile)) return [];
    const paths = prerequisites(readFileSync(depfile, "utf8")).map((path) => resolve(cwd ?? ".", path));
    return input.code === undefined ? paths : paths.filter((path) => !path.startsWith(folder));
  };
  const attempt = (vmlinux: readonly string[]) =>
    run(
      clang.command,
      [
        ...compilerFlags(options.arch),
        ...(options.color === undefined ? [] : [options.color ? "-fcolor-diagnostics" : "-fno-color-diagnostics"]),
        // Relative, so that an object holds no path of the machine that built it.
        ...["-fdebug-compilation-dir=.", "-MD", "-MF", depfile, "-MT", "out"],
        ...[...here, ...vmlinux, ...include, ...define, ...(options.flags ?? [])],
        ...["-c", input.name, "-o", object],
      ],
      { cwd, signal: options.signal },
    );
  let result = await attempt(options.vmlinux === undefined ? [] : ["-I", vmlinuxFolder(options.vmlinux)]);
  // A vmlinux.h of the user's own, found by clang, goes before one that is made: only when there is none it is made.
  if (
    result.status !== 0 &&
    options.vmlinux === undefined &&
    /fatal error: .*'vmlinux\.h' file not found/.test(result.stderr)
  ) {
    result = await attempt(["-I", vmlinuxFolder()]);
  }
  const output = result.stderr;
  const diagnostics = parseDiagnostics(output);
  if (result.status !== 0) {
    if (result.error !== undefined)
      throw new BpfError({
        code: "TOOL_MISSING",
        message: `cannot run ${clang.command}: ${result.error.message}`,
        cause: result.error,
      });
    throw new CompileError(input.name, diagnostics, output, dependencies());
  }
  const strip = await findStrip(clang);
  if (strip !== undefined) await run(strip, ["-g", object], { signal: options.signal });
  return {
    object: new Uint8Array(readFileSync(object)),
    diagnostics,
    output,
    clang,
    dependencies: dependencies(),
  };
}

/** Prerequisites in a make rule as clang writes it: `out: a b \`, spaces in names escaped. */
function prerequisites(rule: string): string[] {
  const joined = rule.replace(/\\\n/g, " ");
  const names = joined.slice(joined.indexOf(":") + 1).match(/(?:\\.|[^\s\\])+/g) ?? [];
  return names.map((name) => name.replace(/\\(.)/g, "$1"));
}
