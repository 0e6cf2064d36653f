import { listAttachments } from "ebpf";
import { describe, expect } from "vitest";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { requires } from "../support/requires.js";
import { SendingPair } from "../support/sending_pair.js";

const netns = requires({ netns: true });
nothingStaysOpen();

function load(...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs);
}

describe("attach type", () => {
  for (const [hook, what, from] of [
    ["out", 9, "a"],
    ["xmit", 11, "a"],
    ["in", 10, "b"],
  ] as const) {
    netns.test(`lwt_${hook}`, async () => {
      await using pair = await SendingPair.open();
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

  requires({ netns: true, programType: "lwtSeg6local" }).test("lwt_seg6local", async () => {
    await using pair = await SendingPair.open();
    // Packets for fd97::2 pass through the segment fd98::e on their way.
    pair.b.ip("addr", "add", "fd97::2/128", "dev", "lo");
    pair.a.ip("route", "add", "fd98::/64", "via", "fd99::2", "dev", "veth0");
    pair.a.ip(
      ...["route", "add", "fd97::2/128", "encap", "seg6", "mode", "inline", "segs", "fd98::e"],
      ...["via", "fd99::2", "dev", "veth0"],
    );
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
          { target: "fd98:0:0:0:0:0:0:e/128 dev veth0", program: "on_seg6local", programId: program.info().id },
        ]);
      },
    );
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
    const headroom = await errorOf(() => program.attachLwt("fd98::e", { device: "veth0", headroom: 8 }));
    expect(headroom.message).toContain('option "headroom" is for lwt_xmit programs');
    expect(watched.object.links).toEqual([]);
  });
});
