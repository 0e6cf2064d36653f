/** A process that may nothing: what it is refused, and what the errors say that it lacks. The programs were loaded while it might. */
import { chmodSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { unprivilegedBpf } from "../../lib/kernel/process.js";
import { childBinary } from "./support/attach.js";
import { BpfFs } from "./support/bpffs.js";
import { TestCgroup } from "./support/cgroup.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { Tracefs } from "./support/mounted.js";
import { NetNamespace } from "./support/namespace.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";

nothingStaysOpen();

const SCRIPT = fileURLToPath(new URL("children/rightless.mjs", import.meta.url));

const LOAD = /this needs root, or CAP_BPF .*this process has no CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN/;
const NETLINK = /needs root, or CAP_NET_ADMIN in the user namespace that the network namespace belongs to/;
const EVENT = /needs root, or CAP_PERFMON .*kernel\.perf_event_paranoid, which is -?\d+/;
const BY_ID = /may be seen by root, or with CAP_SYS_ADMIN, only/;
const PIN = /this user may not write into the folder, .*CAP_DAC_OVERRIDE/;

/** What is tried, and what is said; `setting`: unless kernel.unprivileged_bpf_disabled is 0. */
const REFUSALS: Readonly<Record<string, RegExp | { readonly setting: RegExp }>> = {
  "load a kprobe": LOAD,
  "load a tracepoint": LOAD,
  "load a socket filter": { setting: LOAD },
  "create a hash map": { setting: LOAD },
  "create an LRU map": LOAD,
  "attach XDP": NETLINK,
  "attach tc": NETLINK,
  "attach a route": NETLINK,
  "open a packet socket": /a packet socket needs CAP_NET_RAW/,
  "enter a namespace": /cannot enter .*: this needs CAP_SYS_ADMIN/,
  "attach to a cgroup": /: this needs root, or CAP_NET_ADMIN \(EPERM\)/,
  "attach to a cgroup, by mode": /: this needs root, or CAP_NET_ADMIN \(E/,
  "attach a tracepoint": /needs root, or CAP_PERFMON \(Linux 5\.8\) and tracefs.*, which has the tracepoints' numbers/,
  "attach a uprobe": EVENT,
  "attach a perf event": EVENT,
  "list programs": BY_ID,
  "list maps": BY_ID,
  "list links": BY_ID,
  "open a program by id": BY_ID,
  "open a map by id": BY_ID,
  "open a link by id": BY_ID,
  "pin a map": PIN,
  "pin a link": PIN,
  "pin a program": PIN,
  "switch statistics on": /statistics of all programs need root, or CAP_SYS_ADMIN/,
};

describe("a process without rights", () => {
  // Before 5.19 bpf(2) itself refused all of it, whatever it was asked for (__sys_bpf() in kernel/bpf/syscall.c).
  requires({ notInVm: true, netns: true, cgroup2: true, uprobes: true, kernel: ">=5.19" }).test(
    "is told what it lacks",
    async () => {
      using namespace = new NetNamespace();
      await using cgroup = new TestCgroup();
      using bpffs = new BpfFs();
      using _tracefs = new Tracefs();
      // Others may enter, and not write.
      const folder = `${bpffs.path}/ours`;
      mkdirSync(folder);
      chmodSync(bpffs.path, 0o755);
      const place = { bpffs: folder, cgroup: cgroup.path, netns: namespace.path, binary: childBinary() };
      const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
      const child = new Child("nsenter", [
        `--net=${namespace.path}`,
        process.execPath,
        SCRIPT,
        JSON.stringify({ fixtures, ...place }),
      ]);
      const told = JSON.parse(await child.output()) as Record<
        string,
        { bpf?: boolean; code?: string; message: string }
      >;
      expect(Object.keys(told)).toEqual(Object.keys(REFUSALS));
      const disabled = unprivilegedBpf() === false;
      for (const [what, text] of Object.entries(REFUSALS)) {
        const error = told[what];
        if (!(text instanceof RegExp) && !disabled) continue;
        expect(error, `${what}: ${error?.message}`).toMatchObject({ bpf: true, code: "PERMISSION_DENIED" });
        const expected = text instanceof RegExp ? text : text.setting;
        expect(error?.message, what).toMatch(expected);
        if (expected === LOAD) expect(error?.message.includes("kernel.unprivileged_bpf_disabled"), what).toBe(disabled);
      }
    },
  );
});
