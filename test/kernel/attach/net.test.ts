import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Link, listAttachments, listLinks, type Program } from "ebpf";
import { describe, expect } from "vitest";
import { socketDescriptor } from "../../../lib/kernel/descriptor.js";
import { Actor } from "../support/actor.js";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { fixture } from "../support/fixture.js";
import { NamespacePair, NetNamespace } from "../support/namespace.js";
import { makeNetkit } from "../support/netkit.js";
import { requires } from "../support/requires.js";
import { addresses, FRAME, PORT, SendingPair, TEXT } from "../support/sending_pair.js";
import { until } from "../support/until.js";

const netns = requires({ netns: true });
nothingStaysOpen();

function load(...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs);
}

function withVerdict(verdict: number, ...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs, (opened) => {
    opened.rodata["verdict"] = verdict;
  });
}

/** What the programs say of SendingPair's datagram, which nobody has marked before. */
const datagram = (...ends: Parameters<typeof addresses>) => ({
  cookie: addresses(...ends),
  b: BigInt(FRAME),
  result: 0n,
  comm: TEXT,
});
const DATAGRAM = datagram();

describe("a device that is not there", () => {
  netns.test("is missed where it was looked for", async () => {
    using there = new NetNamespace();
    using watched = await load("on_tc");
    const program = watched.object.program("on_tc");
    const here = await errorOf(() => program.attachTc("nosuch0", "ingress"));
    expect(here).toMatchObject({
      code: "NOT_FOUND",
      message:
        'on_tc.attachTc: there is no network device nosuch0 in this network namespace (see "ip link"; option netns looks in another)',
    });
    const elsewhere = await errorOf(() => program.attachTc("nosuch0", "ingress", { netns: there.path }));
    expect(elsewhere).toMatchObject({
      code: "NOT_FOUND",
      message: `on_tc.attachTc: there is no network device nosuch0 in the network namespace ${there.path} (see "nsenter --net=${there.path} ip link")`,
    });
  });
});

