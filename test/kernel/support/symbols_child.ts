/** A process whose functions' addresses are known, built in a way of the test's choice. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Child, run } from "./run.js";

const SOURCE = fileURLToPath(new URL("../../fixtures/symbols_child.c", import.meta.url));
/** The kernel walks a stack by frame pointers. Optimized, gcc leaves them out of functions that call none, whatever it is told. */
const COMMON = ["-O0", "-g0", "-fno-omit-frame-pointer", "-Wl,--build-id=sha1"];

/** A folder with the program and its library, until `close()`. */
export class SymbolsBinary implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "ebpf-symbols-"));
  readonly program = join(this.folder, "program with blanks");
  readonly library = join(this.folder, "libturn.so");

  /** `flags` are for the program, `-no-pie` among them. */
  constructor(...flags: readonly string[]) {
    run("cc", ...COMMON, "-shared", "-fPIC", "-DLIBRARY", "-o", this.library, SOURCE);
    run("cc", ...COMMON, "-o", this.program, SOURCE, this.library, `-Wl,-rpath,${this.folder}`, ...flags);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

export class SymbolsChild implements AsyncDisposable {
  /** Where things are, by the names that the program has for them. */
  readonly addresses: ReadonlyMap<string, bigint>;
  readonly #child: Child;

  private constructor(child: Child, addresses: ReadonlyMap<string, bigint>) {
    this.#child = child;
    this.addresses = addresses;
  }

  static async start(command: string, ...args: readonly string[]): Promise<SymbolsChild> {
    const child = new Child(command, args);
    const addresses = new Map<string, bigint>();
    if (child.process.stdout === null) throw new Error("no standard output");
    for await (const line of createInterface({ input: child.process.stdout })) {
      if (line === "ready") return new SymbolsChild(child, addresses);
      const [name = "", address = ""] = line.split(" ");
      addresses.set(name, BigInt(address));
    }
    throw new Error(`${command} ended: ${child.stderr}`);
  }

  get pid(): number {
    return this.#child.pid;
  }

  at(name: string): bigint {
    const address = this.addresses.get(name);
    if (address === undefined) throw new Error(`the child says nothing of ${name}`);
    return address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.process.kill("SIGKILL");
    await this.#child.finished;
  }
}
