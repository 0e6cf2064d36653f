import { listAttachments } from "ebpf";
import { describe, expect } from "vitest";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { NetNamespace } from "../support/namespace.js";
import { Receiver } from "../support/receiver.js";
import { requires } from "../support/requires.js";
import { addresses, SendingPair, TEXT } from "../support/sending_pair.js";

const netns = requires({ netns: true });
nothingStaysOpen();

/** include/uapi/linux/bpf.h */
const BPF_DROP = 2;
const ETH_P_IP = 0x0800n;

function load(program: string, verdict = -1): Promise<Watched> {
  return Watched.load("attach_net", [program], (opened) => {
    opened.rodata["verdict"] = verdict;
  });
}

/** Behind b, at its veth1, a third namespace: 10.95.0.9, 10.96.0.9 and fd97::2. */
function leadOn(pair: SendingPair, behind: NetNamespace): void {
  pair.b.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
  pair.b.ip(..."link add veth1 type veth peer name veth0 netns".split(" "), behind.name);
  pair.b.ip("addr", "add", "10.94.0.1/24", "dev", "veth1");
  pair.b.ip("addr", "add", "fd94::1/64", "dev", "veth1", "nodad");
  pair.b.ip("link", "set", "veth1", "up");
  behind.ip("link", "set", "veth0", "up");
  for (const address of ["10.94.0.9/24", "10.95.0.9/32", "10.96.0.9/32"])
    behind.ip("addr", "add", address, "dev", "veth0");
  for (const address of ["fd94::9/64", "fd97::2/128"]) behind.ip("addr", "add", address, "dev", "veth0", "nodad");
  behind.ip("route", "add", "default", "via", "10.94.0.1");
  for (const network of ["10.95.0.0/16", "10.96.0.0/16"]) {
    pair.a.ip("route", "add", network, "via", "10.99.0.2");
    pair.b.ip("route", "add", network, "dev", "veth1");
  }
  pair.b.ip("route", "add", "fd97::/64", "via", "fd94::9");
}

