/** Every rule of how C becomes JavaScript, and every trap that generators of skeletons fell into, once with bytes written by hand. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Btf } from "../../../lib/btf/btf.js";
import { bytesCodec, type CodecOptions, compileCodec, shapeCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { type ShapeOptions, shapeOf } from "../../../lib/codec/shape.js";
import { BtfBuilder } from "../btf/support/builder.js";
import { Workshop } from "../btf/support/tools.js";

const SOURCE = `
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef signed char __s8; typedef long long __s64; typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64;
typedef __be16 port_t; typedef const volatile char *text_t; typedef struct pair pair_t; typedef char comm_t[16];
struct pair { int x, y; };
struct numbers { __u8 a; __s8 b; char c; __u16 d; short e; __u32 f; int g; __u64 h; __s64 i; unsigned __int128 j; __int128 k; };
struct order { __be16 a; __be32 b; __be64 c; port_t d; __be16 e[8]; const volatile __be32 f; };
struct bools { _Bool a, b; _Bool list[3]; };
enum unsigned_enum { U0, UMAX = 0xffffffff }; enum signed_enum { SMIN = -1, S1 = 1 };
enum big_enum { B0, BMAX = 0xffffffffffffffffULL }; enum big_signed { BMIN = -0x7fffffffffffffffLL - 1 };
enum __attribute__((packed)) small_enum { SMALL = 1, LAST = 200 };
struct enums { enum unsigned_enum u; enum signed_enum s; enum big_enum b; enum big_signed bs; enum small_enum t; };
struct text { char name[8]; comm_t comm; char grid[2][4]; unsigned char raw[4]; __u8 wide[40]; signed char low[2]; char none[0]; int after; };
struct nested { struct pair p; pair_t q; struct pair list[2]; int matrix[2][3]; };
struct anonymous { int first; struct { int a; union { int b; struct { short low, high; }; }; }; int last; };
union plain { __u32 word; __u8 bytes[4]; struct pair pair; };
struct holder { union plain u; union { } empty; struct { } nothing; int tail; };
struct pointers { void *any; text_t text; int (*call)(int); struct undefined *opaque; };
struct floats { float f; double d; };
typedef __u64 count __attribute__((btf_decl_tag("ebpf:number"))); typedef const count fixed_count;
struct counted { count one; fixed_count list[2]; __u64 wide; struct { count inner; }; };
struct bits { __u32 a : 1; __u32 b : 7; int c : 4; __u64 d : 52; _Bool e : 1; enum signed_enum f : 3; };
struct __attribute__((packed)) crossing { __u8 lead : 3; __u64 all : 64; __u16 rest : 13; int last : 20; };
struct trailing { int a; int b : 5; };
struct __attribute__((packed)) packed { __u8 a; __u32 b; __u64 c; char name[16]; __be16 d; double e; __u16 list[10]; };
struct padded { __u8 a; __u32 b; __u8 c; __u64 d; __u8 e; };
struct flex_bytes { __u32 len; __u16 kind; __u8 data[]; };
struct flex_text { __u64 ts; __u32 len; char path[]; };
struct flex_pairs { __u32 n; struct pair list[]; };
struct flex_union { __u32 n; union { struct { struct {} e1; __u8 bytes[]; }; struct { struct {} e2; __u16 words[]; }; }; };
struct empty { };
struct exact { __u64 ts; struct { __u64 bytes; __s64 delta; __u32 small; } in; __u64 list[2]; void *where; __be64 swapped; };
struct bpf_spin_lock { __u32 val; }; struct bpf_timer { __u64 __opaque[2]; }; struct task;
#define EBPF_NUMBER __attribute__((btf_decl_tag("ebpf:number")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __user __attribute__((btf_type_tag("user")))
typedef struct bpf_spin_lock lock_t;
struct owned { __u32 count; lock_t lock; struct bpf_timer timers[2]; struct task __kptr *task; struct task __user *user; __u32 last; };
struct holds_owned { __u16 first; struct { struct bpf_spin_lock lock; }; struct owned inner; };
typedef unsigned long sizes_t;
typedef unsigned long long count_t EBPF_NUMBER;
struct counter { unsigned long long n EBPF_NUMBER; };
union u_member { __u32 word; unsigned long long n EBPF_NUMBER; };
union u_typedef { __u32 word; count_t list[2]; };
struct u_anonymous { int first; union { struct { int a; count_t n; }; __u8 raw[16]; }; };
union u_alone { count_t n; };
struct u_after { union { __u32 a, b; } before; count_t n; };
union u_nested { struct counter counter; __u64 any; };
struct with_long { unsigned long a; long b; sizes_t c; };
#define KEEP(type, name) type keep_##name;
KEEP(struct numbers, n) KEEP(struct order, o) KEEP(struct bools, b) KEEP(struct enums, e) KEEP(struct text, t) KEEP(struct nested, ne)
KEEP(struct anonymous, a) KEEP(struct holder, h) KEEP(struct pointers, p) KEEP(struct floats, f) KEEP(struct bits, bi) KEEP(struct crossing, cr)
KEEP(struct trailing, tr) KEEP(struct packed, pa) KEEP(struct padded, pd) KEEP(struct flex_bytes, *fb) KEEP(struct flex_text, *ft)
KEEP(struct flex_pairs, *fp) KEEP(struct flex_union, *fu) KEEP(struct empty, em) KEEP(struct exact, ex) KEEP(struct with_long, wl) KEEP(struct counted, co)
KEEP(struct owned, ow) KEEP(struct holds_owned, ho)
KEEP(union u_member, um) KEEP(union u_typedef, ut) KEEP(struct u_anonymous, ua) KEEP(union u_alone, ul) KEEP(struct u_after, uf) KEEP(union u_nested, un)
`.replace(/KEEP\((struct \w+), \*(\w+)\)/g, "$1 *keep_$2;");

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
let btf: Btf;
beforeAll(() => {
  btf = workshop.btf("rules", SOURCE);
});

/** All four ways through: generated and closures, aligned and not. */
const ways = [
  { name: "generated", generate: true, offset: 0 },
  { name: "generated, unaligned", generate: true, offset: 3 },
  { name: "closures", generate: false, offset: 0 },
  { name: "closures, unaligned", generate: false, offset: 3 },
];

