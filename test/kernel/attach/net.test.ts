import { createSocket } from "node:dgram";
import { once } from "node:events";
import { Link, listAttachments, listLinks } from "ebpf";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { inNetns } from "../../../lib/kernel/device.js";
import { attribute, message, NLA_F_NESTED, NlmFlag, Rtm, request, u32 } from "../../../lib/kernel/netlink.js";
import { Actor } from "../support/actor.js";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { NamespacePair, type NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const PORT = 4242;
/** Ethernet, IPv4 and UDP headers, and the text. */
const TEXT = "hello";
const FRAME = 14 + 20 + 8 + TEXT.length;

/** Two namespaces, and a process in the first that sends. */
class Pair implements AsyncDisposable {
  readonly #pair: NamespacePair;
  readonly #sender: Actor;

  private constructor(pair: NamespacePair, sender: Actor) {
    this.#pair = pair;
    this.#sender = sender;
  }

  static async open(): Promise<Pair> {
    const pair = new NamespacePair();
    try {
      const sender = await Actor.start(pair.a);
      // The first packet would wait for the neighbour's address; from now on each has been received when it has been sent.
      await sender.do(`state.socket = dgram.createSocket("udp4"); ${send("10.99.0.2", 9)}`);
      await until("the neighbour", () => /REACHABLE|STALE|DELAY/.test(pair.a.ip("neigh", "show", "10.99.0.2")));
      return new Pair(pair, sender);
    } catch (error) {
      pair.close();
      throw error;
    }
  }

  get a(): NetNamespace {
    return this.#pair.a;
  }

  get b(): NetNamespace {
    return this.#pair.b;
  }

  /** One datagram from `a`, where nobody listens. On a veth pair it has been received when it is sent. */
  async send(address = "10.99.0.2"): Promise<void> {
    await this.#sender.do(send(address, PORT));
  }

  async close(): Promise<void> {
    await this.#sender.close();
    this.#pair.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function send(address: string, port: number): string {
  return `await new Promise((resolve) => state.socket.send("${TEXT}", ${port}, "${address}", resolve));`;
}

const netns = requires({ netns: true });
let before: string[];
beforeEach(() => {
  before = bpfDescriptors();
});
afterEach(() => {
  expect(bpfDescriptors()).toEqual(before);
});

function load(...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs);
}

function withVerdict(verdict: number, ...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs, (opened) => {
    opened.rodata["verdict"] = verdict;
  });
}

function index(namespace: NetNamespace, device: string): number {
  return (JSON.parse(namespace.ip("-j", "link", "show", device)) as { ifindex: number }[])[0]?.ifindex ?? 0;
}

/** nk0 and nk1, of the second layer. ip(8) knows netkit from 6.7 on, and Debian 12 has 6.1. */
function makeNetkit(namespace: NetNamespace): void {
  // include/uapi/linux/if_link.h
  const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA] = [3, 18, 1, 2];
  const [IFLA_NETKIT_PEER_INFO, IFLA_NETKIT_MODE, NETKIT_L2] = [1, 5, 0];
  const name = (text: string) => attribute(IFLA_IFNAME, Buffer.from(`${text}\0`));
  const header = Buffer.alloc(16);
  const peer = attribute(IFLA_NETKIT_PEER_INFO | NLA_F_NESTED, header, name("nk1"));
  const data = attribute(IFLA_INFO_DATA | NLA_F_NESTED, attribute(IFLA_NETKIT_MODE, u32(NETKIT_L2)), peer);
  const kind = attribute(IFLA_INFO_KIND, Buffer.from("netkit\0"));
  const info = attribute(IFLA_LINKINFO | NLA_F_NESTED, kind, data);
  inNetns("test", namespace.path, () =>
    request(message(Rtm.newLink, NlmFlag.create | NlmFlag.excl, header, name("nk0"), info)),
  );
}

