import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run.js";

/** A bpf file system of the test's own: what is pinned in it is gone with it. */
export class BpfFs implements Disposable {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "ebpf-bpffs-"));
    run("mount", "-t", "bpf", "bpf", this.path);
  }

  [Symbol.dispose](): void {
    run("umount", this.path);
    rmdirSync(this.path);
  }
}
