// Loads an object, and the ready-made programs, as a user who may nothing, and prints the errors as JSON, and what is left open.
import { readdirSync, readlinkSync } from "node:fs";
import { BpfObject } from "ebpf";
import { nfVerdicts, tcpFlows } from "ebpf/net";

const [, , path, cgroup] = process.argv;
// The addon is loaded, and the file read, before the rights are gone: it is bpf(2) that is to refuse.
const opened = BpfObject.open(path);
process.setgroups([]);
process.setgid(65534);
process.setuid(65534);
const errors = [];
for (const attempt of [() => opened.load(), () => nfVerdicts(), () => tcpFlows({ cgroup })]) {
  try {
    await attempt();
    errors.push({ loaded: true });
  } catch (error) {
    errors.push({ name: error.name, code: error.code, errno: error.errno, message: error.message });
  }
}
const left = readdirSync("/proc/self/fd").filter((fd) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).includes("bpf");
  } catch {
    return false; // that of the listing itself
  }
});
console.log(JSON.stringify({ errors, left }));
