/** Members, variables and typedefs that C declares to be IP addresses: EBPF_IPV4 and EBPF_IPV6 of <ebpf/address.h>. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Btf } from "../../../lib/btf/btf.js";
import { shapeCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { type Shape, shapeOf } from "../../../lib/codec/shape.js";
import { variableShape, variablesOf } from "../../../lib/object/globals.js";
import { Workshop } from "../btf/support/tools.js";

const HEADER = readFileSync(new URL("../../../bpf/include/ebpf/address.h", import.meta.url), "utf8");
const SOURCE = `${HEADER}
typedef unsigned char __u8; typedef unsigned int __u32; typedef __u32 __be32; typedef unsigned long long __u64;
struct in6_addr { union { __u8 u6_addr8[16]; __be32 u6_addr32[4]; } in6_u; };
typedef __be32 ipv4 EBPF_IPV4; typedef const ipv4 fixed_ipv4; typedef struct in6_addr ipv6 EBPF_IPV6;
struct four { __u8 first; __be32 a EBPF_IPV4; __u32 b EBPF_IPV4; __u8 c[4] EBPF_IPV4; fixed_ipv4 d; __be32 plain; } __attribute__((packed));
struct six { struct in6_addr a EBPF_IPV6; __u8 b[16] EBPF_IPV6; __be32 c[4] EBPF_IPV6; unsigned __int128 d EBPF_IPV6; ipv6 e; };
struct lists { __be32 one[1] EBPF_IPV4; ipv4 two[2]; __u8 sixes[2][16] EBPF_IPV6; __u32 count; ipv4 rest[]; };
struct either { __u32 family; union { __be32 v4 EBPF_IPV4; struct in6_addr v6 EBPF_IPV6; __u8 bytes[16]; }; };
struct wrong_size { __u64 a EBPF_IPV4; };
struct wrong_type { float a EBPF_IPV4; };
struct wrong_list { struct { __u8 x[5]; } a[3] EBPF_IPV4; };
struct wrong_six { __u8 a[15] EBPF_IPV6; };
struct wrong_tail { __u32 n; __u8 a[] EBPF_IPV4; };
struct wrong_bits { __u32 a : 9 EBPF_IPV4; };
#define KEEP(type, name) type keep_##name;
KEEP(struct four, f) KEEP(struct six, s) KEEP(struct lists, *l) KEEP(struct either, e)
KEEP(struct wrong_size, ws) KEEP(struct wrong_type, wt) KEEP(struct wrong_list, wl) KEEP(struct wrong_six, wx) KEEP(struct wrong_bits, wb) KEEP(struct wrong_tail, *wr)
__attribute__((section("addresses"))) __be32 variable EBPF_IPV4 = 1;
__attribute__((section("addresses"))) __be32 list[2] EBPF_IPV4 = {1};
__attribute__((section("addresses"))) ipv6 six = {};
__attribute__((section("addresses"))) __be32 plain = 1;
`.replace(/KEEP\((struct \w+), \*(\w+)\)/g, "$1 *keep_$2;");

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
let btf: Btf;
beforeAll(() => {
  btf = workshop.btf("addresses", SOURCE);
});

const ways = [
  { generate: true, offset: 0 },
  { generate: true, offset: 3 },
  { generate: false, offset: 0 },
  { generate: false, offset: 3 },
];
const struct = (name: string): Shape => shapeOf(btf, btf.get(name, "struct"));

/** Both directions, generated and not, aligned and not. */
function expectBytes(shape: Shape, hex: string, value: unknown): void {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  for (const { generate, offset } of ways) {
    const codec = shapeCodec(shape, "type", "label", generate);
    const memory = Memory.allocate(bytes.length + 8);
    memory.bytes.set(bytes, offset);
    expect(codec.decode(memory, offset, bytes.length)).toEqual(value);
    memory.bytes.fill(0xee);
    codec.encode(memory, offset, value, bytes.length);
    expect(Buffer.from(memory.bytes.subarray(offset, offset + bytes.length)).toString("hex")).toBe(
      bytes.toString("hex"),
    );
    expect(memory.bytes[offset + bytes.length]).toBe(0xee);
  }
}

function refusals(name: string, value: unknown): string[] {
  return ways.map(({ generate }) => {
    const codec = shapeCodec(struct(name), name, "connects", generate);
    try {
      codec.encode(Memory.allocate(256), 0, value);
    } catch (error) {
      expect(error).toMatchObject({ code: "VALUE_INVALID" });
      return (error as Error).message;
    }
    return "taken";
  });
}

const SIX = "20010db8 00000000 00000000 000000ff";

