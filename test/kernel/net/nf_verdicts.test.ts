import { BpfError } from "ebpf";
import { type NfVerdict, type NfVerdictsOptions, nfVerdicts } from "ebpf/net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isPreemptible } from "../../../lib/kernel/preemption.js";
import { Actor } from "../support/actor.js";
import { TestCgroup } from "../support/cgroup.js";
import { nodeComm } from "../support/comm.js";
import { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const PACKETS = 50;

/** Sends UDP packets inside the namespace: to 127.0.0.1 or ::1, from a port of its own. */
async function sendUdp(sender: Actor, port: number, count: number, from: number, family: 4 | 6 = 4): Promise<void> {
  const host = family === 4 ? "127.0.0.1" : "::1";
  const { error } = await sender.do(`
    const socket = dgram.createSocket("udp${family}");
    await new Promise((resolve) => socket.bind(${from}, "${host}", resolve));
    for (let i = 0; i < ${count}; i++) {
      // A packet that a rule drops on its way out is an EPERM to its sender.
      await new Promise((resolve) => socket.send("hello " + i, ${port}, "${host}", resolve));
    }
    socket.close();
  `);
  expect(error).toBeUndefined();
}

requires({ kprobes: true, nftables: true, netns: true, vm: true }).describe("nfVerdicts", () => {
  let namespace: NetNamespace;
  let elsewhere: NetNamespace;
  let sender: Actor;
  /** In another namespace with a rule of the same kind. */
  let stranger: Actor;
  beforeAll(async () => {
    namespace = new NetNamespace();
    namespace.nft(
      "add table inet t",
      "add chain inet t in { type filter hook input priority 0 ; }",
      "add rule inet t in udp dport 9999 drop",
      "add rule inet t in udp dport 9998 accept",
      "add rule inet t in udp dport 9994 queue num 1",
      // Ahead of the chain that another test adds.
      "add chain inet t first { type filter hook output priority -10 ; }",
      "add rule inet t first udp dport 9996 meta mark set 7",
    );
    elsewhere = new NetNamespace();
    elsewhere.nft("add table inet t", "add chain inet t in { type filter hook input priority 0 ; }");
    elsewhere.nft("add rule inet t in udp dport 9999 drop");
    sender = await Actor.start(namespace);
    stranger = await Actor.start(elsewhere);
  });
  afterAll(async () => {
    for (const actor of [sender, stranger]) await actor.close();
    for (const made of [namespace, elsewhere]) made.close();
  });

  /** What is seen of the traffic. */
  async function watch(
    options: NfVerdictsOptions,
    traffic: () => Promise<void>,
    expected: number,
  ): Promise<{ seen: NfVerdict[]; probe: readonly string[] }> {
    using verdicts = await nfVerdicts(options);
    const seen: NfVerdict[] = [];
    verdicts.on("event", (verdict) => seen.push(verdict));
    await traffic();
    await until(`${expected} verdicts (${seen.length} came)`, () => seen.length >= expected);
    await until("the ring to be empty", () => verdicts.totals.pending === 0);
    expect(verdicts.totals).toEqual({ produced: expected, delivered: expected, lost: 0, pending: 0 });
    expect(verdicts.missed).toEqual({ notStored: 0, noReturn: 0, noEntry: 0 });
    return { seen, probe: verdicts.probe.chosen };
  }

  const PROBES = [
    ["fexit", "nf_hook_exit_fexit"],
    ["kprobe", "nf_hook_exit_kretprobe"],
  ] as const;

  describe.each(PROBES)("by %s", (probe, program) => {
    test("a rule that drops: a drop per packet, with the packet's addresses", async () => {
      const before = process.hrtime.bigint();
      const { seen, probe: programs } = await watch(
        { probe, netns: namespace.path, port: 9999, hook: "input" },
        () => sendUdp(sender, 9999, PACKETS, 4321),
        PACKETS,
      );
      expect(programs).toContain(program);
      for (const verdict of seen) {
        expect(verdict).toMatchObject({
          verdict: "drop",
          retval: -1,
          hook: "input",
          family: "ipv4",
          protocol: "udp",
          source: "127.0.0.1",
          destination: "127.0.0.1",
          sourcePort: 4321,
          destinationPort: 9999,
          deviceIn: "lo",
          ifindexIn: 1,
          deviceOut: undefined,
          netns: namespace.inode,
          fragment: false,
        });
        expect(verdict.timeNs > before && verdict.timeNs < process.hrtime.bigint()).toBe(true);
      }
      // 20 of IPv4, 8 of UDP, and "hello N".
      expect(seen.map((verdict) => verdict.length)).toEqual(
        Array.from({ length: PACKETS }, (_, i) => 28 + `hello ${i}`.length),
      );
    });

    test("a rule that accepts: accepts", async () => {
      const { seen } = await watch(
        { probe, netns: namespace.path, port: 9998, hook: "input" },
        () => sendUdp(sender, 9998, PACKETS, 4321),
        PACKETS,
      );
      expect(new Set(seen.map(({ verdict, retval }) => `${verdict} ${retval}`))).toEqual(new Set(["accept 1"]));
    });

    test("IPv6 too", async () => {
      const { seen } = await watch(
        { probe, netns: namespace.path, port: 9999, hook: "input", family: "ipv6" },
        () => sendUdp(sender, 9999, 3, 4321, 6),
        3,
      );
      for (const verdict of seen) {
        expect(verdict).toMatchObject({
          verdict: "drop",
          family: "ipv6",
          protocol: "udp",
          source: "::1",
          destination: "::1",
          sourcePort: 4321,
          destinationPort: 9999,
        });
      }
    });

    test("filters hold in the kernel: nothing else is even produced", async () => {
      const traffic = async () => {
        await sendUdp(stranger, 9999, 3, 4321);
        await sendUdp(sender, 9998, 5, 4321);
        await sendUdp(sender, 9999, 7, 4321);
      };
      const { seen } = await watch({ probe, netns: namespace.path, only: "drop" }, traffic, 7);
      expect(seen.map(({ verdict, netns }) => [verdict, netns])).toEqual(Array(7).fill(["drop", namespace.inode]));
    });

    test("of a packet on its way out: device, sender, mark; and one that waits for user space was stolen", async () => {
      const out = await watch(
        { probe, netns: namespace.path, port: 9995, hook: "output" },
        async () => {
          expect(await sender.do('await once(net.connect(9995, "127.0.0.1"), "connect")')).toEqual({
            error: "ECONNREFUSED",
          });
        },
        // The SYN, and the RST that answers it.
        2,
      );
      expect(out.seen[0]).toMatchObject({
        verdict: "accept",
        hook: "output",
        protocol: "tcp",
        destinationPort: 9995,
        deviceIn: undefined,
        deviceOut: "lo",
        ifindexOut: 1,
        pid: sender.pid,
        comm: nodeComm(),
        mark: 0,
      });
      const marked = await watch(
        { probe, netns: namespace.path, port: 9996, hook: "input" },
        () => sendUdp(sender, 9996, 1, 4321),
        1,
      );
      expect(marked.seen).toMatchObject([{ verdict: "accept", mark: 7, sourcePort: 4321 }]);
      // Nobody reads the queue, so the kernel drops what was to go there, and says that it took it.
      const queued = await watch(
        { probe, netns: namespace.path, port: 9994, hook: "input" },
        () => sendUdp(sender, 9994, 2, 4321),
        2,
      );
      expect(queued.seen.map(({ verdict, retval }) => [verdict, retval])).toEqual(Array(2).fill(["stolen", 0]));
    });
  });

  test("both variants tell the same of the same packets", async () => {
    using fexit = await nfVerdicts({ probe: "fexit", netns: namespace.path, port: 9999, hook: "input" });
    using kprobe = await nfVerdicts({ probe: "kprobe", netns: namespace.path, port: 9999, hook: "input" });
    const seen: NfVerdict[][] = [[], []];
    fexit.on("event", (verdict) => seen[0]?.push(verdict));
    kprobe.on("event", (verdict) => seen[1]?.push(verdict));
    await sendUdp(sender, 9999, PACKETS, 4321);
    await until("both to see all", () => seen.every((list) => list.length === PACKETS));
    const comparable = (list: NfVerdict[] = []) => list.map(({ timeNs, durationNs, ...rest }) => rest);
    expect(comparable(seen[0])).toEqual(comparable(seen[1]));
  });

  test("by itself it takes what misses nothing on this kernel, and says why", async () => {
    using verdicts = await nfVerdicts({ netns: namespace.path });
    expect(verdicts.probe.rejected).toEqual([]);
    if (isPreemptible()) {
      expect(verdicts.probe.chosen).toEqual(["nf_hook_exit_kretprobe", "nf_hook_entry_kprobe"]);
      expect(verdicts.probe.why).toContain("preemptible");
    } else {
      expect(verdicts.probe.chosen).toEqual(["nf_hook_exit_fexit", "nf_hook_entry_fentry"]);
      expect(verdicts.probe.why).toContain("fexit costs least");
    }
  });

  test("the sender's process and cgroup are filters too", async () => {
    await using cgroup = new TestCgroup();
    // nf_hook_slow runs for the output hook in the sender's own context, where the process and the socket's cgroup are its own.
    namespace.nft(
      "add chain inet t out { type filter hook output priority 0 ; }",
      "add rule inet t out udp dport 9999 accept",
    );
    const inside = await Actor.start(cgroup, namespace);
    using byCgroup = await nfVerdicts({ cgroup: cgroup.path, port: 9999, hook: "output" });
    using byPid = await nfVerdicts({ pid: sender.pid, port: 9999, hook: "output" });
    const seen: [NfVerdict[], NfVerdict[]] = [[], []];
    byCgroup.on("event", (verdict) => seen[0].push(verdict));
    byPid.on("event", (verdict) => seen[1].push(verdict));
    await Promise.all([sendUdp(inside, 9999, 5, 4322), sendUdp(sender, 9999, 5, 4323)]);
    await until("five of each", () => seen[0].length >= 5 && seen[1].length >= 5);
    expect(seen[0].map(({ cgroupId, pid }) => [cgroupId, pid])).toEqual(Array(5).fill([cgroup.id, inside.pid]));
    expect(seen[1].map(({ pid }) => pid)).toEqual(Array(5).fill(sender.pid));
  });
});

describe("nfVerdicts' options", () => {
  test("misspelt or wrong ones are refused before anything is loaded", async () => {
    await expect(nfVerdicts({ prot: 80 } as object)).rejects.toThrow(
      'nfVerdicts: unknown option "prot" (did you mean "port"?)',
    );
    await expect(nfVerdicts({ port: 65536 })).rejects.toThrow(
      'nfVerdicts: option "port" must be a whole number from 1 to 65535, got 65536',
    );
    await expect(nfVerdicts({ netns: "no-such" })).rejects.toThrow(
      "nfVerdicts: no network namespace at /run/netns/no-such",
    );
    await expect(nfVerdicts({ cgroup: "/tmp" })).rejects.toThrow("is not a cgroup v2 directory");
  });

  test("where no variant works, the error has each one's reason", async ({ skip }) => {
    const { native } = await import("../../../lib/native.js");
    const { hasKprobes } = await import("../../../lib/kernel/functions.js");
    if (native().probeProgramType(26) === 1 || hasKprobes())
      skip("this kernel has fexit or kprobes: nothing to refuse");
    const error = await nfVerdicts().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(BpfError);
    const { message } = error as BpfError;
    expect(message).toContain('no variant of "nf_hook_slow" works on this kernel');
    expect(message).toContain("nf_hook_exit_fexit + nf_hook_entry_fentry: ");
    expect(message).toContain("nf_hook_exit_kretprobe + nf_hook_entry_kprobe: ");
    expect(message).toContain("CONFIG_KPROBES");
  });
});