function codecOf(type: string, generate: boolean, options: CodecOptions = {}) {
  const kind = type.startsWith("union ") ? "union" : "struct";
  const id = btf.get(type.replace(/^(struct|union) /, ""), kind);
  return shapeCodec(shapeOf(btf, id, options), type, options.label ?? type, generate);
}

/** `bytes` (hexadecimal, spaces ignored) are what C has for `value`; both directions, in all four ways. */
function expectBytes(type: string, hex: string, value: unknown, options: ShapeOptions = {}): void {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  for (const { name, generate, offset } of ways) {
    const codec = codecOf(type, generate, options);
    const memory = Memory.allocate(bytes.length + 8);
    memory.bytes.set(bytes, offset);
    const decoded = codec.decode(memory, offset, bytes.length);
    expect(decoded, name).toEqual(value);
    if (typeof value === "object" && value !== null)
      expect(Object.keys(decoded as object), name).toEqual(Object.keys(value));
    memory.bytes.fill(0xee);
    const length = codec.encode(memory, offset, value, bytes.length);
    expect(Buffer.from(memory.bytes.subarray(offset, offset + bytes.length)).toString("hex"), name).toBe(
      bytes.toString("hex"),
    );
    expect(length, name).toBe(codec.hasTail ? Math.max(length, codec.size) : codec.size);
  }
}

/** Bytes decode to `value`; the other way would not give these bytes. */
function expectDecoded(type: string, hex: string, value: unknown, length?: number): void {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  for (const { name, generate, offset } of ways) {
    const memory = Memory.allocate(bytes.length + 8);
    memory.bytes.fill(0xee);
    memory.bytes.set(bytes, offset);
    expect(codecOf(type, generate).decode(memory, offset, length ?? bytes.length), name).toEqual(value);
  }
}

