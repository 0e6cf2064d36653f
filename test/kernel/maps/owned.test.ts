/** Members of every kind that is the kernel's: it takes nothing of what is set there, so they may be left out, and gives them as they begin. */
import type { HashMap } from "ebpf";
import { describe, expect, test } from "vitest";
import type { KernelVersion } from "../../../lib/kernel/version.js";
import { MapsOwned } from "../../fixtures/maps_owned.bpf.js";
import { requires } from "../support/requires.js";

type Kind = keyof MapsOwned["maps"];

/** By the kernel that has them as the fixture has; of nodes and roots that is the one with their present size. */
const KINDS: readonly {
  kind: Kind;
  since: KernelVersion;
  garbage: unknown;
  begins?: (bytes: Buffer) => void;
}[] = [
  { kind: "spin_lock", since: "5.1", garbage: { val: 0x5a5a5a5a } },
  { kind: "res_spin_lock", since: "6.15", garbage: { val: 0x5a5a5a5a } },
  { kind: "timer", since: "5.15", garbage: { __opaque: [5n, 6n] } },
  { kind: "wq", since: "6.10", garbage: { __opaque: [5n, 6n] } },
  { kind: "task_work", since: "6.18", garbage: { __opaque: 5n } },
  {
    kind: "list_head",
    since: "6.6",
    garbage: { __opaque: [5n, 6n] },
    // An empty list is its own neighbour on either side; where that was is nobody's business.
    begins: (bytes) => {
      const [next, previous] = [bytes.subarray(0, 8), bytes.subarray(8, 16)];
      expect(next).toEqual(previous);
      expect([...next]).not.toEqual([5, 0, 0, 0, 0, 0, 0, 0]);
    },
  },
  { kind: "rb_root", since: "6.6", garbage: { __opaque: [5n, 6n] } },
  {
    kind: "refcount",
    since: "6.6",
    garbage: { __opaque: [0x5a5a5a5a] },
    begins: (bytes) => expect([...bytes.subarray(0, 4)]).toEqual([1, 0, 0, 0]),
  },
  { kind: "kptr", since: "5.19", garbage: 0x5a5a5a5a5a5a5a5an },
  { kind: "kptr_untrusted", since: "6.4", garbage: 0x5a5a5a5a5a5a5a5an },
  { kind: "percpu_kptr", since: "6.7", garbage: 0x5a5a5a5a5a5a5a5an },
];

async function loadOnly(kind: Kind): Promise<MapsOwned> {
  const opened = MapsOwned.open();
  for (const [other, map] of Object.entries(opened.maps)) if (other !== kind) map.autocreate = false;
  return opened.load();
}

describe("what is the kernel's", () => {
  test("is tried of every kind", () => {
    using opened = MapsOwned.open();
    expect([...KINDS.map(({ kind }) => kind), "list_node", "rb_node"]).toEqual(Object.keys(opened.maps));
  });

  for (const { kind, since, garbage, begins } of KINDS) {
    requires({ kernel: `>=${since}` }).test(`${kind}: may be left out, and is not what was set`, async () => {
      using object = await loadOnly(kind);
      const map = object.maps[kind] as unknown as MapsOwned["maps"]["kptr"];
      const values = [
        { before: 11n, after: 22n },
        { before: 33n, own: garbage as never, after: 44n },
      ];
      for (const [key, value] of values.entries()) map.set(key, value);
      for (const [key, { before, after }] of values.entries()) {
        const value = map.get(key);
        expect(value).toMatchObject({ before, after });
        expect(Object.keys(value ?? {})).toContain("own");
        const bytes = Buffer.alloc(map.valueSize, 0x77);
        expect(map.getInto(key, bytes)).toBe(true);
        const own = bytes.subarray(8, -8);
        if (begins === undefined) expect(own).toEqual(Buffer.alloc(own.length));
        else begins(own);
      }
      // And of that member alone.
      expect(() => map.set(1, { before: 1n } as never)).toThrow(`${kind} value .after: missing`);
      expect(() => map.set(1, { after: 1n } as never)).toThrow(`${kind} value .before: missing`);
    });
  }

  test("nodes of lists and trees are not: they are what was set, and may not be left out", async () => {
    for (const [kind, own] of [
      ["list_node", { __opaque: [2n, 3n, 4n] }],
      ["rb_node", { __opaque: [5n, 6n, 7n, 8n] }],
    ] as const) {
      using object = await loadOnly(kind);
      const nodes = object.maps[kind] as HashMap<
        number,
        { before: bigint; own: { __opaque: bigint[] }; after: bigint }
      >;
      const value = { before: 1n, own: { __opaque: [...own.__opaque] }, after: 9n };
      nodes.set(1, value);
      expect(nodes.get(1)).toEqual(value);
      expect(() => nodes.set(1, { before: 1n, after: 9n } as never)).toThrow(`${kind} value .own: missing`);
    }
  });
});