describe("attach type", () => {
  netns.test("tc", async () => {
    await using pair = await SendingPair.open();
    using watched = await load("on_tc", "on_tc_other");
    const place = { netns: pair.b.path };
    const qdiscs = () => pair.b.run("tc", "qdisc", "show", "dev", "veth0");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_tc").attachTc("veth0", "ingress", place),
        cause: () => pair.send(),
        expected: { what: 3, a: BigInt(pair.b.index("veth0")), ...DATAGRAM },
      },
      async (attached) => {
        expect(qdiscs()).toContain("clsact");
        using second = watched.object.program("on_tc_other").attachTc("veth0", "ingress", { ...place, priority: 7 });
        expect(second).toMatchObject({ priority: 7, handle: 1 });
        expect(listAttachments(place).filter(({ kind }) => kind === "tc")).toHaveLength(2);
        const from = watched.produced;
        await pair.send();
        // By priority; each leaves its mark.
        expect((await watched.settled()).slice(from)).toMatchObject([{ what: 4 }, { what: 3, result: 4n }]);
        attached.update(watched.object.program("on_tc_other"));
        expect(attached.program).toBe("on_tc_other");
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
    await drop.saw({ what: 3, a: BigInt(pair.a.index("veth0")), ...DATAGRAM });
    expect(behind.produced, "datagrams that got past TC_ACT_SHOT").toBe(0);
  });

  requires({ netns: true, kernel: ">=6.6" }).test("tcx", async () => {
    await using pair = await SendingPair.open();
    // Programs of section tc are of the same type.
    using watched = await load("on_tcx", "on_tcx_other", "on_tc", "on_tc_other");
    const place = { netns: pair.b.path };
    const program = (name: string) => watched.object.program(name);
    const [first, second, third, fourth] = ["on_tcx", "on_tcx_other", "on_tc_other", "on_tc"].map(program) as [
      Program,
      Program,
      Program,
      Program,
    ];
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => first.attachTcx("veth0", "ingress", place),
        cause: () => pair.send(),
        expected: { what: 5, a: BigInt(pair.b.index("veth0")), ...DATAGRAM },
      },
      async (link) => {
        const info = link.info();
        expect(info).toMatchObject({
          type: "tcx",
          attachType: "tcx_ingress",
          interfaceIndex: pair.b.index("veth0"),
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
        {
          // By the kernel's number of a program, which another process may have attached.
          const { id: programId } = first.info();
          using _byId = second.attachTcx("veth0", "ingress", { ...place, before: { programId } });
          expect(await order()).toEqual([6, 5]);
          using _last = third.attachTcx("veth0", "ingress", { ...place, after: "last" });
          expect(await order()).toEqual([6, 5, 4]);
          using _between = fourth.attachTcx("veth0", "ingress", { ...place, after: link });
          expect(await order()).toEqual([6, 5, 3, 4]);
        }
        expect(await order()).toEqual([5]);
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
    {
      // On the way out, where the datagram has its Ethernet header, too.
      using egress = first.attachTcx("veth0", "egress", { netns: pair.a.path });
      expect(egress.info()).toMatchObject({ attachType: "tcx_egress", interfaceIndex: pair.a.index("veth0") });
      const from = watched.produced;
      await pair.send();
      expect((await watched.settled()).slice(from)).toMatchObject([
        { what: 5, a: BigInt(pair.a.index("veth0")), ...DATAGRAM },
      ]);
    }
    const bySection = second.attach({ device: "veth0", netns: pair.b.path });
    expect(bySection).toMatchObject({ kind: "tcx" });
    bySection.close();
  });

  requires({ netns: true, attachType: "netkitPrimary" }).test("netkit", async () => {
    await using pair = await SendingPair.open();
    makeNetkit(pair.a, pair.b);
    using watched = await load("on_netkit", "on_netkit_other");
    const place = { netns: pair.a.path };
    const other = watched.object.program("on_netkit_other");
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_netkit").attachNetkit("nk0", "primary", place),
        cause: () => pair.send("10.98.0.2"),
        // A packet is at the device that it goes to by then.
        expected: { what: 7, ...datagram("10.98.0.2", "10.98.0.1"), a: BigInt(pair.b.index("nk1")) },
      },
      async (link) => {
        expect(link.info()).toMatchObject({
          type: "netkit",
          attachType: "netkit_primary",
          interfaceIndex: pair.a.index("nk0"),
        });
        const order = async () => {
          const from = watched.produced;
          await pair.send("10.98.0.2");
          return (await watched.settled()).slice(from).map(({ what }) => what);
        };
        for (const [anchor, expected] of [
          [{ before: link }, [14, 7]],
          [{ after: watched.object.program("on_netkit") }, [7, 14]],
          [{ before: "first" }, [14, 7]],
          [{ after: "last" }, [7, 14]],
        ] as const) {
          using _other = other.attachNetkit("nk0", "primary", { ...place, ...anchor });
          expect(await order()).toEqual(expected);
        }
        const elsewhere = await errorOf(() => other.attachNetkit("nk0", "peer", { ...place, before: link }));
        expect(elsewhere.message).toContain("the anchor is not attached here");
        link.update(other);
        expect(await order()).toEqual([14]);
        link.update(watched.object.program("on_netkit"));
      },
    );
    // By the section, which says the side.
    const bySection = watched.object.program("on_netkit").attach({ device: "nk0", netns: pair.a.path });
    expect(bySection).toMatchObject({ kind: "netkit", target: `nk0 in ${pair.a.path} primary` });
    const from = watched.produced;
    await pair.send("10.98.0.2");
    expect((await watched.settled()).slice(from)).toMatchObject([{ what: 7 }]);
    bySection.close();
    {
      // The other side's packets, by a program that is attached on this side.
      await using answering = await Actor.start(pair.b);
      using peer = await load("on_netkit_peer");
      await runsOnlyWhileAttached(
        peer,
        {
          attach: () => peer.object.program("on_netkit_peer").attach({ device: "nk0", ...place }),
          cause: async () => {
            const { error } = await answering.do(`
              const socket = (state.socket ??= dgram.createSocket("udp4"));
              await new Promise((done) => socket.send("${TEXT}", ${PORT}, "10.98.0.1", done));
            `);
            expect(error).toBeUndefined();
          },
          expected: { what: 15, ...datagram("10.98.0.1", "10.98.0.2"), a: BigInt(pair.a.index("nk0")) },
        },
        async (link) => {
          expect(link).toMatchObject({ kind: "netkit", target: `nk0 in ${pair.a.path} peer` });
          expect(link.info()).toMatchObject({ attachType: "netkit_peer" });
          // What goes the other way is the primary side's.
          await pair.send("10.98.0.2");
          expect(peer.produced).toBe(1);
        },
      );
    }
    const noNetkit = await errorOf(() =>
      watched.object.program("on_netkit").attachNetkit("veth0", "primary", { netns: pair.a.path }),
    );
    expect(noNetkit.message).toContain("no netkit device");
  });

  requires({ netns: true, programType: "netfilter", kernel: ">=6.4" }).test("netfilter", async () => {
    await using pair = await SendingPair.open();
    using watched = await Watched.load("attach_netfilter", ["on_netfilter"]);
    const program = watched.object.program("on_netfilter");
    const hook = { family: "ipv4", hook: "localIn", priority: -10, netns: pair.b.path } as const;
    await runsOnlyWhileAttached(
      watched,
      {
        attach: () => program.attachNetfilter(hook),
        cause: () => pair.send(),
        // NF_INET_LOCAL_IN of NFPROTO_IPV4; without the Ethernet header.
        expected: { ...DATAGRAM, what: 1, a: 1n, b: BigInt(FRAME - 14), result: 2n },
      },
      (link) => expect(link.info()).toMatchObject({ type: "netfilter", family: 2, hook: 1, priority: -10 }),
    );
    if (requires({ kernel: ">=6.6" }).reason === undefined) {
      // A datagram of three fragments, seen piece by piece, and as a whole.
      const early = { ...hook, hook: "preRouting", priority: -300 } as const;
      const lengths = async () => {
        const from = watched.produced;
        await pair.send("10.99.0.2", 4000);
        return (await watched.settled()).slice(from).map(({ b }) => Number(b));
      };
      {
        using _plain = program.attachNetfilter(early);
        expect(await lengths()).toEqual([1500, 1500, 4000 + 8 - 2 * 1480 + 20]);
      }
      using defrag = program.attachNetfilter({ ...early, defrag: true });
      expect(defrag.info()).toMatchObject({ type: "netfilter", hook: 0, flags: 1 });
      expect(await lengths()).toEqual([20 + 8 + 4000]);
      const tooEarly = await errorOf(() => program.attachNetfilter({ ...hook, priority: -500, defrag: true }));
      expect(tooEarly.message).toContain("with defrag the priority must be above -400");
    }
    const incomplete = await errorOf(() => program.attachNetfilter({ hook: "localIn" } as unknown as typeof hook));
    expect(incomplete.message).toContain('option "family" must be given');
  });

  requires({ netns: true, programType: "netfilter", kernel: ">=6.4" }).test(
    "netfilter, at every hook, of both families, in the order of priorities",
    async () => {
      await using pair = await SendingPair.open();
      using watched = await Watched.load("attach_netfilter", ["on_netfilter"]);
      const program = watched.object.program("on_netfilter");
      // What is for others passes through b, on to nobody.
      pair.b.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
      pair.a.ip("route", "add", "10.95.0.0/24", "via", "10.99.0.2");
      pair.b.ip("route", "add", "10.95.0.0/24", "dev", "veth0");
      /** Bytes of the datagram, without the Ethernet header. */
      const length = { ipv4: FRAME - 14, ipv6: FRAME - 14 + 20 } as const;
      for (const [namespace, family, hook, number, address] of [
        [pair.b, "ipv4", "preRouting", 0n, "10.99.0.2"],
        [pair.b, "ipv4", "localIn", 1n, "10.99.0.2"],
        [pair.b, "ipv4", "forward", 2n, "10.95.0.9"],
        [pair.a, "ipv4", "localOut", 3n, "10.99.0.2"],
        [pair.a, "ipv4", "postRouting", 4n, "10.99.0.2"],
        [pair.b, "ipv6", "localIn", 1n, "fd99::2"],
        [pair.a, "ipv6", "localOut", 3n, "fd99::2"],
      ] as const) {
        using link = program.attachNetfilter({ family, hook, priority: 5, netns: namespace.path });
        const result = family === "ipv4" ? 2n : 10n;
        expect(link.info()).toMatchObject({ family: Number(result), hook: Number(number), priority: 5 });
        await pair.send(address);
        await watched.saw({ what: 1, a: number, b: BigInt(length[family]), result });
      }
      expect(watched.object.links).toEqual([]);
      using dropping = await Watched.load("attach_netfilter", ["on_netfilter"], (opened) => {
        opened.rodata["verdict"] = 0;
      });
      const before = watched.produced;
      const place = { family: "ipv4", hook: "localIn", netns: pair.b.path } as const;
      using _then = program.attachNetfilter({ ...place, priority: 0 });
      {
        using _first = dropping.object.program("on_netfilter").attachNetfilter({ ...place, priority: -1 });
        await pair.send();
        expect([dropping.produced, watched.produced - before]).toEqual([1, 0]);
      }
      using _last = dropping.object.program("on_netfilter").attachNetfilter({ ...place, priority: 1 });
      await pair.send();
      expect([dropping.produced, watched.produced - before]).toEqual([2, 1]);
    },
  );

  netns.test("socket filter, on a packet socket", async () => {
    await using pair = await SendingPair.open();
    using watched = await load("on_socket");
    await runsOnlyWhileAttached(watched, {
      attach: () =>
        watched.object.program("on_socket").attachPacketSocket("veth0", { netns: pair.b.path, protocol: 0x0800 }),
      cause: () => pair.send(),
      expected: { what: 8, a: BigInt(FRAME), b: 0x0800n, result: BigInt(pair.b.index("veth0")), comm: TEXT },
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
    await watched.saw({ what: 8, a: BigInt(8 + "dropped".length), b: 0x0800n, comm: "opped" });
    {
      // Another in its place, which lets pass.
      using passes = await load("on_socket");
      link.update(passes.object.program("on_socket"));
      const message = once(receiver, "message");
      await send("let pass");
      await message;
      await passes.saw({ what: 8, a: BigInt(8 + "let pass".length), b: 0x0800n, comm: " pass" });
      link.update(watched.object.program("on_socket"));
    }
    expect(received.splice(0)).toEqual(["let pass"]);
    expect(watched.produced).toBe(1);
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
});

describe("beside others' filters", () => {
  netns.test("clsact of somebody else stays", async () => {
    await using pair = await SendingPair.open();
    pair.b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
    using watched = await load("on_tc");
    watched.object.program("on_tc").attachTc("veth0", "egress", { netns: pair.b.path }).close();
    expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).toContain("clsact");
  });

  netns.test(
    "ingress of somebody else, the discipline that clsact came after: it has one direction, and stays",
    async () => {
      await using pair = await SendingPair.open();
      pair.b.run("tc", "qdisc", "add", "dev", "veth0", "ingress");
      using watched = await load("on_tc");
      const place = { netns: pair.b.path };
      const attach = (direction: "ingress" | "egress") =>
        watched.object.program("on_tc").attachTc("veth0", direction, place);
      // The kernel would take it, and run it for what comes in.
      const wrong = await errorOf(() => attach("egress"));
      expect(wrong).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(wrong.message).toContain(
        "another queueing discipline (ingress) in the place of clsact, which has no egress",
      );
      await runsOnlyWhileAttached(
        watched,
        { attach: () => attach("ingress"), cause: () => pair.send(), expected: { what: 3, ...DATAGRAM } },
        () =>
          expect(listAttachments(place).map(({ target }) => target)).toEqual([
            expect.stringMatching(/^veth0 ingress handle 1 priority \d+$/),
          ]),
      );
      expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).toContain("qdisc ingress");
      // The other side's, which has none of these, has both directions.
      using _egress = watched.object.program("on_tc").attachTc("veth0", "egress", { netns: pair.a.path });
      expect(listAttachments({ netns: pair.a.path }).map(({ target }) => target.split(" ")[1])).toEqual(["egress"]);
    },
  );

  netns.test("clsact goes with the last of its filters, whichever that is", async () => {
    using pair = new NamespacePair();
    const place = { netns: pair.b.path };
    const hasClsact = () => pair.b.run("tc", "qdisc", "show", "dev", "veth0").includes("clsact");
    for (const last of [0, 1]) {
      using watched = await load("on_tc", "on_tc_other");
      const links = [
        watched.object.program("on_tc").attachTc("veth0", "ingress", place),
        watched.object.program("on_tc_other").attachTc("veth0", "egress", place),
      ];
      links[1 - last]?.close();
      expect(hasClsact()).toBe(true);
      links[last]?.close();
      expect(hasClsact()).toBe(false);
    }
    const object = (await load("on_tc", "on_tc_other")).object;
    for (const name of ["on_tc", "on_tc_other"] as const) object.program(name).attachTc("veth0", "ingress", place);
    expect(hasClsact()).toBe(true);
    object.close();
    expect(hasClsact()).toBe(false);
    // Another thread's filter is the last one, and its clsact this one's.
    using watched = await load("on_tc");
    const first = watched.object.program("on_tc").attachTc("veth0", "ingress", place);
    const worker = new Worker(fileURLToPath(new URL("../children/filter_in_thread.mjs", import.meta.url)), {
      workerData: { object: fixture("attach_net"), ...place },
    });
    await once(worker, "message");
    first.close();
    expect(listAttachments(place).map(({ program }) => program)).toEqual(["on_tc_other"]);
    await worker.terminate();
    expect(hasClsact()).toBe(false);
  });

  netns.test("a tc filter whose place another has taken leaves that one alone", async () => {
    using pair = new NamespacePair();
    using watched = await load("on_tc", "on_tc_other");
    const place = { netns: pair.b.path, handle: 1, priority: 5 };
    const [mine, other] = [watched.object.program("on_tc"), watched.object.program("on_tc_other")];
    const there = () => listAttachments({ netns: pair.b.path }).map(({ program }) => program);
    const old = mine.attachTc("veth0", "ingress", place);
    const taken = other.attachTc("veth0", "ingress", { ...place, replace: true });
    const stale = await errorOf(() => old.update(mine));
    expect(stale).toMatchObject({ code: "INVALID_STATE" });
    expect(stale.message).toContain("another program is in its place");
    expect(old.program).toBe("on_tc");
    expect(there()).toEqual(["on_tc_other"]);
    old.close();
    expect(there()).toEqual(["on_tc_other"]);
    taken.update(mine);
    expect(there()).toEqual(["on_tc"]);
    taken.close();
    expect(there()).toEqual([]);
    expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).not.toContain("clsact");
    // Removed by somebody else, with the device.
    const orphan = mine.attachTc("veth0", "ingress", place);
    pair.b.ip("link", "del", "veth0");
    const gone = await errorOf(() => orphan.update(other));
    expect(gone).toMatchObject({ code: "INVALID_STATE" });
    expect(gone.message).toContain("what it was attached to is gone");
    orphan.close();
  });
});

describe("a socket that is closed", () => {
  requires({}).test("a socket's number is another's by now: its filter stays away from that", async () => {
    using watched = await withVerdict(0, "on_socket");
    const program = watched.object.program("on_socket");
    const old = createSocket("udp4");
    old.bind(0, "127.0.0.1");
    await once(old, "listening");
    const fd = socketDescriptor("test", old);
    const link = program.attachSocketFilter(old);
    old.close();
    await once(old, "close");
    const strangers: Socket[] = [];
    try {
      // Numbers are given from the lowest on.
      const stranger = await until("a socket with the same number", async () => {
        const socket = createSocket("udp4");
        strangers.push(socket);
        socket.bind(0, "127.0.0.1");
        await once(socket, "listening");
        return socketDescriptor("test", socket) === fd && socket;
      });
      const error = await errorOf(() => link.update(program));
      expect(error).toMatchObject({ code: "INVALID_STATE" });
      expect(error.message).toContain("what it was attached to is gone (ENOLINK)");
      const message = once(stranger, "message");
      stranger.send("received", stranger.address().port, "127.0.0.1");
      await message;
      link.close();
      expect(watched.produced).toBe(0);
    } finally {
      for (const socket of strangers) socket.close();
    }
  });
});

describe("bad input of devices", () => {
  netns.test("devices and namespaces that are not there, or gone", async () => {
    using watched = await load("on_xdp", "on_tc");
    const [xdp, tc] = [watched.object.program("on_xdp"), watched.object.program("on_tc")];
    expect(await errorOf(() => xdp.attachXdp("lo", { netns: "/tmp" }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    for (const index of [0, -1, 1.5, 2 ** 31])
      expect(await errorOf(() => xdp.attachXdp(index))).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(`device must be a name or an index from 1, got ${index}`),
      });
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
    const pair = await SendingPair.open();
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