function expectEncoded(type: string, value: unknown, hex: string): void {
  const bytes = Buffer.from(hex.replace(/\s/g, ""), "hex");
  for (const { name, generate, offset } of ways) {
    const memory = Memory.allocate(bytes.length + 8);
    memory.bytes.fill(0xee);
    codecOf(type, generate).encode(memory, offset, value, bytes.length);
    expect(Buffer.from(memory.bytes.subarray(offset, offset + bytes.length)).toString("hex"), name).toBe(
      bytes.toString("hex"),
    );
  }
}

describe("numbers", () => {
  test("integers of up to 32 bits are numbers, wider ones bigints", () => {
    const value = {
      a: 255,
      b: -1,
      c: -128,
      d: 65535,
      e: -2,
      f: 4294967295,
      g: -3,
      h: 2n ** 64n - 1n,
      i: -(2n ** 63n),
      j: 2n ** 128n - 1n,
      k: -1n,
    };
    expectBytes(
      "struct numbers",
      `ff ff 80 00 ffff feff ffffffff fdffffff ${"ff".repeat(8)} 0000000000000080 ${"ff".repeat(32)}`,
      value,
    );
  });

  test("long is 64 bits in BPF", () => {
    expectBytes("struct with_long", "0100000000000000 feffffffffffffff 0300000000000000", { a: 1n, b: -2n, c: 3n });
  });

  test("big-endian typedefs are in host order, in arrays and behind other typedefs and qualifiers too", () => {
    expectBytes(
      "struct order",
      "01bb 0000 0a000001 0102030405060708 0050 0001000200030004000500060007 0008 0000 7f000001",
      {
        a: 443,
        b: 0x0a000001,
        c: 0x0102030405060708n,
        d: 80,
        e: [1, 2, 3, 4, 5, 6, 7, 8],
        f: 0x7f000001,
      },
    );
  });

  test("a safe integer is taken for a bigint", () => {
    expectEncoded(
      "struct with_long",
      { a: 1, b: -2, c: 2 ** 53 - 1 },
      "0100000000000000 feffffffffffffff ffffffffffff1f00",
    );
  });

  test("floats", () => {
    expectBytes("struct floats", "0000c03f 00000000 9a9999999999b93f", { f: 1.5, d: 0.1 });
    expectDecoded("struct floats", "0000c07f 00000000 000000000000f0ff", {
      f: Number.NaN,
      d: Number.NEGATIVE_INFINITY,
    });
  });

  test("pointers are bigints, to functions and to what is not defined too", () => {
    expectBytes("struct pointers", "efbeadde00000000 0100000000000000 00000081ffffffff 0000000000000000", {
      any: 0xdeadbeefn,
      text: 1n,
      call: 0xffffffff81000000n,
      opaque: 0n,
    });
  });
});

