/**
 * Vitest reporter: what became of each test of an attach type (suites named "attach type"), as one JSON line in the file that EBPF_MATRIX
 * names. kernel_table.mjs makes docs/kernels.md of them.
 */
import { appendFileSync } from "node:fs";
import { release } from "node:os";

const SUITE = "attach type > ";

export default class Matrix {
  /** @param {readonly import("vitest/node").TestModule[]} modules */
  onTestRunEnd(modules) {
    const file = process.env["EBPF_MATRIX"];
    if (file === undefined) return;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (!test.fullName.startsWith(SUITE)) continue;
        const { state, note } = test.result();
        const line = { kernel: release(), entry: test.fullName.slice(SUITE.length), state, note: note ?? null };
        appendFileSync(file, `${JSON.stringify(line)}\n`);
      }
    }
  }
}