describe("attach type", () => {
  netns.test("xdp", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_xdp");
    const veth = index(pair.b, "veth0");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_xdp").attachXdp("veth0", { netns: pair.b.path }),
        cause: () => pair.send(),
        expected: { what: 1, a: BigInt(veth), b: BigInt(FRAME) },
      },
      (attached) => {
        if (requires({ kernel: ">=5.13" }).reason === undefined)
          expect(attached.info()).toMatchObject({ type: "xdp", interfaceIndex: veth });
      },
    );
    expect(link).toMatchObject({ kind: "xdp", target: `veth0 in ${pair.b.path}` });
    expect(pair.b.ip("link", "show", "veth0")).not.toContain("xdp");
  });

  netns.test("xdp, generic, by netlink", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_xdp", "on_xdp_other");
    const program = watched.object.program("on_xdp");
    const options = { netns: pair.b.path, by: "netlink", mode: "generic" } as const;
    await runsOnlyWhileAttached(
      watched,
      { attach: () => program.attachXdp("veth0", options), cause: () => pair.send(), expected: { what: 1 } },
      async (link) => {
        expect(pair.b.ip("link", "show", "veth0")).toContain("xdpgeneric");
        // A device has one program, unless it is told to give it up.
        expect(await errorOf(() => watched.object.program("on_xdp_other").attachXdp("veth0", options))).toMatchObject({
          code: "BUSY",
        });
        link.update(watched.object.program("on_xdp_other"));
        await pair.send();
        await watched.saw({ what: 2 });
        // The kernel has no link for it.
        expect((await errorOf(() => link.pin("/sys/fs/bpf/ebpf-test"))).code).toBe("INVALID_STATE");
        expect((await errorOf(() => link.info())).message).toContain("the kernel has no link for xdp");
      },
    );
    expect(pair.b.ip("link", "show", "veth0")).not.toContain("xdp");
  });

  netns.test("tc", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_tc", "on_tc_other");
    const place = { netns: pair.b.path };
    const qdiscs = () => pair.b.run("tc", "qdisc", "show", "dev", "veth0");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_tc").attachTc("veth0", "ingress", place),
        cause: () => pair.send(),
        expected: { what: 3, b: BigInt(FRAME) },
      },
      async (attached) => {
        expect(qdiscs()).toContain("clsact");
        using second = watched.object.program("on_tc_other").attachTc("veth0", "ingress", { ...place, priority: 7 });
        expect(second).toMatchObject({ priority: 7, handle: 1 });
        expect(listAttachments(place).filter(({ kind }) => kind === "tc")).toHaveLength(2);
        const taken = await errorOf(() =>
          watched.object.program("on_tc").attachTc("veth0", "ingress", { ...place, priority: 7, handle: 1 }),
        );
        expect(taken.code).toBe("EXISTS");
        await pair.send();
        await watched.saw({ what: 4 });
        attached.update(watched.object.program("on_tc_other"));
      },
    );
    expect(link.target).toBe(`veth0 in ${pair.b.path} ingress`);
    // clsact came with the first filter, and has gone with the last.
    expect(qdiscs()).not.toContain("clsact");
    using drop = await withVerdict(2, "on_tc");
    using _egress = drop.object.program("on_tc").attachTc("veth0", "egress", { netns: pair.a.path });
    using behind = await load("on_xdp");
    using _xdp = behind.object.program("on_xdp").attachXdp("veth0", place);
    await pair.send();
    await drop.saw({ what: 3 });
    expect(behind.produced, "datagrams that got past TC_ACT_SHOT").toBe(0);
  });

  netns.test("clsact of somebody else stays", async () => {
    await using pair = await Pair.open();
    pair.b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
    using watched = await load("on_tc");
    watched.object.program("on_tc").attachTc("veth0", "egress", { netns: pair.b.path }).close();
    expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).toContain("clsact");
  });

  requires({ netns: true, kernel: ">=6.6" }).test("tcx", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_tcx", "on_tcx_other");
    const place = { netns: pair.b.path };
    const [first, second] = [watched.object.program("on_tcx"), watched.object.program("on_tcx_other")];
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => first.attachTcx("veth0", "ingress", place),
        cause: () => pair.send(),
        expected: { what: 5, b: BigInt(FRAME) },
      },
      async (link) => {
        const info = link.info();
        expect(info).toMatchObject({
          type: "tcx",
          attachType: "tcx_ingress",
          interfaceIndex: index(pair.b, "veth0"),
          programId: first.info().id,
        });
        const order = async () => {
          const from = watched.produced;
          await pair.send();
          return (await watched.settled()).slice(from).map(({ what }) => what);
        };
        {
          using _before = second.attachTcx("veth0", "ingress", { ...place, before: link });
          expect(await order()).toEqual([6, 5]);
        }
        {
          using _after = second.attachTcx("veth0", "ingress", { ...place, after: first });
          expect(await order()).toEqual([5, 6]);
        }
        {
          using _first = second.attachTcx("veth0", "ingress", { ...place, before: "first" });
          expect(await order()).toEqual([6, 5]);
        }
        const notThere = await errorOf(() => second.attachTcx("veth0", "egress", { ...place, before: link }));
        expect(notThere).toMatchObject({ code: expect.stringMatching(/NOT_FOUND|INVALID_ARGUMENT/) });
        expect(notThere.message).toContain("the anchor is not attached here");
        const stale = await errorOf(() => second.attachTcx("veth0", "ingress", { ...place, revision: 1 }));
        expect(stale).toMatchObject({ code: "INVALID_STATE" });
        link.update(second);
        expect(await order()).toEqual([6]);
        link.update(first);
      },
    );
    const bySection = second.attach({ device: "veth0", netns: pair.b.path });
    expect(bySection).toMatchObject({ kind: "tcx" });
    bySection.close();
  });

  requires({ netns: true, attachType: "netkitPrimary" }).test("netkit", async () => {
    await using pair = await Pair.open();
    makeNetkit(pair.a);
    pair.a.ip("link", "set", "nk1", "netns", pair.b.name);
    pair.a.ip("addr", "add", "10.98.0.1/24", "dev", "nk0");
    pair.b.ip("addr", "add", "10.98.0.2/24", "dev", "nk1");
    pair.a.ip("link", "set", "nk0", "up");
    pair.b.ip("link", "set", "nk1", "up");
    using watched = await load("on_netkit");
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_netkit").attachNetkit("nk0", "primary", { netns: pair.a.path }),
      cause: () => pair.send("10.98.0.2"),
      expected: { what: 7, b: BigInt(FRAME) },
    });
    const noNetkit = await errorOf(() =>
      watched.object.program("on_netkit").attachNetkit("veth0", "primary", { netns: pair.a.path }),
    );
    expect(noNetkit.message).toContain("no netkit device");
  });

  requires({ netns: true, programType: "netfilter", kernel: ">=6.4" }).test("netfilter", async () => {
    await using pair = await Pair.open();
    using watched = await Watched.load("attach_netfilter", ["on_netfilter"]);
    const program = watched.object.program("on_netfilter");
    const hook = { family: "ipv4", hook: "localIn", priority: -10, netns: pair.b.path } as const;
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => program.attachNetfilter(hook),
        cause: () => pair.send(),
        // NF_INET_LOCAL_IN of NFPROTO_IPV4; without the Ethernet header.
        expected: { what: 1, a: 1n, b: BigInt(FRAME - 14), result: 2n },
      },
      async (link) => {
        expect(link.info()).toMatchObject({ type: "netfilter", family: 2, hook: 1, priority: -10 });
        expect(await errorOf(() => program.attachNetfilter(hook))).toMatchObject({ code: "BUSY" });
      },
    );
    if (requires({ kernel: ">=6.6" }).reason === undefined) {
      using defrag = program.attachNetfilter({ ...hook, hook: "preRouting", priority: -100, defrag: true });
      expect(defrag.info()).toMatchObject({ type: "netfilter", hook: 0, flags: 1 });
      const early = await errorOf(() => program.attachNetfilter({ ...hook, priority: -500, defrag: true }));
      expect(early.message).toContain("with defrag the priority must be above -400");
    }
    const incomplete = await errorOf(() => program.attachNetfilter({ hook: "localIn" } as unknown as typeof hook));
    expect(incomplete.message).toContain('option "family" must be given');
  });

  netns.test("socket filter, on a packet socket", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_socket");
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object.program("on_socket").attachPacketSocket("veth0", { netns: pair.b.path, protocol: 0x0800 }),
      cause: () => pair.send(),
      expected: { what: 8, a: BigInt(FRAME) },
    });
  });

  requires({}).test("socket filter, on a socket of Node's", async () => {
    using watched = await withVerdict(0, "on_socket");
    const receiver = createSocket("udp4");
    const sender = createSocket("udp4");
    receiver.bind(0, "127.0.0.1");
    await once(receiver, "listening");
    const received: string[] = [];
    receiver.on("message", (message) => received.push(message.toString()));
    const send = (text: string) =>
      new Promise((resolve) => sender.send(text, receiver.address().port, "127.0.0.1", resolve));
    const link = watched.object.program("on_socket").attachSocketFilter(receiver);
    await send("dropped");
    // A socket filter sees UDP from its header on.
    await watched.saw({ what: 8, a: BigInt(8 + "dropped".length) });
    link.close();
    const message = once(receiver, "message");
    await send("received");
    await message;
    expect(received).toEqual(["received"]);
    expect(watched.produced).toBe(1);
    const again = watched.object.program("on_socket").attachSocketFilter(receiver);
    receiver.close();
    await once(receiver, "close");
    sender.close();
    // The socket is gone by now, and with it the filter; its number may be another's.
    again.close();
    expect(await errorOf(() => watched.object.program("on_socket").attachSocketFilter(0x7fff))).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  for (const [hook, what, from] of [
    ["out", 9, "a"],
    ["xmit", 11, "a"],
    ["in", 10, "b"],
  ] as const) {
    netns.test(`lwt_${hook}`, async () => {
      await using pair = await Pair.open();
      // To an address beyond the pair's own network; on the way in, a route to an address of the host's own.
      const destination = hook === "in" ? "10.97.0.2/32" : "10.97.0.0/24";
      pair.b.ip("addr", "add", "10.97.0.2/32", "dev", "lo");
      if (hook === "in") {
        pair.a.ip("route", "add", "10.97.0.0/24", "dev", "veth0");
        // Packets for 10.97.0.3 are to be passed on, which takes the route below.
        pair.b.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
      }
      using watched = await load(`on_lwt_${hook}`);
      const place = pair[from];
      const lwt = () =>
        watched.object
          .program(`on_lwt_${hook}`)
          .attachLwt(hook === "in" ? "10.96.0.0/24" : destination, { device: "veth0", netns: place.path });
      if (hook === "in") pair.a.ip("route", "add", "10.96.0.0/24", "via", "10.99.0.2");
      const link = await runsOnlyWhileAttached(
        watched,
        {
          attach: lwt,
          cause: () => pair.send(hook === "in" ? "10.96.0.9" : "10.97.0.2"),
          expected: { what },
        },
        () => {
          const found = listAttachments({ netns: place.path }).filter(({ kind }) => kind === "lwt");
          expect(found).toMatchObject([{ program: `on_lwt_${hook}` }]);
        },
      );
      expect(link.kind).toBe(`lwt_${hook}`);
      expect(place.ip("route", "show")).not.toContain("encap bpf");
    });
  }

  requires({ netns: true, kernel: ">=5.10" }).test("flow_dissector", async () => {
    await using pair = await Pair.open();
    using watched = await load("on_flow_dissector", "hash_it");
    using _hash = watched.object.program("hash_it").attachTc("veth0", "ingress", { netns: pair.b.path });
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_flow_dissector").attachNetns(pair.b.path),
        cause: () => pair.send(),
        expected: { what: 12 },
      },
      async (link) => {
        expect(link.info()).toMatchObject({ type: "netns", attachType: "flow_dissector" });
        const second = await errorOf(() => watched.object.program("on_flow_dissector").attachNetns(pair.b.path));
        expect(second).toMatchObject({ code: "BUSY" });
      },
    );
  });
});

