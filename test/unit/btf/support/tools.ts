/** The compilers that tests of BTF ask for the truth: clang for BPF, the machine's own cc, and libbpf through a small C program. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Btf } from "../../../../lib/btf/btf.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** A directory for one test file, removed by `dispose`. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), "ebpf-unit-"));
  #helper: string | undefined;

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string | Uint8Array): string {
    const path = this.path(name);
    writeFileSync(path, text);
    return path;
  }

  /** The program of test/fixtures/btf_dump.c. */
  dump(command: "raw" | "layout", file: string, ...base: string[]): Buffer {
    if (this.#helper === undefined) {
      const flags = pkgConfig(["--cflags", "--libs", "--static", "libbpf"]);
      const helper = this.path("btf_dump");
      run("cc", ["-O1", "-o", helper, join(root, "test/fixtures/btf_dump.c"), ...flags]);
      this.#helper = helper;
    }
    return run(this.#helper, [command, file, ...base]);
  }

  /** Compiles C for BPF and returns the object's path. */
  compileBpf(name: string, source: string, ...flags: string[]): string {
    const object = this.path(`${name}.bpf.o`);
    run(newestClang(), [
      "-g",
      "-O2",
      "-target",
      "bpf",
      ...flags,
      "-c",
      this.write(`${name}.bpf.c`, source),
      "-o",
      object,
    ]);
    return object;
  }

  /** The BTF of C compiled for BPF, as libbpf reads it from the object. */
  rawBtf(name: string, source: string): Uint8Array {
    return new Uint8Array(this.dump("raw", this.compileBpf(name, source)));
  }

  btf(name: string, source: string): Btf {
    return Btf.parse(this.rawBtf(name, source), { name });
  }

  /** Compiles C for this machine and returns a function that runs it. */
  compileNative(name: string, source: string): (...args: string[]) => Buffer {
    const program = this.path(name);
    // The same compiler as for BPF, and char signed as it is there, so that layout is all that is compared.
    run(newestClang(), ["-O1", "-w", "-fsigned-char", "-o", program, this.write(`${name}.c`, source)]);
    return (...args) => run(program, args);
  }
}

function run(command: string, args: readonly string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, args, { maxBuffer: 1 << 28 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr.toString()}`);
  return stdout;
}

/** The project's own libbpf where it was built, else the system's. */
function pkgConfig(args: readonly string[]): string[] {
  const own = join(root, ".deps/libbpf/lib/pkgconfig");
  const env = existsSync(join(own, "libbpf.pc"))
    ? { ...process.env, PKG_CONFIG_PATH: [own, process.env["PKG_CONFIG_PATH"]].filter(Boolean).join(delimiter) }
    : process.env;
  return execFileSync("pkg-config", args, { env, encoding: "utf8" }).trim().split(/\s+/);
}

let clang: string | undefined;

/** As the build: EBPF_CLANG, else the highest version on PATH. */
function newestClang(): string {
  clang ??= process.env["EBPF_CLANG"] ?? findClang();
  return clang;
}

function findClang(): string {
  const versions = (process.env["PATH"] ?? "").split(delimiter).flatMap((directory) => {
    if (!existsSync(directory)) return [];
    return readdirSync(directory).flatMap((name) => {
      const match = /^clang-(\d+)$/.exec(name);
      return match === null ? [] : [Number(match[1])];
    });
  });
  return versions.length === 0 ? "clang" : `clang-${Math.max(...versions)}`;
}

export const vmlinux = "/sys/kernel/btf/vmlinux";

export function readVmlinux(): Uint8Array {
  return new Uint8Array(readFileSync(vmlinux));
}
