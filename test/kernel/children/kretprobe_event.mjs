// Attaches a kretprobe that tracefs defines, says so, and waits to be killed.
import { BpfObject } from "ebpf";

const opened = BpfObject.open(process.argv[2]);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_kretprobe";
const object = await opened.load();
object.program("on_kretprobe").attachKretprobe("generic_read_dir", { maxActive: 4 });
console.log("attached");
process.stdin.resume();
