import { type ChildProcess, execFileSync, spawn } from "node:child_process";

/** Runs a command to its end and returns its standard output; an exit status other than 0 is an error with its standard error. */
export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs commands of ip(8) by one process: where every instruction is emulated, starting one takes longer than what it does. */
export function ipBatch(commands: readonly string[], ...options: readonly string[]): void {
  execFileSync("ip", [...options, "-batch", "-"], { input: commands.join("\n"), stdio: ["pipe", "pipe", "pipe"] });
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A child process whose output is collected. */
export class Child {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  #stdout = "";
  #stderr = "";

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.finished = new Promise((resolve, reject) => {
      this.process.once("error", reject);
      this.process.once("close", (code, signal) =>
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr }),
      );
    });
  }

  get pid(): number {
    return this.process.pid as number;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Its output, once it ended well. */
  async output(): Promise<string> {
    const { code, signal, stdout, stderr } = await this.finished;
    if (code !== 0) throw new Error(`${this.process.spawnargs.join(" ")} ended with ${signal ?? code}: ${stderr}`);
    return stdout;
  }
}
