import { describe, expect } from "vitest";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { requires } from "../support/requires.js";
import { addresses, PORT, SendingPair, TEXT } from "../support/sending_pair.js";

const needed = requires({ netns: true, kernel: ">=5.10" });
nothingStaysOpen();

/** include/uapi/linux/bpf.h */
const [BPF_OK, BPF_DROP] = [0, 2];
const IPPROTO_UDP = 17n;

const hex = (port: number) => port.toString(16).padStart(4, "0");

interface Told {
  readonly verdict?: number;
  readonly one_flow?: boolean;
}

function load(programs: readonly string[], told: Told = {}): Promise<Watched> {
  return Watched.load("attach_net", programs, ({ rodata }) => {
    Object.assign(rodata, told);
  });
}

describe("attach type", () => {
  needed.test("flow_dissector", async () => {
    await using pair = await SendingPair.open();
    using watched = await load(["on_flow_dissector", "hash_it"]);
    using _hash = watched.object.program("hash_it").attachTc("veth0", "ingress", { netns: pair.b.path });
    const dissected = { what: 12, cookie: addresses(), b: BigInt(PORT), result: IPPROTO_UDP, comm: TEXT };
    // hash_it is there all the time, and reports the hashes.
    using alone = await load(["on_flow_dissector"]);
    await runsOnlyWhileAttached(
      alone,
      {
        attach: () => alone.object.program("on_flow_dissector").attachNetns(pair.b.path),
        cause: () => pair.send(),
        expected: dissected,
      },
      async (link) => {
        await alone.saw({ ...dissected, a: BigInt(await pair.port()) });
        expect(link.info()).toMatchObject({
          type: "netns",
          attachType: "flow_dissector",
          netnsInode: pair.b.inode,
          programId: alone.object.program("on_flow_dissector").info().id,
        });
      },
    );
    const [bySection] = alone.object.attach({ netns: pair.b.path } as never);
    expect(bySection).toMatchObject({ kind: "flow_dissector", target: pair.b.path });
    const { produced } = alone;
    await pair.send();
    expect((await alone.settled()).slice(produced)).toMatchObject([dissected]);
    // Another namespace's packets are its own dissector's: a's leave without it.
    using hashOfA = await load(["hash_it"]);
    using _hashOfA = hashOfA.object.program("hash_it").attachTc("veth0", "egress", { netns: pair.a.path });
    bySection?.close();
    using _ofA = alone.object.program("on_flow_dissector").attachNetns(pair.a.path);
    await pair.send();
    expect(alone.produced).toBe(produced + 2);
    expect((await hashOfA.settled()).map(({ what }) => what)).toEqual([16]);
  });
});

describe("flow dissectors", () => {
  needed.test("what the program says is the packet's flow", async () => {
    await using pair = await SendingPair.open();
    pair.b.ip("addr", "add", "10.99.0.3/24", "dev", "veth0");
    using watched = await load(["on_flow_dissector", "hash_it"]);
    using one = await load(["on_flow_dissector"], { one_flow: true });
    using _hash = watched.object.program("hash_it").attachTc("veth0", "ingress", { netns: pair.b.path });
    using link = watched.object.program("on_flow_dissector").attachNetns(pair.b.path);
    // Until the neighbour is known datagrams wait.
    await pair.send("10.99.0.3");
    await watched.saw({ what: 12, cookie: addresses("10.99.0.3") });
    const hashOf = async (address: string) => {
      await watched.settled();
      const from = watched.produced;
      await pair.send(address);
      return (await watched.settled()).slice(from).find(({ what }) => what === 16)?.a;
    };
    const hash = await hashOf("10.99.0.2");
    expect(hash).toBeTypeOf("bigint");
    expect(await hashOf("10.99.0.2")).toBe(hash);
    expect(await hashOf("10.99.0.3")).not.toBe(hash);
    link.update(one.object.program("on_flow_dissector"));
    expect(link.info()).toMatchObject({ programId: one.object.program("on_flow_dissector").info().id });
    const oneHash = await hashOf("10.99.0.2");
    expect(await hashOf("10.99.0.3")).toBe(oneHash);
    expect(oneHash).not.toBe(hash);
    await one.saw({ what: 12, cookie: addresses("10.99.0.3"), comm: TEXT });
    link.close();
    const { produced } = one;
    expect(await hashOf("10.99.0.2")).toBe(hash);
    expect(one.produced).toBe(produced);
  });

  needed.test("a packet that the program refuses to dissect has no payload that the kernel could find", async () => {
    await using pair = await SendingPair.open();
    pair.b.run("tc", "qdisc", "add", "dev", "veth0", "clsact");
    // A classic filter that returns the payload's offset (SKF_AD_PAY_OFFSET): where there is one, what comes after it does not run.
    const offset = "2,32 0 0 4294963252,22 0 0 0";
    pair.b.run("tc", ..."filter add dev veth0 ingress prio 1 bpf bytecode".split(" "), offset);
    using after = await load(["on_tc"]);
    using _after = after.object.program("on_tc").attachTc("veth0", "ingress", { netns: pair.b.path, priority: 2 });
    /** How many datagrams without a payload there are, of one. */
    const withoutPayload = async () => {
      const before = after.produced;
      await pair.send();
      return after.produced - before;
    };
    expect(await withoutPayload()).toBe(0);
    for (const [verdict, expected] of [
      [BPF_OK, 0],
      [BPF_DROP, 1],
    ] as const) {
      using watched = await load(["on_flow_dissector"], { verdict });
      using _link = watched.object.program("on_flow_dissector").attachNetns(pair.b.path);
      expect(await withoutPayload()).toBe(expected);
      expect(await watched.settled()).toMatchObject([{ what: 12, cookie: addresses(), comm: TEXT }]);
    }
    expect(await withoutPayload()).toBe(0);
  });

  needed.test("run with a packet, it gives back the keys", async () => {
    using watched = await load(["on_flow_dissector"]);
    /** 192.0.2.1:5353 -> 198.51.100.2, by Ethernet, IPv4 and UDP. */
    const run = (port: number) => {
      const headers = `${"00".repeat(12)}0800 45000021 00000000 40110000 c0000201 c6336402 14e9${hex(port)}000d0000`;
      const frame = Buffer.concat([Buffer.from(headers.replaceAll(" ", ""), "hex"), Buffer.from(TEXT)]);
      return watched.object
        .program("on_flow_dissector")
        .testRun<Uint8Array, Record<string, unknown>>({ data: frame, dataType: "struct bpf_flow_keys" });
    };
    // Before 6.1 bpf_flow_dissect() made a bool of it: whether the packet was dissected.
    const [dissected, refused] = requires({ kernel: ">=6.1" }).reason === undefined ? [BPF_OK, BPF_DROP] : [1, 0];
    const { returnValue, data } = run(PORT);
    expect(returnValue).toBe(dissected);
    expect(data).toMatchObject({
      ...{ nhoff: 14, thoff: 34, n_proto: 0x0800, addr_proto: 0x0800, ip_proto: Number(IPPROTO_UDP) },
      ...{ sport: 5353, dport: PORT, ipv4_src: 0xc0000201, ipv4_dst: 0xc6336402 },
    });
    await watched.saw({ what: 12, cookie: addresses("198.51.100.2", "192.0.2.1"), a: 5353n, comm: TEXT });
    // Of another port, which it leaves alone.
    const other = run(PORT + 1);
    expect(other.returnValue).toBe(refused);
    expect(other.data).toMatchObject({ sport: 0, dport: 0 });
    expect(watched.produced).toBe(1);
  });
});
