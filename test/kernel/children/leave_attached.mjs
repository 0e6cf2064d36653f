// Attaches by every way for which the kernel has no link, says so, and ends as it is told: by itself, by a signal, by process.exit(), by an error.
import { BpfObject } from "ebpf";

const [fixtures, netns, cgroup, end] = process.argv.slice(2);
const open = async (name, programs) => {
  const opened = BpfObject.open(`${fixtures}/${name}.bpf.o`);
  for (const program of Object.values(opened.programs)) program.autoload = programs.includes(program.name);
  return opened.load();
};
const net = await open("attach_net", ["on_xdp", "on_tc", "on_lwt_out"]);
net.program("on_xdp").attachXdp("veth0", { netns, by: "netlink" });
net.program("on_tc").attachTc("veth0", "ingress", { netns });
net.program("on_lwt_out").attachLwt("10.97.0.0/24", { device: "veth0", netns });
const hooks = await open("attach_cgroup", ["on_connect4", "on_bind4"]);
hooks.program("on_connect4").attachCgroup(cgroup, { mode: "multi" });
// By a link, which goes with the process in any case.
hooks.program("on_bind4").attachCgroup(cgroup);
console.log("attached");
// Nothing is closed here.
process.stdin.once("data", () => {
  if (end === "end") process.stdin.destroy();
  if (end === "exit") process.exit(0);
  if (end === "throw") throw new Error("on purpose");
});
