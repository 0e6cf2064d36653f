import { fileURLToPath } from "node:url";
import { BpfObject, compileCodec, Memory } from "ebpf";
import { expect, test } from "vitest";
import { withZeroes } from "../../../lib/program/partial_context.js";

/** What a partial value comes to when it has been through memory. */
function through(name: string, type: string, value: unknown): Record<string, unknown> {
  using opened = BpfObject.open(fileURLToPath(new URL(`../../fixtures/${name}.bpf.o`, import.meta.url)));
  const { btf } = opened;
  const id = btf.get(type, "struct");
  const codec = compileCodec<Record<string, unknown>>(btf, id);
  const memory = Memory.allocate(codec.size);
  codec.encode(memory, 0, withZeroes(btf, id, value) as Record<string, unknown>);
  return codec.decode(memory, 0, codec.size);
}

test("members of a context that are not said are zero", () => {
  const skb = through("attach_net", "__sk_buff", { mark: 7, cb: [1, 2, 3, 4, 5] });
  expect(skb).toMatchObject({ mark: 7, cb: [1, 2, 3, 4, 5], len: 0, ifindex: 0, flow_keys: 0n, tstamp: 0n });
  expect(through("attach_net", "xdp_md", {})).toMatchObject({ data: 0, ingress_ifindex: 0 });
});

test("of members that share bytes the one that is said counts, and none is zero", () => {
  expect(through("attach_sock", "bpf_sk_lookup", { cookie: 5n, family: 2 })).toMatchObject({ cookie: 5n, family: 2 });
  expect(through("attach_sock", "bpf_sk_lookup", { family: 2 })).toMatchObject({ cookie: 0n, family: 2, protocol: 0 });
});