describe("text in place of numbers and bytes", () => {
  test("IPv4, in the network's order whatever the type", () => {
    expectBytes(struct("four"), "07 0a000001 7f000001 ffffffff 01020304 00000000", {
      first: 7,
      a: "10.0.0.1",
      b: "127.0.0.1",
      c: "255.255.255.255",
      d: "1.2.3.4",
      plain: 0,
    });
  });

  test("IPv6, in its canonical form", () => {
    const mapped = "00000000 00000000 0000ffff 0a000001";
    expectBytes(struct("six"), `${SIX} ${"00".repeat(16)} ${"00".repeat(15)}01 ${mapped} fe80 ${"00".repeat(13)}01`, {
      a: "2001:db8::ff",
      b: "::",
      c: "::1",
      d: "::ffff:10.0.0.1",
      e: "fe80::1",
    });
  });

  test("arrays of them, and the rest of a record", () => {
    expectBytes(struct("lists"), `01010101 02020202 03030303 ${SIX} ${"00".repeat(16)} 02000000 0a000001 0a000002`, {
      one: ["1.1.1.1"],
      two: ["2.2.2.2", "3.3.3.3"],
      sixes: ["2001:db8::ff", "::"],
      count: 2,
      rest: ["10.0.0.1", "10.0.0.2"],
    });
  });

  test("in a union each member reads the same bytes, and one is enough to write", () => {
    const bytes = Buffer.from(SIX.replace(/ /g, ""), "hex");
    expectBytes(struct("either"), `02000000 ${SIX}`, {
      family: 2,
      v4: "32.1.13.184",
      v6: "2001:db8::ff",
      bytes: new Uint8Array(bytes),
    });
    for (const { generate } of ways) {
      const codec = shapeCodec(struct("either"), "either", "label", generate);
      const memory = Memory.allocate(codec.size);
      codec.encode(memory, 0, { family: 1, v4: "10.0.0.1" });
      expect(codec.decode(memory, 0)).toMatchObject({ v4: "10.0.0.1", v6: "a00:1::" });
    }
  });

  test("any bytes have a text that gives them back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 80, maxLength: 80 }), (bytes) => {
        for (const { generate, offset } of ways) {
          const codec = shapeCodec(struct("six"), "six", "six", generate);
          const memory = Memory.allocate(96);
          memory.bytes.set(bytes, offset);
          const value = codec.decode(memory, offset);
          memory.bytes.fill(0xee);
          codec.encode(memory, offset, value);
          expect(Buffer.from(memory.bytes.subarray(offset, offset + 80))).toEqual(Buffer.from(bytes));
        }
      }),
      { numRuns: 50 },
    );
  });

  test("variables", () => {
    const variables = new Map(variablesOf(btf, "addresses").map((variable) => [variable.name, variable]));
    const shape = (name: string) => variableShape(btf, variables.get(name) as never);
    expectBytes(shape("variable"), "0a000001", "10.0.0.1");
    expectBytes(shape("list"), "0a000001 0a000002", ["10.0.0.1", "10.0.0.2"]);
    expectBytes(shape("six"), SIX, "2001:db8::ff");
    expectBytes(shape("plain"), "00000001", 1);
  });
});

describe("what is none", () => {
  const four = { first: 0, a: "1.1.1.1", b: "1.1.1.1", c: "1.1.1.1", d: "1.1.1.1", plain: 0 };

  test("text that is no address is refused by its path", () => {
    for (const text of ["10.0.0", "10.0.0.256", "host", "", "::1", "10.0.0.1 "])
      expect(new Set(refusals("four", { ...four, b: text }))).toEqual(
        new Set([`connects .b: ${JSON.stringify(text)} is no IPv4 address`]),
      );
    expect(new Set(refusals("four", { ...four, a: 0x0a000001 }))).toEqual(
      new Set(["connects .a: expected text of an IPv4 address, got number"]),
    );
    const { d: _, ...without } = four;
    expect(new Set(refusals("four", without))).toEqual(
      new Set(["connects .d: missing (expected text of an IPv4 address)"]),
    );
    const lists = { one: ["1.1.1.1"], two: ["1.1.1.1", "x"], sixes: ["::", "::"], count: 0, rest: [] };
    expect(new Set(refusals("lists", lists))).toEqual(new Set(['connects .two[1]: "x" is no IPv4 address']));
    expect(
      new Set(refusals("lists", { ...lists, two: lists.one.concat(lists.one), sixes: ["::", "fe80::1%eth0"] })),
    ).toEqual(new Set(['connects .sixes[1]: "fe80::1%eth0" is no IPv6 address']));
  });

  test.each([
    ["wrong_size", 'member "a" is declared EBPF_IPV4 and is neither 4 bytes nor an array of such'],
    ["wrong_type", 'member "a" is declared EBPF_IPV4'],
    ["wrong_list", 'member "a" is declared EBPF_IPV4'],
    ["wrong_six", 'member "a" is declared EBPF_IPV6 and is neither 16 bytes nor an array of such'],
    ["wrong_tail", 'member "a" is declared EBPF_IPV4'],
    ["wrong_bits", "is a bit-field of 9 bits and not an integer of as many"],
  ])("%s: a type that is no address is said to be none", (name, said) => {
    expect(() => struct(name)).toThrow(
      expect.objectContaining({ code: "BTF_INVALID", message: expect.stringContaining(said) }),
    );
  });
});
