/** Attaching that fails, to devices, routes, namespaces, cgroups and sockets: the place is as it was, by the kernel's own account. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SockMap } from "ebpf";
import { describe, expect } from "vitest";
import { AttachType } from "../../../lib/kernel/abi.js";
import { inNetns } from "../../../lib/kernel/device.js";
import { native } from "../../../lib/native.js";
import { Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { leavesNothing } from "../support/failing.js";
import { NamespacePair } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { run } from "../support/run.js";

const netns = requires({ netns: true });
nothingStaysOpen();

/** Where a namespace, a device or a cgroup is not. */
const GONE = "/run/netns/ebpf-test-no-such";

/** What BPF_PROG_QUERY finds at a file: a cgroup, a namespace. */
function queried(path: string, type: keyof typeof AttachType): readonly number[] {
  const fd = openSync(path, "r");
  try {
    return native().programQuery(fd, AttachType[type], 0);
  } finally {
    closeSync(fd);
  }
}

describe("nothing is left of what could not be attached", () => {
  netns.test("tc", async () => {
    using pair = new NamespacePair();
    const { b } = pair;
    const filters = () => [
      b.run("tc", "qdisc", "show", "dev", "veth0"),
      ...["ingress", "egress"].map((direction) => b.run("tc", "filter", "show", "dev", "veth0", direction)),
    ];
    await leavesNothing("attach_net", "on_tc", filters, (program) => {
      return [
        ["NOT_FOUND", () => program.attachTc("nosuchdev0", "ingress", { netns: b.path })],
        ["NOT_FOUND", () => program.attachTc("veth0", "ingress", { netns: GONE })],
        ["INVALID_ARGUMENT", () => program.attachTc("veth0", "ingress", { netns: b.path, replace: true })],
      ];
    });
    expect(filters().join("")).not.toContain("clsact");
    // Half of it is there already: the hook, which is of no use for this direction.
    b.run("tc", "qdisc", "add", "dev", "veth0", "ingress");
    await leavesNothing("attach_net", "on_tc", filters, (program) => [
      ["INVALID_ARGUMENT", () => program.attachTc("veth0", "egress", { netns: b.path })],
    ]);
    b.run("tc", "qdisc", "del", "dev", "veth0", "ingress");
    // The place is somebody else's.
    b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
    using other = await Watched.load("attach_net", ["on_tc_other"]);
    const taken = { netns: b.path, handle: 1, priority: 5 };
    using _there = other.object.program("on_tc_other").attachTc("veth0", "ingress", taken);
    await leavesNothing("attach_net", "on_tc", filters, (program) => [
      ["EXISTS", () => program.attachTc("veth0", "ingress", taken)],
    ]);
    expect(filters()[1]).toContain("on_tc_other");
    // Others have the priority: filters for one protocol.
    b.run("tc", ..."filter add dev veth0 ingress protocol ip prio 7 bpf bytecode".split(" "), "1,6 0 0 4294967295");
    for (const replace of [false, true])
      await leavesNothing("attach_net", "on_tc", filters, (program) => [
        ["EXISTS", () => program.attachTc("veth0", "ingress", { netns: b.path, handle: 1, priority: 7, replace })],
      ]);
    // What comes in is filtered for several devices at once.
    b.ip("link", "add", "veth1", "type", "veth", "peer", "name", "veth2");
    b.run("tc", ..."qdisc add dev veth1 ingress_block 22 clsact".split(" "));
    await leavesNothing("attach_net", "on_tc", filters, (program) => [
      ["INVALID_ARGUMENT", () => program.attachTc("veth1", "ingress", { netns: b.path })],
    ]);
    expect(b.run("tc", "qdisc", "show", "dev", "veth1")).toContain("ingress_block 22");
  });

  requires({ vm: true, netns: true }).test("tc, of which the kernel has clsact and no BPF filters", async () => {
    using pair = new NamespacePair();
    const { b } = pair;
    const qdiscs = () => b.run("tc", "qdisc", "show", "dev", "veth0");
    const before = qdiscs();
    const [modprobe] = readFileSync("/proc/sys/kernel/modprobe", "utf8").split("\n");
    // clsact is loaded, and filters are no more.
    b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
    b.run("tc", "qdisc", "del", "dev", "veth0", "clsact");
    if (readFileSync("/proc/modules", "utf8").includes("cls_bpf ")) run("rmmod", "cls_bpf");
    writeFileSync("/proc/sys/kernel/modprobe", "/nowhere");
    try {
      const attempt = async () => {
        using watched = await Watched.load("attach_net", ["on_tc"]);
        const error = await errorOf(() =>
          watched.object.program("on_tc").attachTc("veth0", "ingress", { netns: b.path }),
        );
        expect(error, error.message).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
        expect(error.message).toContain("no BPF filters (CONFIG_NET_CLS_BPF)");
        expect(watched.object.links).toEqual([]);
      };
      await attempt();
      expect(qdiscs()).toBe(before);
      // Another's stays.
      b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
      const there = qdiscs();
      await attempt();
      expect(qdiscs()).toBe(there);
      b.run("tc", "qdisc", "del", "dev", "veth0", "clsact");
    } finally {
      writeFileSync("/proc/sys/kernel/modprobe", `${modprobe}`);
    }
    using watched = await Watched.load("attach_net", ["on_tc"]);
    using _there = watched.object.program("on_tc").attachTc("veth0", "ingress", { netns: b.path });
    expect(qdiscs()).toContain("clsact");
  });

  netns.test("XDP", async () => {
    using pair = new NamespacePair();
    const { b } = pair;
    const devices = () => JSON.parse(b.ip("-d", "-j", "link", "show")).map((device: { xdp?: unknown }) => device.xdp);
    expect(devices()).toEqual([undefined, undefined]);
    await leavesNothing("attach_net", "on_xdp", devices, (program) => {
      return [
        ["KERNEL_UNSUPPORTED", () => program.attachXdp("lo", { netns: b.path, mode: "native" })],
        ["KERNEL_UNSUPPORTED", () => program.attachXdp("lo", { netns: b.path, mode: "native", by: "netlink" })],
        ["NOT_FOUND", () => program.attachXdp("nosuchdev0", { netns: b.path })],
        ["NOT_FOUND", () => program.attachXdp("veth0", { netns: GONE })],
        ["INVALID_ARGUMENT", () => program.attachXdp("veth0", { netns: b.path, mode: "fast" as "native" })],
      ];
    });
    b.ip("link", "set", "veth0", "mtu", "9000");
    pair.a.ip("link", "set", "veth0", "mtu", "9000");
    // The device refuses after the kernel has taken the program.
    await leavesNothing("attach_net", "on_xdp", devices, (program) =>
      (["link", "netlink"] as const).map((by) => [
        "INVALID_ARGUMENT",
        () => program.attachXdp("veth0", { netns: b.path, mode: "native", by }),
      ]),
    );
  });

  requires({ netns: true, attachType: "tcxIngress" }).test("tcx", async () => {
    using pair = new NamespacePair();
    const { b } = pair;
    const programs = () =>
      inNetns("test", b.path, () =>
        (["tcxIngress", "tcxEgress"] as const).map((type) =>
          native().programQuery(b.index("veth0"), AttachType[type], 0),
        ),
      );
    expect(programs()).toEqual([[], []]);
    await leavesNothing("attach_net", "on_tcx", programs, (program) => {
      const place = { netns: b.path };
      return [
        [
          "NOT_FOUND",
          () => program.attachTcx("veth0", "ingress", { ...place, after: { programId: program.info().id } }),
        ],
        ["INVALID_STATE", () => program.attachTcx("veth0", "ingress", { ...place, revision: 77 })],
        ["NOT_FOUND", () => program.attachTcx("nosuchdev0", "ingress", place)],
        ["NOT_FOUND", () => program.attachTcx("veth0", "egress", { netns: GONE })],
      ];
    });
  });

  netns.test("routes", async () => {
    using pair = new NamespacePair();
    const { a } = pair;
    a.ip("route", "add", "10.97.0.0/24", "dev", "veth0");
    // Those of IPv6 come by themselves, with addresses.
    const routes = () => a.ip("-4", "route", "show", "table", "all");
    await leavesNothing("attach_net", "on_lwt_xmit", routes, (program) => {
      const place = { netns: a.path, device: "veth0" };
      return [
        ["EXISTS", () => program.attachLwt("10.97.0.0/24", place)],
        ["INVALID_ARGUMENT", () => program.attachLwt("10.96.0.0/24", { ...place, via: "192.0.2.1" })],
        ["INVALID_ARGUMENT", () => program.attachLwt("10.96.0.1/24", place)],
        ["NOT_FOUND", () => program.attachLwt("10.96.0.0/24", { ...place, device: "nosuchdev0" })],
        ["NOT_FOUND", () => program.attachLwt("10.96.0.0/24", { ...place, netns: GONE })],
        ["INVALID_ARGUMENT", () => program.attachLwt("10.96.0.0/24", { ...place, headroom: 1000 })],
      ];
    });
  });

  for (const [fixture, name, type] of [
    ["attach_sock", "on_lookup", "skLookup"],
    ["attach_net", "on_flow_dissector", "flowDissector"],
  ] as const) {
    requires({ netns: true, kernel: ">=5.10" }).test(`network namespaces: ${name}`, async () => {
      using pair = new NamespacePair();
      const programs = () => queried(pair.a.path, type);
      expect(programs()).toEqual([]);
      await leavesNothing(fixture, name, programs, (program) => [
        ["NOT_FOUND", () => program.attachNetns(GONE)],
        ["INVALID_ARGUMENT", () => program.attachNetns(tmpdir())],
      ]);
      if (type === "skLookup") return;
      // A namespace has one.
      using there = await Watched.load(fixture, [name]);
      using _there = there.object.program(name).attachNetns(pair.a.path);
      await leavesNothing(fixture, name, programs, (program) => [["BUSY", () => program.attachNetns(pair.a.path)]]);
      expect(programs()).toEqual([there.object.program(name).info().id]);
    });
  }

  requires({ netns: true, programType: "netfilter", kernel: ">=6.4" }).test("netfilter", async () => {
    using pair = new NamespacePair();
    const hook = { family: "ipv4", hook: "localIn", priority: 3, netns: pair.b.path } as const;
    using there = await Watched.load("attach_netfilter", ["on_netfilter"]);
    using _there = there.object.program("on_netfilter").attachNetfilter(hook);
    // The kernel lists hooks for nft(8) alone: that nothing keeps the program has to do.
    await leavesNothing(
      "attach_netfilter",
      "on_netfilter",
      () => undefined,
      (program) => {
        return [
          ["BUSY", () => program.attachNetfilter(hook)],
          ["NOT_FOUND", () => program.attachNetfilter({ ...hook, netns: GONE })],
          ["INVALID_ARGUMENT", () => program.attachNetfilter({ ...hook, hook: "ingress" as "localIn" })],
        ];
      },
    );
  });

  requires({ cgroup2: true }).test("cgroups", async () => {
    await using cgroup = new TestCgroup();
    const programs = () => queried(cgroup.path, "cgroupInet4Connect");
    expect(programs()).toEqual([]);
    const gone = join(cgroup.path, "gone");
    await leavesNothing("attach_cgroup", "on_connect4", programs, (program) => {
      return [
        ["NOT_FOUND", () => program.attachCgroup(gone)],
        ["NOT_FOUND", () => program.attachCgroup(gone, { mode: "multi" })],
        ["INVALID_ARGUMENT", () => program.attachCgroup(tmpdir(), { mode: "multi" })],
        ["INVALID_ARGUMENT", () => program.attachCgroup(cgroup.path, { mode: "all" as "multi" })],
      ];
    });
    // Another's alone.
    using there = await Watched.load("attach_cgroup", ["on_connect4"]);
    using _there = there.object.program("on_connect4").attachCgroup(cgroup.path, { mode: "exclusive" });
    await leavesNothing("attach_cgroup", "on_connect4", programs, (program) => [
      ["PERMISSION_DENIED", () => program.attachCgroup(cgroup.path)],
      ["PERMISSION_DENIED", () => program.attachCgroup(cgroup.path, { mode: "multi" })],
    ]);
    expect(programs()).toEqual([there.object.program("on_connect4").info().id]);
  });

  requires({ kernel: ">=5.18" }).test("maps of sockets", async () => {
    using other = await Watched.load("attach_sock", ["on_msg"]);
    const map = other.object.map("few") as SockMap;
    const programs = () => native().programQuery(map.fd, AttachType.skMsgVerdict, 0);
    expect(programs()).toEqual([]);
    await leavesNothing("attach_sock", "on_msg", programs, (program, object) => [
      ["INVALID_ARGUMENT", () => program.attachSockmap(7 as unknown as SockMap)],
      ["INVALID_ARGUMENT", () => program.attachSockmap(object.map("sightings") as unknown as SockMap)],
    ]);
  });

  requires({}).test("sockets", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ebpf-test-"));
    const path = join(folder, "file");
    writeFileSync(path, "");
    const file = openSync(path, "r");
    try {
      await leavesNothing(
        "attach_net",
        "on_socket",
        () => undefined,
        (program) => {
          return [
            ["INVALID_ARGUMENT", () => program.attachSocketFilter(file)],
            ["NOT_FOUND", () => program.attachPacketSocket("nosuchdev0")],
            ["NOT_FOUND", () => program.attachPacketSocket("lo", { netns: GONE })],
          ];
        },
      );
      await leavesNothing(
        "attach_sock",
        "on_reuseport",
        () => undefined,
        (program) => [["INVALID_ARGUMENT", () => program.attachReuseport(file)]],
      );
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true });
    }
  });
});
