// Attaches to a cgroup a program that refuses connections, pins the link, says so, and waits to be killed.
import { BpfObject } from "ebpf";

const [object, cgroup, pin] = process.argv.slice(2);
const opened = BpfObject.open(object);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_connect4";
opened.rodata.allow = 0;
const link = (await opened.load()).program("on_connect4").attachCgroup(cgroup);
link.pin(pin);
console.log(link.info().id);
setInterval(() => {}, 1 << 30);
