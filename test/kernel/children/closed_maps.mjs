// Reads and writes variables whose maps' descriptors were closed under the library: what then works makes no system call on them.
import { closeSync, readdirSync, readlinkSync } from "node:fs";
import { BpfObject } from "ebpf";

const kconfig = "CONFIG_EBPF_NUMBER=1\n";
const { bss } = await BpfObject.load(process.argv[2], { kconfig });
// The first access maps the memory.
void bss.wide;
let closed = 0;
for (const name of readdirSync("/proc/self/fd")) {
  try {
    if (!readlinkSync(`/proc/self/fd/${name}`).includes("bpf-map")) continue;
  } catch {
    continue; // that of readdir itself
  }
  closeSync(Number(name));
  closed++;
}
bss.wide = 5n;
bss.outside.nested.wide = 6n;
bss.elements[2] = 7n;
console.log(JSON.stringify([closed > 0, ...[bss.wide, bss.outside.nested.wide, bss.elements[2]].map(Number)]));
// Descriptors that are others' by now are not to be closed again.
process.kill(process.pid, "SIGKILL");
