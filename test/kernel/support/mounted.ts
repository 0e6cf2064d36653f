import { existsSync } from "node:fs";
import { run } from "./run.js";

/** A file system of the kernel's for as long as a test needs it, where the machine has not mounted it. */
class Mounted implements Disposable {
  readonly #place: string;
  readonly #mounted: boolean;

  /** `shows`: what is there when it is mounted. */
  constructor(type: string, place: string, shows: string) {
    this.#place = place;
    this.#mounted = !existsSync(`${place}/${shows}`);
    if (this.#mounted) run("mount", "-t", type, type, place);
  }

  [Symbol.dispose](): void {
    if (this.#mounted) run("umount", this.#place);
  }
}

export class Tracefs extends Mounted {
  constructor() {
    super("tracefs", "/sys/kernel/tracing", "events");
  }
}

export class Debugfs extends Mounted {
  constructor() {
    super("debugfs", "/sys/kernel/debug", "kprobes");
  }
}