describe("attach type", () => {
  for (const [hook, what, address, other] of [
    ["out", 9, "10.97.0.2", "10.99.0.2"],
    ["xmit", 11, "10.97.0.2", "10.99.0.2"],
    // On the way in, where packets are passed on.
    ["in", 10, "10.96.0.9", "10.95.0.9"],
  ] as const) {
    netns.test(`lwt_${hook}`, async () => {
      await using pair = await SendingPair.open();
      using behind = new NetNamespace();
      // Beyond the pair's own network. Without the program a wider route leads there.
      pair.b.ip("addr", "add", "10.97.0.2/32", "dev", "lo");
      pair.a.ip("route", "add", "10.97.0.0/16", "dev", "veth0");
      if (hook === "in") leadOn(pair, behind);
      await using receiver = await Receiver.open(hook === "in" ? behind : pair.b);
      const place = hook === "in" ? pair.b : pair.a;
      const attach = (watched: Watched) =>
        watched.object.program(`on_lwt_${hook}`).attachLwt(address.replace(/\d+$/, "0/24"), {
          device: hook === "in" ? "veth1" : "veth0",
          netns: place.path,
        });
      const length = BigInt(20 + 8 + TEXT.length);
      // Packets that come in are their device's. Those that go out have none until a neighbour is looked for.
      const device = hook === "out" ? 0n : BigInt(place.index("veth0"));
      const seen = { what, cookie: addresses(address), a: length, b: device, result: ETH_P_IP, comm: TEXT };
      using watched = await load(`on_lwt_${hook}`);
      const link = await runsOnlyWhileAttached(
        watched,
        {
          attach: () => attach(watched),
          cause: async () => {
            expect(await pair.send(address)).toBeUndefined();
            expect(await receiver.receive(TEXT)).toEqual([TEXT]);
          },
          expected: seen,
        },
        async () => {
          const found = listAttachments({ netns: place.path }).filter(({ kind }) => kind === "lwt");
          expect(found).toMatchObject([{ program: `on_lwt_${hook}` }]);
          // What takes another route is not the program's.
          await pair.send(other);
          expect(await receiver.receive(TEXT)).toEqual([TEXT]);
          expect(watched.produced).toBe(1);
        },
      );
      expect(link.kind).toBe(`lwt_${hook}`);
      expect(place.ip("route", "show")).not.toContain("encap bpf");

      using dropping = await load(`on_lwt_${hook}`, BPF_DROP);
      {
        using _link = attach(dropping);
        expect(await pair.send(address)).toBe(hook === "in" ? undefined : "EPERM");
        await dropping.saw(seen);
        await pair.send(other, 6);
        expect(await receiver.receive("hellox")).toEqual(["hellox"]);
        expect(dropping.produced).toBe(1);
      }
      await pair.send(address);
      expect(await receiver.receive(TEXT)).toEqual([TEXT]);
      expect(dropping.produced).toBe(1);
    });
  }

  requires({ netns: true, programType: "lwtSeg6local" }).test("lwt_seg6local", async () => {
    await using pair = await SendingPair.open();
    using behind = new NetNamespace();
    leadOn(pair, behind);
    // Packets for fd97::2 pass through the segment fd98::e on their way.
    pair.a.ip("route", "add", "fd98::/64", "via", "fd99::2", "dev", "veth0");
    pair.a.ip(
      ...["route", "add", "fd97::2/128", "encap", "seg6", "mode", "inline", "segs", "fd98::e"],
      ...["via", "fd99::2", "dev", "veth0"],
    );
    // Packets with segments are for those only who want them.
    for (const device of ["all", "veth0"]) behind.run("sysctl", "-qw", `net.ipv6.conf.${device}.seg6_enabled=1`);
    await using receiver = await Receiver.open(behind);
    using watched = await load("on_seg6local");
    const program = watched.object.program("on_seg6local");
    const found = () => listAttachments({ netns: pair.b.path }).filter(({ kind }) => kind === "lwt");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => program.attachLwt("fd98::e/128", { device: "veth0", netns: pair.b.path }),
        cause: () => pair.send("fd97::2"),
        // A routing header, whose last segment is the destination now.
        expected: { what: 13, a: 43n, b: 0n, result: 2n },
      },
      () => {
        expect(found()).toMatchObject([
          { target: "fd98::e/128 dev veth0", program: "on_seg6local", programId: program.info().id },
        ]);
        expect(watched.produced).toBe(1);
      },
    );
    // Without the segment nothing gets there, and one datagram did.
    expect(await receiver.receive(TEXT)).toEqual([TEXT]);
    {
      using dropping = await load("on_seg6local", BPF_DROP);
      using _link = dropping.object
        .program("on_seg6local")
        .attachLwt("fd98::e/128", { device: "veth0", netns: pair.b.path });
      await pair.send("fd97::2");
      await dropping.saw({ what: 13, a: 43n, b: 0n, result: 2n });
      // Past the segment.
      pair.a.ip("route", "change", "fd97::2/128", "via", "fd99::2", "dev", "veth0");
      await pair.send("fd97::2", 6);
      expect(await receiver.receive("hellox")).toEqual(["hellox"]);
      expect(dropping.produced).toBe(1);
    }
    expect(link).toMatchObject({ kind: "lwt_seg6local", target: `fd98::e/128 dev veth0 in ${pair.b.path}` });
    expect(pair.b.ip("-6", "route", "show")).not.toContain("seg6local");
    const again = program.attachLwt("fd98::e/128", { device: "veth0", netns: pair.b.path });
    const twice = await errorOf(() => program.attachLwt("fd98::e/128", { device: "veth0", netns: pair.b.path }));
    expect(twice).toMatchObject({ code: "EXISTS" });
    for (const { remove } of found()) remove();
    expect(found()).toEqual([]);
    again.close();
    const ipv4 = await errorOf(() => program.attachLwt("10.97.0.0/24", { device: "veth0", netns: pair.b.path }));
    expect(ipv4.message).toContain('a segment is an IPv6 address or prefix, got "10.97.0.0/24"');
    for (const odd of ["fd98::e/129", "fd98::/8/24", "fd98::e%veth0/128", "fd98::e/"])
      expect((await errorOf(() => program.attachLwt(odd, { device: "veth0" }))).message).toContain(
        `destination must be an address or a prefix, such as "10.1.0.0/16" or "fd00::/8", got "${odd}"`,
      );
    const headroom = await errorOf(() => program.attachLwt("fd98::e", { device: "veth0", headroom: 8 }));
    expect(headroom.message).toContain('option "headroom" is for lwt_xmit programs');
    expect(watched.object.links).toEqual([]);
  });
});