describe("64-bit integers as numbers, by choice", () => {
  const hex =
    "0500000000000000 0600000000000000 f9ffffffffffffff 08000000 00000000 0900000000000000 0a00000000000000 0b00000000000000 000000000000000c";

  test("some, by their path; elements of arrays by the array's", () => {
    const value = { ts: 5, in: { bytes: 6n, delta: -7, small: 8 }, list: [9, 10], where: 11n, swapped: 12n };
    expectBytes("struct exact", hex, value, { numbers: ["ts", "in.delta", "list"] });
  });

  test("all; pointers only by name", () => {
    const value = { ts: 5, in: { bytes: 6, delta: -7, small: 8 }, list: [9, 10], where: 11n, swapped: 12 };
    expectBytes("struct exact", hex, value, { u64: "number" });
    expectBytes("struct exact", hex, { ...value, where: 11 }, { u64: "number", numbers: ["where"] });
  });

  test("by a typedef that C tagged, wherever it is", () => {
    const value = { one: 5, list: [6, 7], wide: 8n, inner: 9 };
    expectBytes(
      "struct counted",
      "0500000000000000 0600000000000000 0700000000000000 0800000000000000 0900000000000000",
      value,
    );
    const codec = compileCodec(btf, btf.get("fixed_count", "typedef"));
    const memory = Memory.allocate(8);
    memory.u64[0] = 11n;
    expect(codec.decode(memory, 0)).toBe(11);
    memory.u64[0] = 2n ** 60n;
    expect(() => codec.decode(memory, 0)).toThrow(/past 2\^53/);
  });

  test.each([true, false])("past 2^53 is an error, not rounded (generated: %s)", (generate) => {
    const codec = codecOf("struct exact", generate, { u64: "number", label: "stats value" });
    const memory = Memory.allocate(codec.size);
    memory.u64[0] = 2n ** 53n - 1n;
    memory.i64[2] = -(2n ** 53n - 1n);
    expect(codec.decode(memory, 0)).toMatchObject({ ts: 2 ** 53 - 1, in: { delta: -(2 ** 53 - 1) } });
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      memory.u64[0] = value;
      expect(() => codec.decode(memory, 0)).toThrow(/^stats value \.ts: a value of about \d+ is past 2\^53/);
    }
    memory.u64[0] = 0n;
    memory.i64[2] = -(2n ** 53n);
    expect(() => codec.decode(memory, 0)).toThrow(
      /^stats value \.in\.delta: a value of about -9007199254740992 is past 2\^53/,
    );
    memory.i64[2] = 0n;
    memory.u64[5] = 2n ** 60n;
    expect(() => codec.decode(memory, 0)).toThrow(/^stats value \.list\[\]: /);
    const value = { ts: 2 ** 53, in: { bytes: 0, delta: 0, small: 0 }, list: [0, 0], where: 0n, swapped: 0 };
    expect(() => codec.encode(memory, 0, value)).toThrow(
      /^stats value \.ts: expected a bigint or a whole number up to 2\^53/,
    );
    // A bigint is exact: it is taken as it is.
    codec.encode(memory, 0, { ...value, ts: 2n ** 60n });
    expect(memory.u64[0]).toBe(2n ** 60n);
  });

  test("a path that names no 64-bit integer is refused", () => {
    const id = btf.get("exact", "struct");
    for (const path of ["tz", "in.small", "in", "in.byte"]) {
      expect(() => compileCodec(btf, id, { numbers: [path] })).toThrow(
        `struct exact has no 64-bit integer at "${path}" to have as number`,
      );
    }
  });

  test("on its own, an integer is named by the empty path", () => {
    const builder = new BtfBuilder();
    const u64 = builder.int("u64", 8);
    const codec = compileCodec<number>(builder.parse(), u64, { numbers: [""] });
    const memory = Memory.allocate(8);
    codec.encode(memory, 0, 7);
    expect(codec.decode(memory, 0)).toBe(7);
  });
});

describe("what the kernel owns in a map's value", () => {
  const zeros = "0".repeat(64);
  const lock = { val: 7 };
  const timer = { __opaque: [1n, 2n] };
  const timerHex = "01000000000000000200000000000000";

  test("is read and written as it is declared, and is zero where it is left out", () => {
    const given = { count: 5, lock, timers: [timer, timer], task: 3n, user: 4n, last: 6 };
    expectBytes(
      "struct owned",
      `05000000 07000000 ${timerHex}${timerHex} 0300000000000000 0400000000000000 0600000000000000`,
      given,
    );
    expectEncoded(
      "struct owned",
      { count: 5, user: 4n, last: 6 },
      `05000000 00000000 ${zeros} 0000000000000000 0400000000000000 0600000000000000`,
    );
    expectEncoded(
      "struct holds_owned",
      { first: 1, inner: { count: 5, lock: undefined, timers: undefined, task: undefined, user: 4n, last: 6 } },
      `01000000 00000000 05000000 00000000 ${zeros} 0000000000000000 0400000000000000 0600000000000000`,
    );
  });

  test.each([true, false])("and nothing else may be left out (generated: %s)", (generate) => {
    const codec = codecOf("struct owned", generate);
    const encode = (value: unknown) => codec.encode(Memory.allocate(codec.size), 0, value);
    // A pointer of user space is given by it.
    expect(() => encode({ count: 5, last: 6 })).toThrow("struct owned .user: missing (expected bigint)");
    expect(() => encode({ count: 5, user: 0n })).toThrow("struct owned .last: missing (expected number)");
    expect(() => encode({ count: 5, user: 0n, last: 6, lock: null })).toThrow(
      "struct owned .lock: expected object, got null",
    );
    expect(() => encode({ count: 5, user: 0n, last: 6, timers: [timer] })).toThrow(
      "struct owned .timers: expected 2 elements, got 1",
    );
  });
});