describe("bad input of devices", () => {
  netns.test("devices and namespaces that are not there, or gone", async () => {
    using watched = await load("on_xdp", "on_tc");
    const [xdp, tc] = [watched.object.program("on_xdp"), watched.object.program("on_tc")];
    expect(await errorOf(() => xdp.attachXdp("nosuchdev0"))).toMatchObject({ code: "NOT_FOUND" });
    expect(await errorOf(() => xdp.attachXdp("lo", { netns: "/run/netns/no-such" }))).toMatchObject({
      code: "NOT_FOUND",
    });
    expect(await errorOf(() => xdp.attachXdp("lo", { netns: "/tmp" }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect((await errorOf(() => tc.attachTc("lo", "sideways" as "ingress"))).message).toContain(
      'direction must be "ingress" or "egress"',
    );
    expect((await errorOf(() => xdp.attachXdp("lo", { mod: "generic" } as object))).message).toContain(
      'unknown option "mod" (did you mean "mode"?)',
    );
    expect((await errorOf(() => xdp.attach())).message).toContain(
      'attaches to a network device: say which, attach({ device: "eth0" })',
    );
    expect((await errorOf(() => tc.attach())).message).toContain("attachTc");
    expect((await errorOf(() => tc.attachXdp("lo"))).message).toContain("on_tc is a sched_cls program");
    expect(watched.object.links).toEqual([]);
    const pair = await Pair.open();
    const links = [
      xdp.attachXdp("veth0", { netns: pair.b.path }),
      tc.attachTc("veth0", "ingress", { netns: pair.b.path }),
      xdp.attachXdp("veth0", { netns: pair.a.path, by: "netlink" }),
    ];
    await pair.close();
    // What it was attached to is gone, and with it the attachment: nothing to complain of.
    for (const link of links) link.close();
    expect(listLinks().filter(({ programId }) => programId === xdp.info().id)).toEqual([]);
    expect(links.every((link) => link instanceof Link && link.closed)).toBe(true);
  });
});
