import { existsSync } from "node:fs";
import { run } from "./run.js";

const PLACE = "/sys/kernel/tracing";

/** tracefs for as long as a test needs it, where the machine has not mounted it. */
export class Tracefs implements Disposable {
  readonly #mounted: boolean;

  constructor() {
    this.#mounted = !existsSync(`${PLACE}/events`);
    if (this.#mounted) run("mount", "-t", "tracefs", "tracefs", PLACE);
  }

  [Symbol.dispose](): void {
    if (this.#mounted) run("umount", PLACE);
  }
}
