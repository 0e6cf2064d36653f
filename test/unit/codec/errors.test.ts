import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Btf } from "../../../lib/btf/btf.js";
import { compileCodec, shapeCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { shapeOf } from "../../../lib/codec/shape.js";
import { BpfError } from "../../../lib/errors.js";
import { BtfBuilder } from "../btf/support/builder.js";
import { Workshop } from "../btf/support/tools.js";

const SOURCE = `
typedef unsigned char __u8; typedef unsigned int __u32; typedef unsigned long long __u64; typedef unsigned short __be16;
enum state { OFF, ON };
struct port { __be16 number; _Bool open; };
struct flow_key {
  __u32 saddr; int signed_one; __u8 small; __u64 bytes; long long delta; __int128 huge; __be16 sport; _Bool up; enum state state; double rate;
  char name[8]; __u8 mac[6]; struct port ports[2]; int grid[2][2]; __u32 low : 3; int negative : 4; __u64 wide : 40; _Bool flag : 1; void *where;
  union { __u32 v4; __u8 v6[16]; }; union { __u32 mark; struct port port; } meta;
};
struct flow_key keep;
`;

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
let btf: Btf;
beforeAll(() => {
  btf = workshop.btf("errors", SOURCE);
});

const good = {
  saddr: 1,
  signed_one: -1,
  small: 1,
  bytes: 1n,
  delta: -1n,
  huge: 1n,
  sport: 1,
  up: true,
  state: 1,
  rate: 0.5,
  name: "eth0",
  mac: new Uint8Array(6),
  ports: [
    { number: 80, open: true },
    { number: 443, open: false },
  ],
  grid: [
    [1, 2],
    [3, 4],
  ],
  low: 1,
  negative: -1,
  wide: 1n,
  flag: false,
  where: 0n,
  v4: 1,
  meta: { mark: 1 },
};

const { saddr: _saddr, ...withoutSaddr } = good;
const { v4: _v4, ...withoutUnion } = good;

const cases: [string, unknown, string][] = [
  ["no object", 5, "flows key: expected object, got number"],
  ["null", null, "flows key: expected object, got null"],
  ["nothing", undefined, "flows key: missing (expected object)"],
  ["an array", [1], "flows key: expected object, got array"],
  ["a string for a number", { ...good, saddr: "10.0.0.1" }, "flows key .saddr: expected number, got string"],
  ["a bigint for a number", { ...good, saddr: 1n }, "flows key .saddr: expected number, got bigint"],
  ["null for a number", { ...good, saddr: null }, "flows key .saddr: expected number, got null"],
  ["missing", withoutSaddr, "flows key .saddr: missing (expected number)"],
  [
    "too large",
    { ...good, saddr: 2 ** 32 },
    "flows key .saddr: expected a whole number from 0 to 4294967295, got 4294967296",
  ],
  ["negative", { ...good, saddr: -1 }, "flows key .saddr: expected a whole number from 0 to 4294967295, got -1"],
  ["not whole", { ...good, saddr: 1.5 }, "flows key .saddr: expected a whole number from 0 to 4294967295, got 1.5"],
  [
    "not a number",
    { ...good, saddr: Number.NaN },
    "flows key .saddr: expected a whole number from 0 to 4294967295, got NaN",
  ],
  [
    "infinite",
    { ...good, signed_one: -Infinity },
    "flows key .signed_one: expected a whole number from -2147483648 to 2147483647, got -Infinity",
  ],
  [
    "too large for int",
    { ...good, signed_one: 2 ** 31 },
    "flows key .signed_one: expected a whole number from -2147483648 to 2147483647, got 2147483648",
  ],
  ["too large for a byte", { ...good, small: 256 }, "flows key .small: expected a whole number from 0 to 255, got 256"],
  [
    "too large for a port",
    { ...good, sport: 65536 },
    "flows key .sport: expected a whole number from 0 to 65535, got 65536",
  ],
  ["a string for a bigint", { ...good, bytes: "1" }, "flows key .bytes: expected bigint, got string"],
  ["missing bigint", { ...good, bytes: undefined }, "flows key .bytes: missing (expected bigint)"],
  ["a negative bigint", { ...good, bytes: -1n }, "flows key .bytes: -1 does not fit 64 bits, unsigned"],
  ["a negative number for a bigint", { ...good, bytes: -1 }, "flows key .bytes: -1 does not fit 64 bits, unsigned"],
  [
    "an unsafe integer",
    { ...good, bytes: 2 ** 53 },
    "flows key .bytes: expected a bigint or a whole number up to 2^53, got 9007199254740992",
  ],
  [
    "a fraction for a bigint",
    { ...good, delta: 0.5 },
    "flows key .delta: expected a bigint or a whole number up to 2^53, got 0.5",
  ],
  ["past s64", { ...good, delta: 2n ** 63n }, "flows key .delta: 9223372036854775808 does not fit 64 bits, signed"],
  ["past 128 bits", { ...good, huge: 2n ** 127n }, `flows key .huge: ${2n ** 127n} does not fit 128 bits, signed`],
  ["a number for a boolean", { ...good, up: 1 }, "flows key .up: expected boolean, got number"],
  ["a missing boolean", { ...good, up: undefined }, "flows key .up: missing (expected boolean)"],
  ["a name for an enum", { ...good, state: "ON" }, "flows key .state: expected number, got string"],
  ["a bigint for a double", { ...good, rate: 1n }, "flows key .rate: expected number, got bigint"],
  ["too long a string", { ...good, name: "enp0s31f6" }, "flows key .name: too long: 9 bytes for char[8]"],
  ["too long in UTF-8", { ...good, name: "ééééé" }, "flows key .name: too long: 10 bytes for char[8]"],
  ["a NUL in a string", { ...good, name: "a\0b" }, "flows key .name: contains a NUL character, which would end it"],
  ["a number for a string", { ...good, name: 7 }, "flows key .name: expected string, got number"],
  ["a missing string", { ...good, name: undefined }, "flows key .name: missing (expected string)"],
  ["too few bytes", { ...good, mac: new Uint8Array(5) }, "flows key .mac: expected 6 bytes, got 5"],
  ["too many bytes", { ...good, mac: new Uint8Array(7) }, "flows key .mac: expected 6 bytes, got 7"],
  ["an array for bytes", { ...good, mac: [1, 2, 3, 4, 5, 6] }, "flows key .mac: expected Uint8Array, got array"],
  ["too few elements", { ...good, ports: good.ports.slice(1) }, "flows key .ports: expected 2 elements, got 1"],
  ["no array", { ...good, ports: "80" }, "flows key .ports: expected array, got string"],
  ["no array but a Map", { ...good, grid: new Map() }, "flows key .grid: expected array, got object"],
  [
    "within an array",
    { ...good, ports: [good.ports[0], { number: 443, open: "no" }] },
    "flows key .ports[1].open: expected boolean, got string",
  ],
  ["a hole in an array", { ...good, ports: new Array(2) }, "flows key .ports[0]: missing (expected object)"],
  [
    "within arrays of arrays",
    {
      ...good,
      grid: [
        [1, 2],
        [3, "4"],
      ],
    },
    "flows key .grid[1][1]: expected number, got string",
  ],
  [
    "an inner array too long",
    {
      ...good,
      grid: [
        [1, 2, 3],
        [3, 4],
      ],
    },
    "flows key .grid[0]: expected 2 elements, got 3",
  ],
  ["past a bit-field", { ...good, low: 8 }, "flows key .low: expected a whole number from 0 to 7, got 8"],
  [
    "past a signed bit-field",
    { ...good, negative: -9 },
    "flows key .negative: expected a whole number from -8 to 7, got -9",
  ],
  [
    "past a wide bit-field",
    { ...good, wide: 2n ** 40n },
    "flows key .wide: 1099511627776 does not fit 40 bits, unsigned",
  ],
  ["a number for a flag", { ...good, flag: 0 }, "flows key .flag: expected boolean, got number"],
  ["a string for a pointer", { ...good, where: "0x0" }, "flows key .where: expected bigint, got string"],
  ["an unknown name", { ...good, sadr: 1 }, 'flows key: no member "sadr" (did you mean "saddr"?)'],
  [
    "an unknown name in place of a known one",
    { ...withoutSaddr, sadr: 1 },
    'flows key: no member "sadr" (did you mean "saddr"?)',
  ],
  [
    "an unknown name within",
    { ...good, ports: [good.ports[0], { ...good.ports[1], opn: 1 }] },
    'flows key .ports[1]: no member "opn" (did you mean "open"?)',
  ],
  ["no member of a union", withoutUnion, 'flows key: missing: a union needs one of "v4", "v6"'],
  [
    "no member of a named union",
    { ...good, meta: {} },
    'flows key .meta: missing: a union needs one of "mark", "port"',
  ],
  [
    "members of a union that contradict",
    { ...good, v6: new Uint8Array(16) },
    'flows key: "v4" and another member of one union are given with values that contradict each other; give one',
  ],
  [
    "within a union",
    { ...good, meta: { port: { number: -1, open: true } } },
    "flows key .meta.port.number: expected a whole number from 0 to 65535, got -1",
  ],
  [
    "one of several in a union",
    { ...good, meta: { mark: -1, port: { number: 0, open: false } } },
    "flows key .meta.mark: expected a whole number from 0 to 4294967295, got -1",
  ],
];

describe.each([true, false])("generated: %s", (generate) => {
  test.each(cases)("%s", (_name, value, message) => {
    const codec = shapeCodec(shapeOf(btf, btf.get("flow_key", "struct")), "struct flow_key", "flows key", generate);
    const memory = Memory.allocate(codec.size);
    expect(codec.encode(memory, 0, good)).toBe(codec.size);
    let error: unknown;
    try {
      codec.encode(memory, 0, value);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(BpfError);
    expect((error as BpfError).message).toBe(message);
    expect((error as BpfError).code).toBe("VALUE_INVALID");
  });

  test("memory that is too short", () => {
    const codec = shapeCodec(shapeOf(btf, btf.get("port", "struct")), "struct port", "struct port", generate);
    const memory = Memory.allocate(8);
    expect(() => codec.decode(memory, 5)).toThrow("struct port: needs 4 bytes, there are 3");
    expect(() => codec.decode(memory, 0, 3)).toThrow("struct port: needs 4 bytes, there are 3");
    expect(() => codec.encode(memory, 6, { number: 1, open: true })).toThrow("struct port: needs 4 bytes, there are 2");
    expect(() => codec.decode(memory, 100)).toThrow(/needs 4 bytes/);
  });
});

test("without a label the type is named", () => {
  const codec = compileCodec(btf, btf.get("port", "struct"));
  expect(() => codec.encode(Memory.allocate(4), 0, { number: "80", open: true })).toThrow(
    "struct port .number: expected number, got string",
  );
});

describe("names that a program could not have", () => {
  // BTF is input: nothing of it may become code, and no name may reach what objects inherit.
  const names = [
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    'a"];globalThis.pwned=1;//',
    "a\\",
    "`$" + "{globalThis.pwned=1}`",
    "\n",
    "\u2028",
    "0",
    "value",
    "memory",
    "*/",
  ];
  const builder = new BtfBuilder();
  const u32 = builder.int("u32", 4);
  const inner = builder.struct("}; globalThis.pwned = 1; {", 4, [["__proto__", u32, 0]]);
  const id = builder.struct('s"`', names.length * 4 + 4, [
    ...names.map((name, i): [string, number, number] => [name, u32, i * 32]),
    ["inner", inner, names.length * 32],
  ]);
  const union = builder.struct(
    "u",
    4,
    [
      ["__proto__", u32, 0],
      ["constructor", u32, 0],
    ],
    "union",
  );
  const hostile = builder.parse();

  test.each([true, false])("generated: %s", (generate) => {
    const codec = shapeCodec(shapeOf(hostile, id), "struct", 'label "`', generate);
    const memory = Memory.allocate(codec.size);
    for (let i = 0; i <= names.length; i++) memory.u32[i] = i + 1;
    const decoded = codec.decode(memory, 0) as object;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    // Numbers come first in any object; all other names are in order.
    expect(Object.keys(decoded)).toEqual(["0", ...names.filter((name) => name !== "0"), "inner"]);
    for (const [i, name] of names.entries())
      expect(Object.getOwnPropertyDescriptor(decoded, name)?.value, name).toBe(i + 1);
    const other = Memory.allocate(codec.size);
    codec.encode(other, 0, decoded);
    expect(other.bytes).toEqual(memory.bytes);
    for (const name of ["__proto__", "constructor", "toString"]) {
      const value = Object.fromEntries(Object.entries(decoded).filter(([key]) => key !== name));
      expect(() => codec.encode(other, 0, value)).toThrow(`.${name}: missing (expected number)`);
    }
    const unions = shapeCodec(shapeOf(hostile, union), "union", "union", generate);
    expect(() => unions.encode(other, 0, {})).toThrow(/needs one of "__proto__", "constructor"/);
    unions.encode(other, 0, JSON.parse('{"__proto__": 9}'));
    expect(other.u32[0]).toBe(9);
    expect((globalThis as { pwned?: unknown }).pwned).toBeUndefined();
  });
});
