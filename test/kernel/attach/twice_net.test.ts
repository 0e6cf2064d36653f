/** The same program at the same device, route, namespace, cgroup or socket, twice: the kernel lets it run twice, or the second is refused. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { listAttachments, type Program, type SockMap, type StructOpsMap } from "ebpf";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { AttachFlag, AttachType } from "../../../lib/kernel/abi.js";
import { native } from "../../../lib/native.js";
import { Actor } from "../support/actor.js";
import { type FixtureName, STRUCT_OPS_PROGRAMS, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { CGROUP_KINDS, TCP4 } from "../support/cgroup_kinds.js";
import { Connection } from "../support/connection.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { bpfIsAnLsm, NO_BPF_LSM } from "../support/lsm.js";
import { NetNamespace } from "../support/namespace.js";
import { makeNetkit } from "../support/netkit.js";
import { type Requirements, requires } from "../support/requires.js";
import { SendingPair } from "../support/sending_pair.js";
import { attachTwice, type Refusal } from "../support/twice.js";

nothingStaysOpen();

interface Row {
  readonly kind: string;
  readonly program: readonly [fixture: FixtureName, name: string];
  readonly needs?: Requirements;
  readonly prepare?: (pair: SendingPair) => void;
  readonly attach: (program: Program, pair: SendingPair) => ReturnType<Program["attach"]>;
  /** Where the datagram goes to that the program sees. */
  readonly to?: string;
  /** What the second is refused with; undefined where both run. */
  readonly refused?: Refusal;
}

const XDP: Refusal = { code: "BUSY", text: /another XDP program is there already.*a device has one/ };
const HERE: Refusal = { code: "EXISTS", text: /this program is attached here already/ };
const hook = ({ b }: SendingPair) => ({ family: "ipv4", hook: "localIn", netns: b.path }) as const;
const SOCKET: Refusal = { code: "BUSY", text: /the socket has a program by another link of this process/ };
/** Priorities, one for each filter that is attached. */
let priority = 0;

const ROWS: readonly Row[] = [
  {
    kind: "xdp",
    program: ["attach_net", "on_xdp"],
    needs: { kernel: ">=5.9" },
    attach: (program, { b }) => program.attachXdp("veth0", { netns: b.path, by: "link" }),
    refused: XDP,
  },
  {
    kind: "xdp, by netlink",
    program: ["attach_net", "on_xdp"],
    attach: (program, { b }) => program.attachXdp("veth0", { netns: b.path, by: "netlink" }),
    refused: XDP,
  },
  {
    kind: "tc, where the kernel chooses",
    program: ["attach_net", "on_tc"],
    attach: (program, { b }) => program.attachTc("veth0", "ingress", { netns: b.path }),
  },
  {
    kind: "tc, at one handle and priority",
    program: ["attach_net", "on_tc"],
    attach: (program, { b }) => program.attachTc("veth0", "ingress", { netns: b.path, handle: 1, priority: 5 }),
    refused: { code: "EXISTS", text: /there is a filter with that handle and priority/ },
  },
  {
    kind: "tcx",
    program: ["attach_net", "on_tcx"],
    needs: { attachType: "tcxIngress" },
    attach: (program, { b }) => program.attachTcx("veth0", "ingress", { netns: b.path }),
    refused: HERE,
  },
  ...(["primary", "peer"] as const).map(
    (side): Row => ({
      kind: `netkit, ${side}`,
      program: ["attach_net", `on_netkit${side === "peer" ? "_peer" : ""}`],
      needs: { attachType: "netkitPrimary" },
      // What a sends is the primary side's there, and the peer's where the primary is b's.
      prepare: ({ a, b }) => (side === "primary" ? makeNetkit(a, b) : makeNetkit(b, a)),
      attach: (program, { a, b }) => program.attachNetkit("nk0", side, { netns: side === "primary" ? a.path : b.path }),
      to: side === "primary" ? "10.98.0.2" : "10.98.0.1",
      refused: HERE,
    }),
  ),
  {
    kind: "netfilter, at one priority",
    program: ["attach_netfilter", "on_netfilter"],
    needs: { programType: "netfilter", kernel: ">=6.4" },
    attach: (program, pair) => program.attachNetfilter({ ...hook(pair), priority: 3 }),
    refused: { code: "BUSY", text: /priority/ },
  },
  {
    kind: "netfilter, at two priorities",
    program: ["attach_netfilter", "on_netfilter"],
    needs: { programType: "netfilter", kernel: ">=6.4" },
    attach: (program, pair) => program.attachNetfilter({ ...hook(pair), priority: ++priority }),
  },
  ...(["xmit", "out"] as const).map(
    (end): Row => ({
      kind: `lwt_${end}`,
      program: ["attach_net", `on_lwt_${end}`],
      prepare: ({ a, b }) => {
        b.ip("addr", "add", "10.97.0.2/32", "dev", "lo");
        a.ip("route", "add", "10.97.0.0/16", "dev", "veth0");
      },
      attach: (program, { a }) => program.attachLwt("10.97.0.0/24", { device: "veth0", netns: a.path }),
      to: "10.97.0.2",
      refused: { code: "EXISTS", text: /there is such a route already/ },
    }),
  ),
  {
    kind: "flow_dissector",
    program: ["attach_net", "on_flow_dissector"],
    needs: { kernel: ">=5.10" },
    prepare: ({ b }) => {
      // A filter that asks for where the packet's payload is (SKF_AD_PAY_OFFSET) has it dissected.
      b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
      b.run(
        ...("tc filter add dev veth0 ingress prio 1 bpf bytecode".split(" ") as [string]),
        "2,32 0 0 4294963252,22 0 0 0",
      );
    },
    attach: (program, { b }) => program.attachNetns(b.path),
    refused: { code: "BUSY", text: /the namespace has one already/ },
  },
  {
    kind: "socket filter, each on a packet socket of its own",
    program: ["attach_net", "on_socket"],
    attach: (program, { b }) => program.attachPacketSocket("veth0", { netns: b.path, protocol: 0x0800 }),
  },
];

