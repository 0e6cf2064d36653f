/** Globals member by member, over plain memory in place of a section's. */
import { inspect } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import { build } from "../../../lib/build/index.js";
import { type NativeMapDefinition, native } from "../../../lib/native.js";
import { globalsRecord, sectionMemory, variablesOf } from "../../../lib/object/globals.js";
import { snapshot } from "../../../lib/object/live.js";

const SOURCE = `
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
struct inner { __u32 a; __u64 b; };
struct stats {
  __u64 count;
  struct inner inner;
  struct inner list[3];
  int matrix[2][2];
  char name[8];
  __u8 raw[4];
  __be16 port;
  bool flag;
  __u32 low : 3, high : 29;
  union { __u32 word; __u16 half[2]; };
};
struct stats stats SEC(".data.t");
__u64 plain SEC(".data.t") = 5;
__u64 counts[4] SEC(".data.t") = {1, 2, 3, 4};
SEC("xdp") int p(struct xdp_md *ctx) { return stats.count + plain + counts[ctx->rx_queue_index & 3]; }
char _license[] SEC("license") = "GPL";
`;

interface Inner {
  a: number;
  b: bigint;
}
interface Stats {
  count: bigint;
  inner: Inner;
  list: Inner[];
  matrix: number[][];
  name: string;
  raw: Uint8Array;
  port: number;
  flag: boolean;
  low: number;
  high: number;
  word: number;
  half: number[];
}
interface Section {
  stats: Stats;
  plain: bigint;
  counts: bigint[];
}

let object: Uint8Array;
beforeAll(async () => {
  object = (await build({ code: SOURCE })).object;
}, 60_000);

/** The section's initial data, and every access to it. */
function open(readOnly?: string) {
  const opened = new (native().Object)(object, { name: "live" });
  const btf = Btf.parse(opened.btf() as Uint8Array);
  const real = opened.maps.find((map) => map.name === ".data.t") as NativeMapDefinition;
  const accesses: string[] = [];
  let closed = false;
  const memory = sectionMemory({
    map: () => {
      if (closed) throw new Error("closed");
      return {
        readData: (offset: number, target: Uint8Array) => {
          accesses.push(`read ${target.length} at ${offset}`);
          real.readData(offset, target);
        },
        writeData: (offset: number, source: Uint8Array) => {
          accesses.push(`write ${source.length} at ${offset}`);
          real.writeData(offset, source);
        },
      } as NativeMapDefinition;
    },
    readOnly: () => readOnly,
  });
  const section = globalsRecord(".data.t", btf, memory) as unknown as Section;
  const variables = variablesOf(btf, ".data.t");
  return {
    section,
    offset: (name: string) => variables.find((variable) => variable.name === name)?.offset as number,
    take: () => accesses.splice(0),
    close: () => {
      closed = true;
      opened.close();
    },
  };
}

describe("a member is read and written alone", () => {
  test("a scalar, nested and in arrays", () => {
    const { section, offset, take, close } = open();
    const at = offset("stats");
    section.stats.count = 7n;
    expect(take()).toEqual([`write 8 at ${at}`]);
    expect(section.stats.count).toBe(7n);
    expect(take()).toEqual([`read 8 at ${at}`]);
    section.stats.inner.b = 9n;
    section.stats.list[2]!.a = 11;
    section.stats.matrix[1]![0] = -3;
    expect(take()).toEqual([`write 8 at ${at + 16}`, `write 4 at ${at + 24 + 32}`, `write 4 at ${at + 72 + 8}`]);
    expect([section.stats.inner.b, section.stats.list[2]!.a, section.stats.matrix[1]![0]]).toEqual([9n, 11, -3]);
    expect(section.counts[3]).toBe(4n);
    section.counts[0]! += 10n;
    expect([...section.counts]).toEqual([11n, 2n, 3n, 4n]);
    close();
  });

  test("strings, bytes, byte order, booleans", () => {
    const { section, close } = open();
    section.stats.name = "eth0";
    section.stats.raw = Uint8Array.of(1, 2, 3, 4);
    section.stats.port = 443;
    section.stats.flag = true;
    expect(snapshot(section.stats)).toMatchObject({
      name: "eth0",
      raw: Uint8Array.of(1, 2, 3, 4),
      port: 443,
      flag: true,
    });
    close();
  });

  test("a bit-field leaves its neighbours", () => {
    const { section, close } = open();
    section.stats.high = 0x1fffffff;
    section.stats.low = 5;
    expect([section.stats.low, section.stats.high]).toEqual([5, 0x1fffffff]);
    section.stats.high = 1;
    expect([section.stats.low, section.stats.high]).toEqual([5, 1]);
    expect(() => (section.stats.low = 8)).toThrow(/low/);
    close();
  });

  test("members of an anonymous union are the parent's", () => {
    const { section, close } = open();
    section.stats.word = 0x00020001;
    expect([...section.stats.half].sort()).toEqual([1, 2]);
    section.stats.half[0] = 0;
    section.stats.half[1] = 0;
    expect(section.stats.word).toBe(0);
    close();
  });
});

