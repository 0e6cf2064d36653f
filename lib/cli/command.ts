/** The `ebpf` command: its arguments, its help, and what its exit status says. */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { ARCHITECTURE_NAMES } from "../build/toolchain.js";
import { BpfError } from "../errors.js";
import { nearest } from "../nearest.js";
import { type BuildCommandOptions, build } from "./build.js";
import { type FeaturesCommandOptions, features } from "./features.js";
import { type GenOptions, gen } from "./gen.js";
import { inspect } from "./inspect.js";
import {
  type LinkOptions,
  type ListingOptions,
  listLinksCommand,
  listMapsCommand,
  listProgramsCommand,
  removeLinkCommand,
} from "./listings.js";
import { colored, type Output, styleOf } from "./output.js";
import { vmlinux } from "./vmlinux.js";

/** sysexits are for mailers; these are the shell's habits. */
export const ExitStatus = { ok: 0, failure: 1, usage: 2 } as const;

export interface CommandOptions {
  /** Ends `--watch`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs the command and returns its exit status: 0 when all went well, 1 when it did not, 2 when it was called wrongly.
 * What is wrong with the user's input is one line on stderr; a mistake of our own is thrown.
 */
export async function runCommand(args: readonly string[], out: Output, options: CommandOptions = {}): Promise<number> {
  let status: number = ExitStatus.ok;
  const program = define(out, options, (result) => {
    status = result;
  });
  try {
    await program.parseAsync(args as string[], { from: "user" });
    return status;
  } catch (error) {
    // commander has said what it had to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitStatus.ok : ExitStatus.usage;
    if (!(error instanceof BpfError || isSystemError(error))) throw error;
    out.stderr.write(`${styleOf(out.stderr).red("ebpf:")} ${error.message.trimEnd()}\n`);
    return ExitStatus.failure;
  }
}

/** What the system refused: a file that may not be read, a disk that is full. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}

function examples(...lines: readonly (readonly [command: string, what: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, what]) => `  $ ${command.padEnd(width)}   # ${what}`).join("\n")}\n`;
}

/** As commander says it of the commands of `ebpf` itself. */
function unknownCommand(command: Command, name: string): never {
  const near = nearest(
    name,
    command.commands.map((each) => each.name()),
  );
  const hint = near === undefined ? "" : `\n(Did you mean ${near}?)`;
  command.error(`error: unknown command '${name}'${hint}`, { exitCode: ExitStatus.usage });
}

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

function define(out: Output, { signal }: CommandOptions, setStatus: (status: number) => void): Command {
  const program = new Command("ebpf")
    .description("Builds eBPF programs, writes their TypeScript skeletons, and looks at what is in the kernel.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => out.stdout.write(text),
      writeErr: (text) => out.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, `${styleOf(out.stderr).red("ebpf:")} `)),
      getOutHasColors: () => colored(out.stdout),
      getErrHasColors: () => colored(out.stderr),
      ...(out.stdout.columns === undefined ? {} : { getOutHelpWidth: () => out.stdout.columns as number }),
    })
    .showSuggestionAfterError()
    .showHelpAfterError("(ebpf --help shows how)")
    .addHelpText(
      "after",
      `
From C to a running tool:
  1. write drops.bpf.c
  2. ebpf build drops.bpf.c       makes drops.bpf.o, and drops.bpf.ts: its programs, maps and variables, typed
  3. import { Drops } from "./drops.bpf.js";
     using drops = await Drops.load();
     drops.attach();

Exit status: 0 done, 1 it failed, 2 called wrongly. Colours are for terminals; NO_COLOR=1 turns them off.
`,
    );

  program
    .command("build")
    .summary("compile BPF C, and write its skeleton")
    .description(
      "Compiles each FILE.bpf.c with clang to FILE.bpf.o, and writes FILE.bpf.ts, its skeleton. The right target, the headers of " +
        "libbpf and <ebpf/events.h> are found without being told. A source that includes vmlinux.h gets one of the running kernel.",
    )
    .argument("<file...>", "C sources")
    .option("-o, --output <file>", "the object file (one source only)")
    .option("--skeleton <file>", "the skeleton (one source only)")
    .option("--no-skeleton", "only compile")
    .option("--embed", "put the object into the skeleton: one file to ship")
    .option("--class <name>", "the skeleton's class (one source only)")
    .option("--library <module>", "what the skeleton imports the library from")
    .option("--clang <path>", "the compiler (else $EBPF_CLANG, else the newest clang on PATH)")
    .option("--vmlinux <file>", "vmlinux.h, or BTF to make it from, in place of the running kernel's")
    .addOption(
      new Option("--arch <name>", "the machines to build for, where they are not like this one").choices(
        ARCHITECTURE_NAMES,
      ),
    )
    .option("-I, --include <folder>", "look for headers there too", collect)
    .option("-D, --define <macro>", "NAME or NAME=VALUE", collect)
    .option("--clang-flag <flag>", "one more argument for clang", collect)
    .option("-w, --watch", "build again whenever the source or a header changes")
    .addHelpText(
      "after",
      examples(
        ["ebpf build drops.bpf.c", "drops.bpf.o and drops.bpf.ts"],
        ["ebpf build --watch src/*.bpf.c", "again at every change"],
        ["ebpf build --embed drops.bpf.c", "no .o file is needed at run time"],
        ["ebpf build -D MAX=4096 --vmlinux linux-5.10.btf x.bpf.c", "for another kernel"],
        ["ebpf build --arch arm64 --vmlinux arm64.btf x.bpf.c", "for other machines"],
      ),
    )
    .action(async (files: string[], options: BuildCommandOptions, command: Command) => {
      const forOne = [
        options.output && "--output",
        typeof options.skeleton === "string" && "--skeleton",
        options.class && "--class",
      ].filter(Boolean);
      if (files.length > 1 && forOne.length > 0)
        command.error(`error: ${forOne[0]} names one file, and there are ${files.length} sources`, {
          exitCode: ExitStatus.usage,
        });
      setStatus(await build(files, { ...options, signal: options.watch ? signal : undefined }, out));
    });

  program
    .command("gen")
    .summary("write the skeleton of an object file")
    .description("Writes the skeleton of FILE.bpf.o to FILE.bpf.ts: its programs, maps, variables and types, from BTF.")
    .argument("<object>", "an object file that clang -target bpf -g made")
    .option("-o, --output <file>", "where to write; - is standard output")
    .option("--embed", "put the object into the skeleton: one file to ship")
    .option("--class <name>", "the class's name; by default the file's: tcp_flows.bpf.o has TcpFlows")
    .option("--library <module>", "what the skeleton imports the library from", "ebpf")
    .addHelpText(
      "after",
      examples(
        ["ebpf gen drops.bpf.o", "writes drops.bpf.ts"],
        ["ebpf gen -o src/drops.ts --class DropWatch build/drops.bpf.o", "elsewhere, and named"],
        ["ebpf gen -o - drops.bpf.o", "to look at"],
      ),
    )
    .action((object: string, options: GenOptions) => gen(object, options, out));

  program
    .command("vmlinux")
    .summary("write the kernel's types as a C header")
    .description("Writes vmlinux.h: every type of the running kernel, or of another one's BTF, for CO-RE programs.")
    .option("-o, --output <file>", "where to write; by default standard output")
    .option("--btf <file>", "raw BTF, or an ELF file with BTF, in place of the running kernel's")
    .addHelpText(
      "after",
      examples(
        ["ebpf vmlinux > vmlinux.h", "of this kernel"],
        ["ebpf vmlinux --btf /boot/vmlinux-6.1 -o vmlinux.h", "of another"],
      ),
    )
    .action((options: { output?: string; btf?: string }) => vmlinux(options, out));

  program
    .command("inspect")
    .summary("show what an object file contains")
    .description(
      "Shows the programs, maps, variables, CO-RE relocations and kernel requirements of an object file. Needs no privileges.",
    )
    .argument("<object>", "an object file")
    .option("--json", "as JSON, for programs to read")
    .addHelpText(
      "after",
      examples(
        ["ebpf inspect drops.bpf.o", "for people"],
        ["ebpf inspect --json drops.bpf.o | jq .minimumKernel", "for scripts"],
      ),
    )
    .action((object: string, options: { json?: boolean }) => inspect(object, options, out));

  program
    .command("features")
    .summary("show what this kernel can do, and what you may")
    .description(
      "Shows which program, map, attach and link types this kernel has, which it refuses to this user, and what else BPF depends on.",
    )
    .option("--json", "as JSON, for programs to read")
    .option("--helpers", "also the helpers of each program type, which takes some seconds")
    .addHelpText(
      "after",
      examples(
        ["ebpf features", "for people"],
        ["ebpf features --json | jq .mapTypes.ringbuf", '{ "support": "yes", "since": "5.8" }'],
      ),
    )
    .action((options: FeaturesCommandOptions) => features(options, out));

  program
    .command("prog")
    .summary("list the programs in the kernel")
    .description("Lists all BPF programs in the kernel, whoever loaded them. Needs CAP_SYS_ADMIN.")
    .option("--json", "as JSON, for programs to read; 64-bit numbers are strings")
    .addHelpText(
      "after",
      examples(
        ["ebpf prog", "id, type, name, size, maps"],
        ["ebpf prog --json | jq '.[] | select(.type == \"kprobe\").name'", "names"],
      ),
    )
    .action((options: ListingOptions) => listProgramsCommand(options, out));

  program
    .command("map")
    .summary("list the maps in the kernel")
    .description("Lists all BPF maps in the kernel, whoever made them. Needs CAP_SYS_ADMIN.")
    .option("--json", "as JSON, for programs to read; 64-bit numbers are strings")
    .addHelpText(
      "after",
      examples(
        ["ebpf map", "id, type, name, sizes, memory"],
        ["ebpf map --json | jq 'map(.memory) | add'", "bytes of all maps"],
      ),
    )
    .action((options: ListingOptions) => listMapsCommand(options, out));

  const link = program
    .command("link")
    .summary("list what is attached, and remove it")
    .description(
      "Lists all BPF links in the kernel, and what is attached without one (XDP and tc by netlink, routes, cgroups): that stays when " +
        "its process was killed. Needs CAP_SYS_ADMIN.",
    )
    .option("--json", "as JSON, for programs to read; 64-bit numbers are strings")
    .option("--netns <path>", "look into that network namespace")
    .option("--cgroup <path>", "look at that cgroup and those below it")
    .addHelpText(
      "after",
      examples(
        ["ebpf link", "id, type, program, where"],
        ["ebpf link remove 17", "detach the link with id 17"],
        ["ebpf link remove xdp:eth0", "what a killed process left"],
      ),
    )
    // Without this commander counts a misspelt command as an argument too many.
    .allowExcessArguments()
    .action((options: LinkOptions, command: Command) => {
      const [unknown] = command.args;
      if (unknown === undefined) listLinksCommand(options, out);
      else unknownCommand(command, unknown);
    });
  link
    .command("remove")
    .description("Detaches a link by its id, or an attachment without a link by what `ebpf link` shows under WHERE.")
    .argument("<what>", "an id, or xdp:DEVICE, tc:..., lwt:..., cgroup:...")
    .addHelpText(
      "after",
      examples(
        ["ebpf link remove 17", "a link"],
        ['ebpf link remove "cgroup:/sys/fs/cgroup/web cgroup_sock_ops"', "no link"],
      ),
    )
    .action((what: string, _options: object, command: Command) =>
      removeLinkCommand(what, command.optsWithGlobals<LinkOptions>(), out),
    );

  for (const command of program.commands) command.showHelpAfterError(`(ebpf ${command.name()} --help shows how)`);
  return program;
}