describe("EBPF_NUMBER and unions", () => {
  test.each([
    ["union u_member", "n"],
    ["union u_typedef", "list"],
    ["struct u_anonymous", "n"],
  ])("%s: what shares its bytes with other members cannot be a number", (type, member) => {
    expect(() => codecOf(type, true)).toThrow(
      expect.objectContaining({
        code: "BTF_INVALID",
        message: expect.stringContaining(
          `member "${member}" is declared EBPF_NUMBER and shares its bytes with other members`,
        ),
      }),
    );
    // Whoever asks for numbers at run time takes the errors that come of it.
    expect(codecOf(type, true, { u64: "number" }).size).toBeGreaterThan(0);
  });

  test("a union of one member, and what stands beside a union, can", () => {
    expectBytes("union u_alone", "0700000000000000", { n: 7 });
    expectBytes("struct u_after", "01000000 00000000 0700000000000000", { before: { a: 1, b: 1 }, n: 7 });
  });

  test("a struct in a union can have one: it is read where it is there, and an error where another member is", () => {
    expectBytes("union u_nested", "0700000000000000", { counter: { n: 7 }, any: 7n });
    expect(() => expectDecoded("union u_nested", "00000000000000ff", {})).toThrow(
      /union u_nested \.counter\.n: .* past 2\^53/,
    );
  });
});

describe("bool and enum", () => {
  test("bool is a boolean; whatever is not 0 is true", () => {
    expectBytes("struct bools", "01 00 010001", { a: true, b: false, list: [true, false, true] });
    expectDecoded("struct bools", "02 80 ff0000", { a: true, b: true, list: [true, false, false] });
  });

  test("enums are numbers with the sign they have; 64-bit ones bigints; values that have no name are kept", () => {
    expectBytes("struct enums", `ffffffff ffffffff ${"ff".repeat(8)} 0000000000000080 c8 00000000000000`, {
      u: 0xffffffff,
      s: -1,
      b: 2n ** 64n - 1n,
      bs: -(2n ** 63n),
      t: 200,
    });
    expectBytes("struct enums", `2a000000 2a000000 ${"00".repeat(16)} 03 00000000000000`, {
      u: 42,
      s: 42,
      b: 0n,
      bs: 0n,
      t: 3,
    });
  });
});