describe("attached twice to a device, a route or a namespace", () => {
  for (const { kind, program, needs = {}, prepare, attach, to = "10.99.0.2", refused } of ROWS) {
    requires({ netns: true, ...needs }).test(kind, async () => {
      await using pair = await SendingPair.open();
      prepare?.(pair);
      const [fixture, name] = program;
      using watched = await Watched.load(fixture, [name]);
      // What the first datagram waits for is there by the second.
      await pair.send(to);
      await attachTwice({
        watched,
        programs: [name],
        attach: () => attach((watched.object as { program(name: string): Program }).program(name), pair),
        cause: () => pair.send(to),
        records: 1,
        refused,
        there: () => [pair.a, pair.b].map(({ path }) => listAttachments({ netns: path }).map(({ target }) => target)),
        untold: kind.startsWith("socket filter"),
      });
      // The place is free again.
      attach((watched.object as { program(name: string): Program }).program(name), pair).close();
    });
  }

  requires({ netns: true, kernel: ">=5.9" }).test("sk_lookup", async () => {
    using namespace = new NetNamespace();
    await using actor = await Actor.start(namespace);
    using watched = await Watched.load("attach_sock", ["on_lookup"]);
    await attachTwice({
      watched,
      programs: ["on_lookup"],
      attach: () => watched.object.program("on_lookup").attachNetns(namespace.path),
      // Its map has no socket.
      cause: async () => {
        const { error } = await actor.do('await once(net.connect(7777, "127.0.0.1"), "connect")');
        expect(error).toBe("ECONNREFUSED");
      },
      records: 1,
    });
  });
});

describe("attached twice to a cgroup", () => {
  const needed = requires({ cgroup2: true });
  let cgroup: TestCgroup;
  let actor: Actor;
  beforeAll(async () => {
    if (needed.reason !== undefined) return;
    cgroup = new TestCgroup();
    actor = await Actor.start(cgroup);
  });
  afterAll(async () => {
    await cgroup?.close();
  });
  const there = () => listAttachments({ cgroup: cgroup.path }).map(({ kind, target }) => `${kind} ${target}`);

  for (const { name, program, action, needs = {} } of CGROUP_KINDS) {
    requires({ cgroup2: true, ...needs }).test(`${name}: by two links`, async () => {
      using watched = await Watched.load("attach_cgroup", [program]);
      await attachTwice({
        watched,
        programs: [program],
        attach: () => watched.object.program(program).attachCgroup(cgroup.path),
        cause: async () => expect(await actor.do(action)).not.toHaveProperty("error"),
        there,
      });
    });
  }

  requires({ vm: true, programType: "lsm", kernel: ">=6.0", cgroup2: true }).test(
    "lsm_cgroup: by two links",
    async ({ skip }) => {
      if (!bpfIsAnLsm()) skip(NO_BPF_LSM);
      using watched = await Watched.load("attach_trace", ["on_lsm_cgroup"]);
      await attachTwice({
        watched,
        programs: ["on_lsm_cgroup"],
        attach: () => watched.object.program("on_lsm_cgroup").attachCgroup(cgroup.path),
        cause: async () => expect(await actor.do(TCP4)).not.toHaveProperty("error"),
        there,
      });
    },
  );

  for (const [mode, refused] of [
    ["multi", { code: "EXISTS", text: /this program is attached there already \(EINVAL\)/ }],
    ["override", { code: "EXISTS", text: /this program is attached there already/ }],
    ["exclusive", { code: "EXISTS", text: /this program is attached there already/ }],
  ] as const) {
    needed.test(`in mode ${mode}`, async () => {
      using watched = await Watched.load("attach_cgroup", ["on_connect4"]);
      await attachTwice({
        watched,
        programs: ["on_connect4"],
        attach: () => watched.object.program("on_connect4").attachCgroup(cgroup.path, { mode }),
        cause: () => actor.do(TCP4),
        records: 1,
        refused,
        there,
      });
    });
  }

  for (const mode of ["override", "exclusive"] as const) {
    needed.test(`in mode ${mode}, where another program is`, async () => {
      using watched = await Watched.load("attach_cgroup", ["on_connect4"]);
      using other = await Watched.load("attach_cgroup", ["on_connect4"]);
      const [first, second] = [watched, other].map(({ object }) => object.program("on_connect4")) as [Program, Program];
      const link = first.attachCgroup(cgroup.path, { mode });
      const before = there();
      const busy = await errorOf(() => second.attachCgroup(cgroup.path, { mode }));
      expect(busy).toMatchObject({
        code: "BUSY",
        message: `cannot attach on_connect4 to cgroup ${cgroup.path}: the cgroup has a program already, and in mode ${mode} it has one`,
      });
      expect([other.object.links, there()]).toEqual([[], before]);
      await actor.do(TCP4);
      expect([watched.produced, other.produced]).toEqual([1, 0]);
      // Another tool puts its own there without asking. It is not this link's.
      const fd = openSync(cgroup.path, "r");
      const flags = mode === "override" ? AttachFlag.allowOverride : 0;
      const theirs = native().attachProgram(second.fd, fd, AttachType.cgroupInet4Connect, flags);
      closeSync(fd);
      link.close();
      await actor.do(TCP4);
      expect([watched.produced, other.produced]).toEqual([1, 1]);
      theirs.close(new Int32Array());
      await actor.do(TCP4);
      expect([watched.produced, other.produced, there()]).toEqual([1, 1, []]);
    });
  }
});

