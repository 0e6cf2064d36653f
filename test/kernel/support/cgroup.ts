import { mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroup2Mount } from "ebpf";
import { Child } from "./run.js";

let made = 0;

/** A cgroup v2 of the test's own. What runs in it ends, and it is removed, at `close()`. */
export class TestCgroup implements AsyncDisposable {
  readonly path: string;
  readonly #children: Child[] = [];

  /** Below another one, or below the root; the outer one is to be closed last. */
  constructor(parent: { readonly path: string | undefined } = { path: cgroup2Mount() }) {
    if (parent.path === undefined) throw new Error("cgroup v2 is not mounted");
    this.path = join(parent.path, `ebpf-test-${process.pid}-${++made}`);
    mkdirSync(this.path);
  }

  /** The id that bpf_get_current_cgroup_id() gives. */
  get id(): bigint {
    return statSync(this.path, { bigint: true }).ino;
  }

  /** Puts a process in. */
  add(pid: number): void {
    writeFileSync(join(this.path, "cgroup.procs"), String(pid));
  }

  get pids(): number[] {
    return readFileSync(join(this.path, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  }

  /** Starts a command that is in the cgroup from its first instruction on. */
  spawn(command: string, args: readonly string[]): Child {
    const child = new Child("sh", ["-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', this.path, command, ...args]);
    this.#children.push(child);
    return child;
  }

  node(script: string, ...args: string[]): Child {
    return this.spawn(process.execPath, ["--input-type=module", "--eval", script, "--", ...args]);
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      child.process.kill("SIGKILL");
      await child.finished.catch(() => undefined);
    }
    rmdirSync(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
