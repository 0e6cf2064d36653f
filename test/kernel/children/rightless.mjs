// Tries, as a user who may nothing, what needs rights, with programs and maps that were loaded while it had them; prints each error as JSON.
import {
  BpfError,
  BpfObject,
  createMap,
  enableStatistics,
  Link,
  listLinks,
  listMaps,
  listPrograms,
  mapById,
  ProgramHandle,
} from "ebpf";

const [, , given] = process.argv;
const { fixtures, bpffs, cgroup, netns, binary } = JSON.parse(given);

function open(fixture, ...programs) {
  const opened = BpfObject.open(`${fixtures}/${fixture}.bpf.o`);
  for (const program of Object.values(opened.programs)) program.autoload = programs.includes(program.name);
  return opened;
}

const net = await open("attach_net", "on_xdp", "on_tc", "on_socket", "on_lwt_out").load();
const hooks = await open("attach_cgroup", "on_ingress").load();
const user = await open("attach_user", "on_tracepoint", "on_uprobe", "on_perf_event").load();
const map = createMap({ type: "hash", key: "u32", value: "u32", maxEntries: 1 });
const link = hooks.program("on_ingress").attachCgroup(cgroup);
const opened = {
  kprobe: open("attach_multi", "on_kprobe"),
  tracepoint: open("attach_user", "on_tracepoint"),
  socket: open("attach_net", "on_socket"),
};
const { id } = net.program("on_xdp").info();
const { id: linkId } = link.info();
const mapId = map.info().id;

process.setgroups([]);
process.setgid(65534);
process.setuid(65534);

const attempts = {
  "load a kprobe": () => opened.kprobe.load(),
  "load a tracepoint": () => opened.tracepoint.load(),
  "load a socket filter": () => opened.socket.load(),
  "create a hash map": () => createMap({ type: "hash", key: "u32", value: "u32", maxEntries: 1 }),
  "create an LRU map": () => createMap({ type: "lru_hash", key: "u32", value: "u32", maxEntries: 1 }),
  "attach XDP": () => net.program("on_xdp").attachXdp("lo", { by: "netlink" }),
  "attach tc": () => net.program("on_tc").attachTc("lo", "ingress"),
  "attach a route": () => net.program("on_lwt_out").attachLwt("10.9.0.0/24", { device: "lo" }),
  "open a packet socket": () => net.program("on_socket").attachPacketSocket("lo"),
  "enter a namespace": () => net.program("on_xdp").attachXdp("lo", { netns }),
  "attach to a cgroup": () => hooks.program("on_ingress").attachCgroup(cgroup),
  "attach to a cgroup, by mode": () => hooks.program("on_ingress").attachCgroup(cgroup, { mode: "multi" }),
  "attach a tracepoint": () => user.program("on_tracepoint").attachTracepoint("syscalls", "sys_enter_kill"),
  "attach a uprobe": () => user.program("on_uprobe").attachUprobe(binary, "probe_add"),
  "attach a perf event": () => user.program("on_perf_event").attachPerfEvent("cpu-clock"),
  "list programs": () => listPrograms(),
  "list maps": () => listMaps(),
  "list links": () => listLinks(),
  "open a program by id": () => ProgramHandle.fromId(id),
  "open a map by id": () => mapById(mapId),
  "open a link by id": () => Link.fromId(linkId),
  "pin a map": () => map.pin(`${bpffs}/map`),
  "pin a link": () => link.pin(`${bpffs}/link`),
  "pin a program": () => net.program("on_xdp").pin(`${bpffs}/program`),
  "switch statistics on": () => enableStatistics(),
};
const errors = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    errors[name] = { message: "it was allowed" };
  } catch (error) {
    const { code, message } = error;
    errors[name] = { bpf: error instanceof BpfError, code, message };
  }
}
console.log(JSON.stringify(errors));
process.exit();
