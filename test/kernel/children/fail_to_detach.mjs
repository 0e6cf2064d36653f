// Attaches XDP in a namespace, without a link. To detach it takes a descriptor, and there is none to be had: so close() fails, and the end of the
// process has to do it.
import { closeSync, openSync } from "node:fs";
import { BpfObject } from "ebpf";

const [object, netns] = process.argv.slice(2);
const opened = BpfObject.open(object);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_xdp";
const link = (await opened.load()).program("on_xdp").attachXdp("veth0", { netns, by: "netlink" });
const fill = [];
try {
  for (;;) fill.push(openSync("/dev/null"));
} catch {
  // The limit is reached.
}
let code;
try {
  link.close();
} catch (error) {
  code = error.errno;
}
for (const fd of fill) closeSync(fd);
console.log(JSON.stringify({ errno: code, closed: link.closed }));
process.stdin.once("data", () => process.stdin.destroy());
