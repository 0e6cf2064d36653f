import { fileURLToPath } from "node:url";
import { listAttachments } from "ebpf";
import type { Place } from "../children/link_kinds.mjs";
import { childBinary } from "./attach.js";
import { TestCgroup } from "./cgroup.js";
import { Tracefs } from "./mounted.js";
import { NamespacePair } from "./namespace.js";
import { makeNetkit } from "./netkit.js";
import { type Requirements, requires } from "./requires.js";

/** What each kind of children/link_kinds.mjs needs of the kernel. */
export const NEEDS: Readonly<Record<string, Requirements>> = {
  kprobe: { vm: true, kprobes: true },
  "kretprobe, `maxActive`": { vm: true, kprobes: true },
  "kprobe.multi": { vm: true, attachType: "traceKprobeMulti" },
  uprobe: { uprobes: true },
  "uprobe.multi": { attachType: "traceUprobeMulti" },
  // Before, a probe in a position-independent binary wants a process, and so would be of that one only.
  usdt: { uprobes: true, kernel: ">=5.15" },
  tracepoint: {},
  raw_tp: {},
  "tp_btf, fentry, fexit, fmod_ret": { tracing: true },
  freplace: { tracing: true, programType: "ext", kernel: ">=5.10" },
  lsm: { vm: true, programType: "lsm", kernel: ">=5.7" },
  iter: { attachType: "traceIter" },
  perf_event: {},
  cgroup: { cgroup2: true, kernel: ">=5.7" },
  "cgroup, `mode`": { cgroup2: true },
  xdp: { kernel: ">=5.9" },
  "xdp, by netlink": {},
  tcx: { attachType: "tcxIngress" },
  tc: {},
  netkit: { attachType: "netkitPrimary" },
  netfilter: { programType: "netfilter", kernel: ">=6.4" },
  "sk_lookup, flow_dissector": { kernel: ">=5.9" },
  "sk_msg, sk_skb": {},
  socket: {},
  lwt: {},
  "struct_ops, in `.struct_ops.link`": { programType: "structOps", kernel: ">=6.4" },
  "struct_ops, in `.struct_ops`": { programType: "structOps" },
};

/** Where each kind finds what it attaches to, of the test's own. */
export class Places implements AsyncDisposable {
  readonly place: Place;
  readonly #tracefs = new Tracefs();
  readonly #pair = new NamespacePair();
  readonly #cgroup = new TestCgroup();

  constructor() {
    const netns = this.#pair.b.path;
    if (requires({ attachType: "netkitPrimary" }).reason === undefined) makeNetkit(this.#pair.b, this.#pair.a);
    const fixtures = fileURLToPath(new URL("../../fixtures", import.meta.url));
    this.place = { fixtures, binary: childBinary(), netns, cgroup: this.#cgroup.path };
  }

  get found(): string[] {
    const { netns, cgroup } = this.place;
    return listAttachments({ netns, cgroup }).map(({ kind, target }) => `${kind} ${target}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cgroup.close();
    this.#pair.close();
    this.#tracefs[Symbol.dispose]();
  }
}