describe("text and bytes", () => {
  const after = "01000000";
  const wide = "00".repeat(40);
  const value = {
    name: "né",
    comm: "systemd-journal",
    grid: ["abcd", ""],
    raw: Uint8Array.of(1, 2, 3, 4),
    wide: new Uint8Array(40),
    low: [-1, 1],
    none: "",
    after: 1,
  };

  test("char[] is a string up to the NUL, u8[] a Uint8Array, signed char[] an array", () => {
    const hex = `6ec3a90000000000 73797374656d642d6a6f75726e616c00 6162636400000000 01020304 ${wide} ff01 0000 ${after}`;
    expectBytes("struct text", hex, value);
  });

  test("what follows the NUL does not count", () => {
    const hex = `6ec3a900deadbeef 73797374656d642d6a6f75726e616c00 6162636400616263 01020304 ${wide} ff01 0000 ${after}`;
    expectDecoded("struct text", hex, value);
  });

  test("bytes that are not UTF-8 are shown as such", () => {
    const hex = `ff41000000000000 ${"00".repeat(16)} ${"00".repeat(8)} 00000000 ${wide} 0000 0000 ${after}`;
    expectDecoded("struct text", hex, {
      ...value,
      name: "\ufffdA",
      comm: "",
      grid: ["", ""],
      raw: new Uint8Array(4),
      low: [0, 0],
    });
  });

  test("strings and bytes are taken for each other", () => {
    const hex = `6869000000000000 ${"6f".repeat(16)} 6162636400000000 68690000 ${wide} ff01 0000 ${after}`;
    const given = {
      ...value,
      name: Uint8Array.of(0x68, 0x69),
      comm: "o".repeat(16),
      raw: "hi",
      wide: Buffer.alloc(40),
    };
    expectEncoded("struct text", given, hex);
  });

  test("bytes are a copy", () => {
    const codec = codecOf("struct text", true);
    const memory = Memory.allocate(codec.size);
    const decoded = codec.decode(memory, 0) as { raw: Uint8Array; wide: Uint8Array };
    memory.bytes.fill(1);
    expect([...decoded.raw, ...decoded.wide].every((byte) => byte === 0)).toBe(true);
    for (const bytes of [decoded.raw, decoded.wide]) {
      expect(bytes.constructor).toBe(Uint8Array);
      expect(bytes.buffer.byteLength).toBe(bytes.length);
    }
  });

  test("a type that BTF does not know is bytes", () => {
    const codec = bytesCodec(5, { label: "blob value" });
    const memory = Memory.allocate(8);
    expect(codec.encode(memory, 1, Uint8Array.of(1, 2, 3, 4, 5))).toBe(5);
    expect(codec.decode(memory, 1)).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
    expect(() => codec.encode(memory, 0, Uint8Array.of(1))).toThrow("blob value: expected 5 bytes, got 1");
    expect(() => codec.encode(memory, 0, 1 as never)).toThrow("blob value: expected Uint8Array, got number");
    expect(() => codec.decode(memory, 4)).toThrow("blob value: needs 5 bytes, there are 4");
    const rest = bytesCodec(0, { tail: true });
    expect(rest.decode(memory, 1, 3)).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe("structs and unions", () => {
  test("nested structs, typedefs of them, arrays of arrays", () => {
    expectBytes(
      "struct nested",
      Array.from({ length: 14 }, (_, i) => `${(i + 1).toString(16).padStart(2, "0")}000000`).join(""),
      {
        p: { x: 1, y: 2 },
        q: { x: 3, y: 4 },
        list: [
          { x: 5, y: 6 },
          { x: 7, y: 8 },
        ],
        matrix: [
          [9, 10, 11],
          [12, 13, 14],
        ],
      },
    );
  });

  test("members of anonymous structs and unions are the parent's", () => {
    expectBytes("struct anonymous", "01000000 02000000 04000300 05000000", {
      first: 1,
      a: 2,
      b: 0x30004,
      low: 4,
      high: 3,
      last: 5,
    });
    expectEncoded(
      "struct anonymous",
      { first: 1, a: 2, low: 4, high: 3, last: 5 },
      "01000000 02000000 04000300 05000000",
    );
    expectEncoded("struct anonymous", { first: 1, a: 2, b: 7, last: 5 }, "01000000 02000000 07000000 05000000");
  });

  test("a union is an object with all its members; one is enough to write it", () => {
    const whole = { word: 0x04030201, bytes: Uint8Array.of(1, 2, 3, 4), pair: { x: 0x04030201, y: 5 } };
    expectBytes("union plain", "01020304 05000000", whole);
    expectEncoded("union plain", { word: 1 }, "01000000 00000000");
    expectEncoded("union plain", { bytes: "ab" }, "61620000 00000000");
    expectEncoded("union plain", { pair: { x: 1, y: 2 } }, "01000000 02000000");
    expectEncoded("union plain", { pair: { x: 1, y: 2 }, word: 1 }, "01000000 02000000");
  });

  test("empty structs and unions", () => {
    expectBytes("struct holder", "01000000 02000000 03000000", {
      u: { word: 1, bytes: Uint8Array.of(1, 0, 0, 0), pair: { x: 1, y: 2 } },
      empty: {},
      nothing: {},
      tail: 3,
    });
    expectBytes("struct empty", "", {});
  });

  test("padding is written as zero", () => {
    expectBytes("struct padded", "01 000000 02000000 03 00000000000000 0400000000000000 05 00000000000000", {
      a: 1,
      b: 2,
      c: 3,
      d: 4n,
      e: 5,
    });
  });

  test("packed members, at odd addresses", () => {
    const hex = `01 02000000 0300000000000000 ${Buffer.from("comm").toString("hex")}${"00".repeat(12)} 0050 000000000000f03f 0100020003000400050006000700080009000a00`;
    expectBytes("struct packed", hex, {
      a: 1,
      b: 2,
      c: 3n,
      name: "comm",
      d: 80,
      e: 1,
      list: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    });
  });
});

describe("bit-fields", () => {
  test("of every sign and width, by their declared type", () => {
    // One after the other from the lowest bit: 1 + 7 + 4 + 52, then 1 + 3 in the next unit.
    expectBytes("struct bits", "ab cd bc9a78563412 0b 00000000000000", {
      a: 1,
      b: 0x55,
      c: -3,
      d: 0x123456789abccn,
      e: true,
      f: -3,
    });
  });

  test("across bytes, packed", () => {
    const value = { lead: 5, all: 0xfedcba9876543210n, rest: 0x1abc, last: -2 };
    let bits = 0n;
    bits |= 5n | (0xfedcba9876543210n << 3n) | (0x1abcn << 67n) | (BigInt.asUintN(20, -2n) << 80n);
    const hex = Buffer.from(bits.toString(16).padStart(26, "0"), "hex").reverse().toString("hex");
    expectBytes("struct crossing", hex, value);
  });

  test("at the end", () => {
    expectBytes("struct trailing", "01000000 1f000000", { a: 1, b: -1 });
    expectDecoded("struct trailing", "01000000 efffffff", { a: 1, b: 15 });
  });
});

describe("flexible ends", () => {
  test("bytes: the rest of the record, which may begin within what sizeof counts", () => {
    expectBytes("struct flex_bytes", "03000000 0700 010203", { len: 3, kind: 7, data: Uint8Array.of(1, 2, 3) });
    expectDecoded("struct flex_bytes", "00000000 0700", { len: 0, kind: 7, data: new Uint8Array(0) });
    expectDecoded("struct flex_bytes", "00000000 0700 01", { len: 0, kind: 7, data: Uint8Array.of(1) });
  });

  test("text up to the NUL or the end", () => {
    expectBytes("struct flex_text", `0100000000000000 04000000 ${Buffer.from("/tmp").toString("hex")}`, {
      ts: 1n,
      len: 4,
      path: "/tmp",
    });
    expectDecoded("struct flex_text", `0100000000000000 04000000 ${Buffer.from("/a\0junk").toString("hex")}`, {
      ts: 1n,
      len: 4,
      path: "/a",
    });
  });

  test("whole elements of other types", () => {
    expectBytes("struct flex_pairs", "02000000 0100000002000000 0300000004000000", {
      n: 2,
      list: [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
      ],
    });
    expectDecoded("struct flex_pairs", "02000000 0100000002000000 030000", { n: 2, list: [{ x: 1, y: 2 }] });
    expectBytes("struct flex_pairs", "00000000", { n: 0, list: [] });
  });

  test("in a union, as the kernel declares them", () => {
    const value = { n: 4, e1: {}, bytes: Uint8Array.of(1, 0, 2, 0), e2: {}, words: [1, 2] };
    expectBytes("struct flex_union", "04000000 0100 0200", value);
  });

  test("how much was written is returned, and what does not fit refused", () => {
    for (const generate of [true, false]) {
      const codec = codecOf("struct flex_bytes", generate, { label: "msg" });
      const memory = Memory.allocate(16);
      const value = (length: number) => ({ len: 0, kind: 0, data: new Uint8Array(length) });
      expect(codec.encode(memory, 0, value(0))).toBe(8);
      expect(codec.encode(memory, 0, value(2))).toBe(8);
      expect(codec.encode(memory, 0, value(10))).toBe(16);
      expect(codec.encode(memory, 8, value(2))).toBe(8);
      expect(() => codec.encode(memory, 8, value(3))).toThrow("msg .data: 3 bytes do not fit: there is room for 2");
      expect(() => codec.encode(memory, 0, value(5), 10)).toThrow("msg .data: 5 bytes do not fit: there is room for 4");
      expect(() => codec.decode(memory, 0, 5)).toThrow("msg: needs 6 bytes, there are 5");
      expect(() => codec.decode(memory, 8, 12)).toThrow(/^msg: needs 6 bytes/);
    }
  });
});

test("scalars on their own", () => {
  const builder = new BtfBuilder();
  const u32 = builder.int("unsigned int", 4);
  const char = builder.int("char", 1);
  const s64 = builder.int("long long", 8, { signed: true });
  const array = builder.array(char, 16);
  const be = builder.add("typedef", "__be32", u32);
  const variable = builder.add("var", "counter", s64, [1]);
  const hand = builder.parse();
  const memory = Memory.allocate(16);
  const check = (id: number, value: unknown): void => {
    for (const generate of [true, false]) {
      const codec = shapeCodec(shapeOf(hand, id), hand.describe(id), "map key", generate);
      expect(codec.encode(memory, 0, value)).toBe(hand.size(id));
      expect(codec.decode(memory, 0)).toBe(value);
    }
  };
  check(u32, 7);
  check(s64, -7n);
  check(array, "eth0");
  check(variable, 5n);
  check(be, 0x7f000001);
  expect([...memory.bytes.subarray(0, 4)]).toEqual([0x7f, 0, 0, 1]);
});

test("sections of variables are records of them", () => {
  const builder = new BtfBuilder();
  const u32 = builder.int("unsigned int", 4);
  const one = builder.add("var", "one", u32, [1]);
  const two = builder.add("var", "two", u32, [1]);
  const section = builder.add("datasec", ".bss", 12, [one, 0, 4, two, 8, 4], { vlen: 2 });
  const codec = compileCodec(builder.parse(), section);
  const memory = Memory.allocate(12);
  codec.encode(memory, 0, { one: 1, two: 2 });
  expect([...memory.u32]).toEqual([1, 0, 2]);
  expect(codec.decode(memory, 0)).toEqual({ one: 1, two: 2 });
});

test("bit-fields as compilers wrote them before they had a flag: in the int", () => {
  const builder = new BtfBuilder();
  const three = builder.int("unsigned int", 4, { bits: 3 });
  const five = builder.int("int", 4, { bits: 5, offset: 3, signed: true });
  const struct = builder.struct("old", 4, [
    ["a", three, 0],
    ["b", five, 0],
  ]);
  const codec = compileCodec(builder.parse(), struct);
  const memory = Memory.allocate(4);
  codec.encode(memory, 0, { a: 5, b: -2 });
  expect(memory.bytes[0]).toBe(5 | (0x1e << 3));
  expect(codec.decode(memory, 0)).toEqual({ a: 5, b: -2 });
});

test("long double and integers of odd size are bytes", () => {
  const builder = new BtfBuilder();
  const long = builder.add("float", "long double", 16);
  const codec = compileCodec(builder.parse(), long);
  expect(codec.decode(Memory.allocate(16), 0)).toEqual(new Uint8Array(16));
});

test("a codec is made once per type and options", () => {
  const id = btf.get("pair", "struct");
  expect(compileCodec(btf, id)).toBe(compileCodec(btf, id));
  expect(compileCodec(btf, id, { label: "x" })).not.toBe(compileCodec(btf, id));
  expect(compileCodec(btf, id)).toMatchObject({ type: "struct pair", size: 8, hasTail: false });
  expect(compileCodec(btf, btf.get("flex_text", "struct"))).toMatchObject({ hasTail: true, size: 16 });
});
