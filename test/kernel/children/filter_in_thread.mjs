// Puts a second tc filter on a device, says so, and stays until it is ended.
import { parentPort, workerData } from "node:worker_threads";
import { BpfObject } from "ebpf";

const opened = BpfObject.open(workerData.object);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_tc_other";
const object = await opened.load();
object.program("on_tc_other").attachTc("veth0", "ingress", { netns: workerData.netns });
parentPort.postMessage("attached");
setInterval(() => {}, 1 << 30);