describe("attached twice to sockets", () => {
  for (const [name, needs] of [
    ["on_msg", {}],
    ["on_parser", {}],
    ["on_stream_verdict", {}],
    ["on_verdict", { kernel: ">=5.13" }],
  ] as const) {
    requires({ kernel: ">=5.18", ...needs }).test(`a map's: ${name}`, async () => {
      await using connection = await Connection.open();
      using watched = await Watched.load("attach_sock", [name]);
      const map = watched.object.map("few") as SockMap;
      // A parser runs beside a verdict only.
      using verdict = name === "on_parser" ? await Watched.load("attach_sock", ["on_stream_verdict"]) : undefined;
      using _verdict = verdict?.object.program("on_stream_verdict").attachSockmap(map);
      const socket = name === "on_msg" ? connection.client : connection.accepted;
      await attachTwice({
        watched,
        programs: [name],
        attach: () => watched.object.program(name).attachSockmap(map),
        cause: async () => {
          // A socket takes the programs that the map has when it is put in.
          map.set(0, socket);
          expect(await connection.send("hello")).toBe("hello");
          map.delete(0);
        },
        refused: { code: "BUSY", text: /the map has such a program/ },
      });
    });
  }

  requires({}).test("a socket filter", async () => {
    const receiver = createSocket("udp4").bind(0, "127.0.0.1");
    await once(receiver, "listening");
    using watched = await Watched.load("attach_net", ["on_socket"]);
    try {
      await attachTwice({
        watched,
        programs: ["on_socket"],
        attach: () => watched.object.program("on_socket").attachSocketFilter(receiver),
        cause: async () => {
          const message = once(receiver, "message");
          receiver.send("hello", receiver.address().port, "127.0.0.1");
          await message;
        },
        records: 1,
        refused: SOCKET,
        untold: true,
      });
      // Nor another's, as long as the first is there; an update is its own.
      using other = await Watched.load("attach_net", ["on_socket"]);
      const second = other.object.program("on_socket");
      const first = watched.object.program("on_socket").attachSocketFilter(receiver);
      expect(await errorOf(() => second.attachSocketFilter(receiver))).toMatchObject({ code: "BUSY" });
      first.update(second);
      first.close();
      second.attachSocketFilter(receiver).close();
    } finally {
      receiver.close();
      await once(receiver, "close");
    }
  });
});

describe("attached twice to the kernel's tables of functions", () => {
  for (const [kind, file, map, algorithm, refused, needs] of [
    ["struct_ops", "attach_struct_ops", "by_map", "ebpf_test", { code: "BUSY", text: /it is registered already/ }, {}],
    [
      "struct_ops, by a link",
      "attach_struct_ops_link",
      "by_link",
      "ebpf_test_l",
      { code: "EXISTS", text: /one of that name is registered already/ },
      { kernel: ">=6.4" },
    ],
  ] as const) {
    requires({ netns: true, programType: "structOps", ...needs }).test(kind, async () => {
      using namespace = new NetNamespace();
      await using actor = await Actor.start(namespace);
      using watched = await Watched.load(file, STRUCT_OPS_PROGRAMS);
      const structOps = watched.object.map(map) as StructOpsMap;
      await attachTwice({
        watched,
        programs: STRUCT_OPS_PROGRAMS,
        attach: () => watched.object.attachStructOps(map),
        // Both ends of a connection have it, where there is one.
        cause: async () => {
          await actor.do(`fs.writeFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "${algorithm}")`);
          await actor.do(TCP4);
          namespace.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno");
        },
        refused,
        there: () => structOps.state === "inuse",
      });
    });
  }
});
