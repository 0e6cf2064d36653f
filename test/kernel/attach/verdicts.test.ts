/** What becomes of a packet by what its program returns. */
import type { Link, Program } from "ebpf";
import { describe, expect } from "vitest";
import { Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { makeNetkit } from "../support/netkit.js";
import { Receiver } from "../support/receiver.js";
import { type Requirements, requires } from "../support/requires.js";
import { addresses, FRAME, SendingPair, TEXT } from "../support/sending_pair.js";

nothingStaysOpen();

function load(verdict: number, ...programs: string[]): Promise<Watched> {
  return Watched.load("attach_net", programs, ({ rodata }) => {
    rodata["verdict"] = verdict;
  });
}

/** Whether a datagram to this address arrives, the programs attached; what comes by IPv6 is none of theirs. */
async function arrives(pair: SendingPair, receiver: Receiver, address = "10.99.0.2"): Promise<boolean> {
  await pair.send(address);
  await pair.send("fd99::2", 6);
  const came = await receiver.receive("hellox");
  expect(came.at(-1)).toBe("hellox");
  return came.includes(TEXT);
}

/** TC_ACT_*, TCX_* and NETKIT_* of include/uapi/linux/{pkt_cls,bpf,if_link}.h are the same. */
const [NEXT, PASS, DROP] = [-1, 0, 2];

interface Hook {
  readonly needs: Requirements;
  /** Attaches a program where the ones that are there run before it. */
  readonly attach: (program: Program, pair: SendingPair, last: boolean) => Link;
  readonly programs: readonly [string, string];
  readonly address?: string;
}

const HOOKS: Readonly<Record<string, Hook>> = {
  "tc, on the way in": {
    needs: {},
    programs: ["on_tc", "on_tc_other"],
    attach: (program, { b }, last) =>
      program.attachTc("veth0", "ingress", { netns: b.path, priority: last ? 2 : 1, handle: 1 }),
  },
  "tc, on the way out": {
    needs: {},
    programs: ["on_tc", "on_tc_other"],
    attach: (program, { a }, last) =>
      program.attachTc("veth0", "egress", { netns: a.path, priority: last ? 2 : 1, handle: 1 }),
  },
  "tcx, on the way in": {
    needs: { attachType: "tcxIngress" },
    programs: ["on_tcx", "on_tcx_other"],
    attach: (program, { b }, last) =>
      program.attachTcx("veth0", "ingress", { netns: b.path, ...(last ? { after: "last" } : {}) }),
  },
  "tcx, on the way out": {
    needs: { attachType: "tcxEgress" },
    programs: ["on_tcx", "on_tcx_other"],
    attach: (program, { a }, last) =>
      program.attachTcx("veth0", "egress", { netns: a.path, ...(last ? { after: "last" } : {}) }),
  },
  netkit: {
    needs: { attachType: "netkitPrimary" },
    programs: ["on_netkit", "on_netkit_other"],
    attach: (program, { a }, last) =>
      program.attachNetkit("nk0", "primary", { netns: a.path, ...(last ? { after: "last" } : {}) }),
    address: "10.98.0.2",
  },
};

describe("the next one, pass, drop", () => {
  for (const [name, { needs, programs, attach, address = "10.99.0.2" }] of Object.entries(HOOKS)) {
    requires({ netns: true, ...needs }).test(name, async () => {
      await using pair = await SendingPair.open();
      await using receiver = await Receiver.open(pair.b);
      if (name === "netkit") makeNetkit(pair.a, pair.b);
      const [first, second] = programs;
      using next = await load(NEXT, second);
      for (const [verdict, runs, comes] of [
        [NEXT, [1, 1], true],
        [PASS, [1, 0], true],
        [DROP, [1, 0], false],
      ] as const) {
        using watched = await load(verdict, first);
        const before = next.produced;
        {
          using _first = attach(watched.object.program(first), pair, false);
          using _second = attach(next.object.program(second), pair, true);
          expect(await arrives(pair, receiver, address), `verdict ${verdict}`).toBe(comes);
        }
        expect([watched.produced, next.produced - before], `runs at verdict ${verdict}`).toEqual(runs);
        expect(await arrives(pair, receiver, address)).toBe(true);
        expect([watched.produced, next.produced - before]).toEqual(runs);
      }
      // The second has found the mark of the first: its number.
      const [{ what, cookie, comm, result } = {}] = await next.settled();
      expect({ cookie, comm }).toEqual({
        cookie: addresses(address, address.replace(/2$/, "1")),
        comm: TEXT,
      });
      expect(result).toBe(BigInt(Number(what) - (name === "netkit" ? 7 : 1)));
    });
  }
});

describe("XDP", () => {
  const [XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX] = [0, 1, 2, 3];

  for (const [mode, by] of [
    ["native", "link"],
    ["native", "netlink"],
    ["generic", "link"],
    ["generic", "netlink"],
  ] as const) {
    requires({ netns: true, kernel: by === "link" ? ">=5.9" : ">=4.12" }).test(`${mode}, by ${by}`, async () => {
      await using pair = await SendingPair.open();
      await using receiver = await Receiver.open(pair.b);
      const datagram = { cookie: addresses(), b: BigInt(FRAME), comm: TEXT };
      // What is sent back is seen where it came from; with that veth takes XDP_TX at the other end, too.
      using back = await load(-1, "on_xdp_other");
      using _back = back.object.program("on_xdp_other").attachXdp("veth0", { netns: pair.a.path, mode: "native" });
      for (const [verdict, comes, goesBack] of [
        [XDP_PASS, true, 0],
        [XDP_DROP, false, 0],
        [XDP_ABORTED, false, 0],
        [XDP_TX, false, 1],
      ] as const) {
        using watched = await load(verdict, "on_xdp");
        const before = back.produced;
        {
          using _link = watched.object.program("on_xdp").attachXdp("veth0", { netns: pair.b.path, mode, by });
          expect(await arrives(pair, receiver), `verdict ${verdict}`).toBe(comes);
        }
        const seen = { what: 1, a: BigInt(pair.b.index("veth0")), ...datagram };
        expect(await watched.settled()).toMatchObject([seen]);
        if (goesBack > 0) await back.saw({ what: 2, a: BigInt(pair.a.index("veth0")), ...datagram });
        expect(back.produced - before, `sent back at verdict ${verdict}`).toBe(goesBack);
        expect(await arrives(pair, receiver)).toBe(true);
        expect(watched.produced).toBe(1);
      }
    });
  }
});

describe("netfilter", () => {
  const [NF_DROP, NF_ACCEPT] = [0, 1];

  requires({ netns: true, programType: "netfilter", kernel: ">=6.4" }).test("accept and drop", async () => {
    await using pair = await SendingPair.open();
    await using receiver = await Receiver.open(pair.b);
    // NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT; of what does not go out its sender is told.
    for (const [hook, number, place, error] of [
      ["localIn", 1n, pair.b, undefined],
      ["localOut", 3n, pair.a, "EPERM"],
    ] as const) {
      for (const verdict of [NF_ACCEPT, NF_DROP]) {
        using watched = await Watched.load("attach_netfilter", ["on_netfilter"], ({ rodata }) => {
          rodata.verdict = verdict;
        });
        const options = { family: "ipv4", hook, priority: 0, netns: place.path } as const;
        const link = watched.object.program("on_netfilter").attachNetfilter(options);
        expect(await arrives(pair, receiver)).toBe(verdict === NF_ACCEPT);
        expect(await watched.settled()).toMatchObject([
          { a: number, b: BigInt(FRAME - 14), result: 2n, cookie: addresses(), comm: TEXT },
        ]);
        expect(await pair.send()).toBe(verdict === NF_ACCEPT ? undefined : error);
        link.close();
        expect(await arrives(pair, receiver)).toBe(true);
        expect(watched.produced).toBe(2);
      }
    }
  });
});