describe("a whole value", () => {
  test("is assigned at once", () => {
    const { section, offset, take, close } = open();
    section.stats.inner = { a: 1, b: 2n };
    expect(take()).toEqual([`write 16 at ${offset("stats") + 8}`]);
    section.counts = [9n, 8n, 7n, 6n];
    expect(take()).toEqual([`write 32 at ${offset("counts")}`]);
    section.stats.list[1] = section.stats.inner;
    expect(section.stats.list[1]).toMatchObject({ a: 1, b: 2n });
    close();
  });

  test("is a copy as a snapshot, and live without", () => {
    const { section, close } = open();
    const live = section.stats.inner;
    const before = snapshot(live);
    section.stats.inner.a = 99;
    expect(live.a).toBe(99);
    expect(before).toEqual({ a: 0, b: 0n });
    expect(snapshot(section)).toMatchObject({ plain: 5n, counts: [1n, 2n, 3n, 4n] });
    expect(snapshot(7)).toBe(7);
    close();
  });

  test("prints as what it holds", () => {
    const { section, close } = open();
    expect(inspect(section.stats.inner)).toBe("{ a: 0, b: 0n }");
    expect(inspect(section.counts)).toBe("[ 1n, 2n, 3n, 4n ]");
    expect(inspect(section)).toContain("plain: 5n");
    close();
  });
});

describe("a live array", () => {
  test("is an array", () => {
    const { section, close } = open();
    expect(Array.isArray(section.counts)).toBe(true);
    expect(section.counts).toHaveLength(4);
    expect(section.counts.map(Number)).toEqual([1, 2, 3, 4]);
    expect(Object.keys(section.counts)).toEqual(["0", "1", "2", "3"]);
    expect(0 in section.counts).toBe(true);
    expect(4 in section.counts).toBe(false);
    section.counts.reverse();
    expect(snapshot(section.counts)).toEqual([4n, 3n, 2n, 1n]);
    section.counts.fill(0n);
    expect(section.counts).toEqual([0n, 0n, 0n, 0n]);
    close();
  });

  test("has the length it has", () => {
    const { section, close } = open();
    expect(section.counts[4]).toBeUndefined();
    expect(() => (section.counts[4] = 1n)).toThrow(/no element 4; it has 4 elements/);
    expect(() => section.counts.push(1n)).toThrow(/no element 4/);
    expect(() => section.counts.pop()).toThrow();
    expect(() => (section.counts.length = 2)).toThrow(/length/);
    close();
  });
});

describe("what does not fit is refused, and nothing written", () => {
  test("wrong types and names, with their path", () => {
    const { section, take, close } = open();
    expect(() => (section.stats.inner.a = "1" as never)).toThrow(".data.t stats.inner.a: expected number, got string");
    expect(() => (section.counts[1] = 1.5 as never)).toThrow(/counts/);
    expect(() => (section.stats.inner = { a: 1 } as never)).toThrow(/\.b: missing/);
    expect(() => ((section.stats as unknown as Record<string, unknown>)["cuont"] = 1n)).toThrow(/did you mean "count"/);
    expect(() => (section.stats as unknown as Record<string, unknown>)["cuont"]).toThrow(/did you mean "count"/);
    expect(take().filter((access) => access.startsWith("write"))).toEqual([]);
    close();
  });

  test("a constant, in any of its parts", () => {
    const { section, take, close } = open("it is constant");
    expect(() => (section.plain = 1n)).toThrow("cannot set .data.t plain: it is constant");
    expect(() => (section.stats.list[0]!.a = 1)).toThrow("cannot set .data.t stats.list[0].a: it is constant");
    expect(() => (section.counts[0] = 1n)).toThrow("it is constant");
    expect(take().filter((access) => access.startsWith("write"))).toEqual([]);
    close();
  });

  test("anything after close, through what was kept from before", () => {
    const { section, close } = open();
    const { stats, counts } = section;
    const list = stats.list;
    close();
    expect(() => stats.count).toThrow("closed");
    expect(() => (stats.count = 1n)).toThrow("closed");
    expect(() => list[0]?.a).toThrow("closed");
    expect(() => counts[0]).toThrow("closed");
    expect(() => snapshot(counts)).toThrow("closed");
  });
});
