// XDP by netlink in this thread and a tc filter in another's, in that order; says so, and waits for signals. With "second" this thread closes its
// own again, with "handled" it handles SIGTERM.
import { Worker } from "node:worker_threads";
import { BpfObject } from "ebpf";

const [object, netns, what] = process.argv.slice(2);
const opened = BpfObject.open(object);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_xdp";
const link = (await opened.load()).program("on_xdp").attachXdp("veth0", { netns, by: "netlink" });
const worker = new Worker(new URL("filter_in_thread.mjs", import.meta.url), { workerData: { object, netns } });
await new Promise((resolve) => worker.once("message", resolve));
if (what === "second") link.close();
if (what === "handled") process.on("SIGTERM", () => console.log("handled"));
console.log("attached");
