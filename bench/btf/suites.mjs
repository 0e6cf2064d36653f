/**
 * What it costs to ask the kernel's BTF for one type: in a process of its own each time, from opening /sys/kernel/btf/vmlinux to the
 * type's members, and what the process then holds in memory. Beside it, every struct with its members.
 */
import { execFileSync } from "node:child_process";
import { median } from "../statistics.mjs";

const LOOKUP = `
import { kernelBtf } from "ebpf";
const resident = () => process.memoryUsage.rss() / 2 ** 20;
const before = resident();
const began = performance.now();
const btf = kernelBtf();
const { members } = btf.type(btf.get("task_struct", "struct"));
const first = performance.now() - began;
const again = performance.now();
const { members: others } = btf.type(btf.get("sk_buff", "struct"));
const second = performance.now() - again;
const held = resident() - before;
const all = performance.now();
let count = 0;
for (const type of btf.types()) if (type.kind === "struct") count += type.members.length;
console.log(JSON.stringify({
  types: btf.typeCount, first, second, held, members: members.length + others.length, all: performance.now() - all, count,
}));`;

function lookUp() {
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", LOOKUP], { encoding: "utf8" }));
}

async function run({ rounds }) {
  const found = Array.from({ length: rounds }, lookUp);
  const of = (key) => median(found.map((one) => one[key]));
  const { types, count } = found[0];
  const first = of("first");
  return {
    columns: [
      { key: "what", heading: `of ${types} types` },
      { key: "ms", heading: "ms" },
      { key: "mib", heading: "MiB held" },
    ],
    rows: [
      { what: "first lookup: task_struct, with its members", ms: first, mib: of("held") },
      { what: "the next: sk_buff", ms: of("second") },
      { what: `every struct, ${count} members`, ms: of("all") },
    ],
    targets: [
      {
        heading: "one lookup in the kernel's BTF",
        value: `${first.toFixed(1)} ms`,
        reach: "under 100 ms",
        met: first < 100,
      },
    ],
  };
}

/** The benches of BTF. */
export function suites() {
  return [{ name: "btf", title: "The kernel's BTF: one type, in a new process", run }];
}
