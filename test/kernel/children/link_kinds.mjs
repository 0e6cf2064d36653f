// Every kind of attachment that docs/links.md has a row for: which program of which fixture, and how it is attached.
import { BpfObject } from "ebpf";

/** @type {import("./link_kinds.mjs").KINDS} */
export const KINDS = {
  kprobe: ["attach_multi", "on_kprobe", (program) => program.attachKprobe("generic_read_dir")],
  "kretprobe, `maxActive`": [
    "attach_multi",
    "on_kretprobe",
    (program) => program.attachKretprobe("generic_read_dir", { maxActive: 4 }),
  ],
  "kprobe.multi": ["attach_multi", "on_kprobe_multi", (program) => program.attachKprobeMulti(["generic_read_dir"])],
  uprobe: ["attach_user", "on_uprobe", (program, { binary }) => program.attachUprobe(binary, "probe_add")],
  "uprobe.multi": [
    "attach_multi",
    "on_uprobe_multi",
    (program, { binary }) => program.attachUprobeMulti(binary, ["probe_add"]),
  ],
  usdt: ["attach_usdt", "on_usdt", (program, { binary }) => program.attachUsdt(binary, "ebpf_test", "tick")],
  tracepoint: ["attach_user", "on_tracepoint", (program) => program.attach()],
  raw_tp: ["probes", "on_raw_tp", (program) => program.attach()],
  "tp_btf, fentry, fexit, fmod_ret": ["probes", "on_fexit", (program) => program.attach()],
  freplace: [
    "attach_ext",
    "replacement",
    (program, { target }) => program.attachFreplace(target, "replaceable"),
    (opened, { target }) => opened.program("replacement").setAttachTarget("replaceable", target),
  ],
  lsm: ["attach_trace", "on_lsm", (program) => program.attach()],
  iter: ["attach_iter", "dump_text", (program) => program.attach()],
  perf_event: [
    "attach_user",
    "on_perf_event",
    // One event: a process has one per thread.
    (program, { cgroup }) => program.attachPerfEvent("cpu-clock", { frequency: 1, cgroup, cpu: 0 }),
  ],
  cgroup: ["attach_cgroup", "on_connect4", (program, { cgroup }) => program.attachCgroup(cgroup)],
  "cgroup, `mode`": [
    "attach_cgroup",
    "on_bind4",
    (program, { cgroup }) => program.attachCgroup(cgroup, { mode: "multi" }),
  ],
  xdp: ["attach_net", "on_xdp", (program, { netns }) => program.attachXdp("veth0", { netns, by: "link" })],
  "xdp, by netlink": [
    "attach_net",
    "on_xdp_other",
    (program, { netns }) => program.attachXdp("lo", { netns, by: "netlink" }),
  ],
  tcx: ["attach_net", "on_tcx", (program, { netns }) => program.attachTcx("veth0", "ingress", { netns })],
  tc: ["attach_net", "on_tc", (program, { netns }) => program.attachTc("veth0", "ingress", { netns })],
  netkit: ["attach_net", "on_netkit", (program, { netns }) => program.attachNetkit("nk0", "primary", { netns })],
  netfilter: [
    "attach_netfilter",
    "on_netfilter",
    (program, { netns }) => program.attachNetfilter({ family: "ipv4", hook: "localIn", netns }),
  ],
  "sk_lookup, flow_dissector": ["attach_sock", "on_lookup", (program, { netns }) => program.attachNetns(netns)],
  "sk_msg, sk_skb": ["attach_sock", "on_msg", (program, _place, object) => program.attachSockmap(object.map("few"))],
  socket: ["attach_net", "on_socket", (program, { netns }) => program.attachPacketSocket("veth0", { netns })],
  lwt: [
    "attach_net",
    "on_lwt_out",
    (program, { netns }) => program.attachLwt("10.97.0.0/24", { device: "veth0", netns }),
  ],
  "struct_ops, in `.struct_ops.link`": [
    "attach_struct_ops_link",
    /^ebpf_test_/,
    (_program, _place, object) => object.attachStructOps("by_link"),
  ],
  "struct_ops, in `.struct_ops`": [
    "attach_struct_ops",
    /^ebpf_test_/,
    (_program, _place, object) => object.attachStructOps("by_map"),
  ],
};

/** Loads what one kind is attached of; `attach` does it. */
export async function loadKind(kind, place) {
  const [fixture, wanted, attach, configure] = KINDS[kind];
  const opened = BpfObject.open(`${place.fixtures}/${fixture}.bpf.o`);
  for (const program of Object.values(opened.programs))
    program.autoload = typeof wanted === "string" ? program.name === wanted : wanted.test(program.name);
  configure?.(opened, place);
  const object = await opened.load();
  const program = Object.values(object.programs).find(({ loaded }) => loaded);
  return { object, program, attach: () => attach(program, place, object) };
}

/** Attaches one kind, of an object of its own. */
export async function attachKind(kind, place) {
  const { object, program, attach } = await loadKind(kind, place);
  try {
    return { object, program, link: attach() };
  } catch (error) {
    object.close();
    throw error;
  }
}

/** The program that another replaces a function of. */
export async function loadTarget({ fixtures }) {
  const opened = BpfObject.open(`${fixtures}/attach_trace.bpf.o`);
  for (const program of Object.values(opened.programs)) program.autoload = program.name === "target";
  return (await opened.load()).program("target");
}
