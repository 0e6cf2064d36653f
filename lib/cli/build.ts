/** `ebpf build`: C to an object file and its skeleton, once or at every change. */
import { type BuildOptions, CompileError, build as compile } from "../build/index.js";
import { BpfError } from "../errors.js";
import { writeIfChanged } from "./files.js";
import { type GenOptions, gen } from "./gen.js";
import { colored, type Output } from "./output.js";
import { watch } from "./watch.js";

export interface BuildCommandOptions extends GenOptions {
  readonly skeleton: boolean | string;
  readonly clang?: string | undefined;
  readonly vmlinux?: string | undefined;
  readonly arch?: BuildOptions["arch"];
  readonly include?: readonly string[] | undefined;
  readonly define?: readonly string[] | undefined;
  readonly clangFlag?: readonly string[] | undefined;
  readonly watch?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The command's exit status. */
export async function build(files: readonly string[], options: BuildCommandOptions, out: Output): Promise<number> {
  for (const file of files) {
    if (!file.endsWith(".c"))
      throw new BpfError({
        code: "INVALID_ARGUMENT",
        message: `${file} is not a C source: its name must end in .bpf.c or .c`,
      });
  }
  if (options.watch) {
    await Promise.all(files.map((file) => watchOne(file, options, out)));
    return 0;
  }
  let failed = false;
  for (const file of files) failed = !(await buildOne(file, options, out)).built || failed;
  return failed ? 1 : 0;
}

interface Outcome {
  /** False when clang rejected it, which was then shown. */
  readonly built: boolean;
  /** The files that were read. */
  readonly dependencies: readonly string[];
}

/** Builds one source. */
async function buildOne(file: string, options: BuildCommandOptions, out: Output): Promise<Outcome> {
  const compiler: BuildOptions = {
    clang: options.clang,
    vmlinux: options.vmlinux,
    arch: options.arch,
    include: options.include,
    define: Object.fromEntries((options.define ?? []).map(definition)),
    flags: options.clangFlag,
    color: colored(out.stderr),
    signal: options.signal,
  };
  try {
    const { object, output, dependencies } = await compile({ file }, compiler);
    out.stderr.write(output);
    const target = options.output ?? file.replace(/\.c$/, ".o");
    const changed = writeIfChanged(target, object);
    out.stdout.write(`${target}  ${object.byteLength} bytes${changed ? "" : " (unchanged)"}\n`);
    if (options.skeleton !== false) {
      gen(target, { ...options, output: typeof options.skeleton === "string" ? options.skeleton : undefined }, out);
    }
    return { built: true, dependencies };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    // As clang says it: no word of ours around it.
    out.stderr.write(error.output);
    return { built: false, dependencies: error.dependencies };
  }
}

function definition(text: string): [string, string | true] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, true] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** Builds at every change of the source or of what it includes, until the signal aborts. */
async function watchOne(file: string, options: BuildCommandOptions, out: Output): Promise<void> {
  let known: readonly string[] = [file];
  for (;;) {
    // Watched from before the build on: a change while clang reads must not be missed.
    const changes = watch(known, options.signal);
    let outcome: Outcome | undefined;
    try {
      outcome = await buildOne(file, options, out);
    } catch (error) {
      if (options.signal?.aborted) return;
      if (!(error instanceof BpfError)) throw error;
      out.stderr.write(`ebpf: ${error.message}\n`);
    }
    const fresh = outcome?.dependencies.filter((path) => !known.includes(path)) ?? [];
    if (fresh.length > 0) {
      changes.add(fresh);
      known = [...known, ...fresh];
    }
    out.stderr.write(`ebpf: watching ${file} and what it includes; Ctrl-C ends it\n`);
    const changed = await changes.next();
    if (changed === undefined) return;
    out.stderr.write(`ebpf: ${changed} changed\n`);
  }
}
