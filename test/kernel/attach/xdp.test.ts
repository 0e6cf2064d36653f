import { describe, expect } from "vitest";
import { AttachNet } from "../../fixtures/attach_net.bpf.js";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import type { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { FRAME, SendingPair } from "../support/sending_pair.js";

const netns = requires({ netns: true });
nothingStaysOpen();

function load(...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs);
}

/** XDP_ATTACHED_DRV (1) or XDP_ATTACHED_SKB (2) of veth0, as ip(8) has it; undefined where nothing is attached. */
function modeOf(namespace: NetNamespace): number | undefined {
  const [device] = JSON.parse(namespace.ip("-j", "link", "show", "veth0")) as { xdp?: { mode: number } }[];
  return device?.xdp?.mode;
}

describe("attach type", () => {
  netns.test("xdp", async () => {
    await using pair = await SendingPair.open();
    using watched = await load("on_xdp", "on_xdp_other");
    const veth = pair.b.index("veth0");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_xdp").attachXdp("veth0", { netns: pair.b.path }),
        cause: () => pair.send(),
        expected: { what: 1, a: BigInt(veth), b: BigInt(FRAME) },
      },
      async (attached) => {
        if (requires({ kernel: ">=5.13" }).reason === undefined)
          expect(attached.info()).toMatchObject({ type: "xdp", interfaceIndex: veth });
        if (requires({ kernel: ">=5.9" }).reason !== undefined) return;
        // Another speaks in its place.
        attached.update(watched.object.program("on_xdp_other"));
        const from = watched.produced;
        await pair.send();
        expect((await watched.settled()).slice(from).map(({ what }) => what)).toEqual([2]);
        expect(attached.program).toBe("on_xdp_other");
      },
    );
    expect(link).toMatchObject({ kind: "xdp", target: `veth0 in ${pair.b.path}` });
    expect(pair.b.ip("link", "show", "veth0")).not.toContain("xdp");
  });

  netns.test("xdp, generic, by netlink", async () => {
    await using pair = await SendingPair.open();
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

  // Generic by netlink is above.
  for (const [mode, attached, by] of [
    ["native", 1, "link"],
    ["native", 1, "netlink"],
    ["generic", 2, "link"],
  ] as const) {
    requires({ netns: true, kernel: by === "link" ? ">=5.9" : ">=4.12" }).test(`xdp, ${mode}, by ${by}`, async () => {
      await using pair = await SendingPair.open();
      using watched = await load("on_xdp");
      await runsOnlyWhileAttached(
        watched,
        {
          attach: () => watched.object.program("on_xdp").attachXdp("veth0", { netns: pair.b.path, mode, by }),
          cause: () => pair.send(),
          expected: { what: 1, b: BigInt(FRAME) },
        },
        () => expect(modeOf(pair.b)).toBe(attached),
      );
      expect(modeOf(pair.b)).toBeUndefined();
    });
  }

  netns.test("xdp by netlink takes the place of another, which then leaves it alone", async () => {
    await using pair = await SendingPair.open();
    using watched = await load("on_xdp", "on_xdp_other");
    const [first, second] = [watched.object.program("on_xdp"), watched.object.program("on_xdp_other")];
    const options = { netns: pair.b.path, by: "netlink" } as const;
    const old = first.attachXdp("veth0", options);
    await pair.send();
    await watched.saw({ what: 1 });
    const taken = second.attachXdp("veth0", { ...options, replace: true });
    await pair.send();
    await watched.saw({ what: 2 });
    const stale = await errorOf(() => old.update(first));
    expect(stale).toMatchObject({ code: "INVALID_STATE" });
    expect(stale.message).toContain("another program is in its place");
    old.close();
    const { produced } = watched;
    await pair.send();
    expect((await watched.settled()).slice(produced).map(({ what }) => what)).toEqual([2]);
    taken.close();
    expect(modeOf(pair.b)).toBeUndefined();
    await pair.send();
    expect(watched.produced).toBe(produced + 1);
  });

  requires({ netns: true, kernel: ">=5.18" }).test(
    "xdp with a large MTU, by the flag that lets packets have fragments",
    async () => {
      await using pair = await SendingPair.open();
      pair.a.ip("link", "set", "veth0", "mtu", "9000");
      pair.b.ip("link", "set", "veth0", "mtu", "9000");
      const place = { netns: pair.b.path, mode: "native" } as const;
      {
        using plain = await load("on_xdp");
        const refused = await errorOf(() => plain.object.program("on_xdp").attachXdp("veth0", place));
        expect(refused.message).toContain("MTU");
        expect(plain.object.links).toEqual([]);
      }
      using watched = await Watched.load("attach_net", ["on_xdp"], (opened) => {
        const program = opened.program("on_xdp");
        expect(program.flags).toEqual([]);
        program.flags = ["xdp_has_frags"];
        expect(program.flags).toEqual(["xdp_has_frags"]);
      });
      await runsOnlyWhileAttached(watched, {
        attach: () => watched.object.program("on_xdp").attachXdp("veth0", place),
        cause: () => pair.send(),
        expected: { what: 1, b: BigInt(FRAME) },
      });
    },
  );
});

describe("bad input of XDP", () => {
  netns.test("a mode that the device does not have, a second program, words that are none", async () => {
    await using pair = await SendingPair.open();
    using watched = await load("on_xdp", "on_xdp_other");
    const [program, other] = [watched.object.program("on_xdp"), watched.object.program("on_xdp_other")];
    const place = { netns: pair.b.path };
    const noDriver = await errorOf(() => program.attachXdp("lo", { ...place, mode: "native" }));
    expect(noDriver).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
    expect(noDriver.message).toContain("no native XDP (use mode generic)");
    const noCard = await errorOf(() => program.attachXdp("veth0", { ...place, mode: "offload" }));
    expect(noCard.code).toMatch(/KERNEL_UNSUPPORTED|INVALID_ARGUMENT/);
    const wrong = await errorOf(() => program.attachXdp("veth0", { ...place, mode: "drv" as "native" }));
    expect(wrong.message).toContain('option "mode" must be "native" or "generic" or "offload", got "drv"');
    const replaced = await errorOf(() => program.attachXdp("veth0", { ...place, by: "link", replace: true }));
    expect(replaced).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(replaced.message).toContain('replace goes with by "netlink"');
    expect(modeOf(pair.b)).toBeUndefined();
    for (const by of ["link", "netlink"] as const) {
      if (by === "link" && requires({ kernel: ">=5.9" }).reason !== undefined) continue;
      using _there = program.attachXdp("veth0", { ...place, by });
      for (const second of ["link", "netlink"] as const) {
        if (second === "link" && requires({ kernel: ">=5.9" }).reason !== undefined) continue;
        const busy = await errorOf(() => other.attachXdp("veth0", { ...place, by: second }));
        expect(busy).toMatchObject({ code: "BUSY" });
        expect(busy.message).toContain("a device has one");
      }
      expect(watched.object.links).toHaveLength(1);
    }
    expect(modeOf(pair.b)).toBeUndefined();
    using opened = AttachNet.open();
    const flag = await errorOf(() => (opened.programs.on_xdp.flags = ["xdp_has_frag" as "xdp_has_frags"]));
    expect(flag.message).toContain('unknown flag "xdp_has_frag" (did you mean "xdp_has_frags"?)');
  });
});
