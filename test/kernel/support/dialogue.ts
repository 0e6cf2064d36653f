import { createInterface } from "node:readline";
import type { Child } from "./run.js";

/** A child process that says "ready", and from then on answers each line by one. */
export class Dialogue implements AsyncDisposable {
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: Child) {
    this.#child = child;
    const output = child.process.stdout;
    if (output === null) throw new Error("no standard output");
    this.#lines = createInterface({ input: output })[Symbol.asyncIterator]();
  }

  static async start(child: Child): Promise<Dialogue> {
    const dialogue = new Dialogue(child);
    const { value } = await dialogue.#lines.next();
    if (value !== "ready") throw new Error(`${child.process.spawnargs.join(" ")} said ${value}: ${child.stderr}`);
    return dialogue;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async ask(line: string): Promise<string> {
    this.#child.process.stdin?.write(`${line}\n`);
    const { value } = await this.#lines.next();
    return String(value);
  }

  /** Ends the process; that of a cgroup ends with the cgroup, too. */
  async close(): Promise<void> {
    this.#child.process.kill("SIGKILL");
    await this.#child.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
