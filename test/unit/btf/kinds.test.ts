import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import type { BtfKind, BtfType } from "../../../lib/btf/types.js";
import { BtfBuilder } from "./support/builder.js";
import { Workshop } from "./support/tools.js";

const SOURCE = `
typedef unsigned int __u32;
typedef unsigned short __be16;
#define tag(x) __attribute__((btf_type_tag(x)))
enum plain { ZERO, TWO = 2, BIG = 0xffffffff };
enum negative { MINUS = -1, ONE = 1 };
enum aliases { FIRST = 1, SECOND = 1 };
enum wide { HUGE = 0x123456789abcdef0ULL };
enum wide_negative { LOW = -0x123456789abLL, HIGH = 1 };
struct later;
union later_union;
struct bits { __u32 a : 3; int b : 5; unsigned long long c : 40; _Bool d : 1; };
struct __attribute__((packed)) packed { char c; long l; short s; int bits : 7; };
struct inner { int x, y; };
struct all {
  _Bool flag;
  char letter;
  signed char sletter;
  unsigned char byte;
  __int128 huge;
  unsigned __int128 uhuge;
  float single;
  double twice;
  struct later *pointer;
  union later_union *upointer;
  const volatile char *name;
  char *const fixed;
  int *restrict alone;
  int grid[3][4];
  union { __u32 word; struct { __be16 high, low; }; };
  struct inner nested;
  enum plain plain;
  enum negative negative;
  enum aliases aliases;
  enum wide wide;
  enum wide_negative wide_negative;
  int (*call)(struct inner *, const char *, ...);
  void (*empty)(void);
  int tag("user") *tagged;
  int tail[];
} all __attribute__((section(".data.test")));
struct bits bits;
struct packed packed;
const volatile int setting __attribute__((section(".rodata"))) = 3;
static volatile int hidden __attribute__((btf_decl_tag("marked")));
__attribute__((noinline)) static int helper(int a, __u32 b) { return a + b + hidden; }
__attribute__((section("socket"), used)) int entry(struct inner *ctx) { return helper(ctx->x, ctx->y) + setting; }
`;

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

let btf: Btf;
beforeAll(() => {
  btf = workshop.btf("kinds", SOURCE);
});

function named<K extends BtfKind>(name: string, kind: K): Extract<BtfType, { kind: K }> {
  const type = btf.type(btf.get(name, kind));
  if (type.kind !== kind) throw new Error(`${name} is a ${type.kind}`);
  return type as Extract<BtfType, { kind: K }>;
}

function member(
  struct: string,
  name: string,
): { type: BtfType; text: string; size: number; bitOffset: number; bitfieldSize: number } {
  const found = named(struct, "struct").members.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no ${struct}.${name}`);
  return { type: btf.type(found.type), text: btf.describe(found.type), size: btf.size(found.type), ...pick(found) };
}

function pick({ bitOffset, bitfieldSize }: { bitOffset: number; bitfieldSize: number }): {
  bitOffset: number;
  bitfieldSize: number;
} {
  return { bitOffset, bitfieldSize };
}

describe("what clang writes", () => {
  test("int, bool, char, 128 bits, float", () => {
    expect(member("all", "flag").type).toMatchObject({ kind: "int", name: "_Bool", size: 1, bool: true, char: false });
    expect(member("all", "letter").type).toMatchObject({ kind: "int", size: 1, char: true, signed: true });
    expect(member("all", "sletter").type).toMatchObject({ kind: "int", size: 1, char: false, signed: true });
    expect(member("all", "byte").type).toMatchObject({ kind: "int", size: 1, char: false, signed: false });
    expect(member("all", "huge").type).toMatchObject({ kind: "int", size: 16, bits: 128, signed: true });
    expect(member("all", "uhuge").type).toMatchObject({ kind: "int", size: 16, signed: false });
    expect(member("all", "single").type).toMatchObject({ kind: "float", size: 4 });
    expect(member("all", "twice").type).toMatchObject({ kind: "float", size: 8 });
  });

  test("enum, signed and not, and enum64", () => {
    expect(named("plain", "enum")).toMatchObject({
      size: 4,
      signed: false,
      values: [
        { name: "ZERO", value: 0 },
        { name: "TWO", value: 2 },
        { name: "BIG", value: 0xffffffff },
      ],
    });
    expect(named("negative", "enum")).toMatchObject({ signed: true, values: [{ value: -1 }, { value: 1 }] });
    expect(named("wide", "enum64")).toMatchObject({
      size: 8,
      signed: false,
      values: [{ name: "HUGE", value: 0x123456789abcdef0n }],
    });
    expect(named("wide_negative", "enum64")).toMatchObject({
      signed: true,
      values: [{ value: -0x123456789abn }, { value: 1n }],
    });
  });

  test("an enum's names by their values, which are as records hold them", () => {
    expect([...btf.enumerators("plain")]).toEqual([
      [0, "ZERO"],
      [2, "TWO"],
      [0xffffffff, "BIG"],
    ]);
    expect(btf.enumerators("negative").get(-1)).toBe("MINUS");
    expect(btf.enumerators("aliases").get(1)).toBe("FIRST");
    expect(btf.enumerators("wide_negative").get(-0x123456789abn)).toBe("LOW");
    expect(() => btf.enumerators("plane")).toThrow(/has no enum "plane".*plain/);
    // A struct of that name is no enum.
    expect(() => btf.enumerators("all")).toThrow('has no enum "all"');
  });

  test("forward declarations have no size", () => {
    expect(named("later", "fwd")).toMatchObject({ union: false });
    expect(named("later_union", "fwd")).toMatchObject({ union: true });
    expect(() => btf.size(btf.get("later", "fwd"))).toThrow(/struct later \(type \d+\) has no size: a fwd/);
  });

  test("bit-fields and packed members by their bits", () => {
    expect(named("bits", "struct").members.map(pick)).toEqual([
      { bitOffset: 0, bitfieldSize: 3 },
      { bitOffset: 3, bitfieldSize: 5 },
      { bitOffset: 8, bitfieldSize: 40 },
      { bitOffset: 48, bitfieldSize: 1 },
    ]);
    expect(named("packed", "struct").size).toBe(12);
    expect(named("packed", "struct").members.map(pick)).toEqual([
      { bitOffset: 0, bitfieldSize: 0 },
      { bitOffset: 8, bitfieldSize: 0 },
      { bitOffset: 72, bitfieldSize: 0 },
      { bitOffset: 88, bitfieldSize: 7 },
    ]);
  });

  test("types as C writes them", () => {
    const texts = named("all", "struct").members.map(({ name, type }) => `${name}: ${btf.describe(type)}`);
    expect(texts).toEqual([
      "flag: _Bool",
      "letter: char",
      "sletter: signed char",
      "byte: unsigned char",
      "huge: __int128",
      "uhuge: unsigned __int128",
      "single: float",
      "twice: double",
      "pointer: struct later *",
      "upointer: union later_union *",
      "name: const volatile char *",
      "fixed: char *const",
      "alone: int *restrict",
      "grid: int[3][4]",
      ": union (anonymous)",
      "nested: struct inner",
      "plain: enum plain",
      "negative: enum negative",
      "aliases: enum aliases",
      "wide: enum wide",
      "wide_negative: enum wide_negative",
      "call: int (*)(struct inner *, const char *, ...)",
      "empty: void (*)(void)",
      "tagged: int *",
      "tail: int[]",
    ]);
    expect(btf.describe(0)).toBe("void");
    expect(btf.describe(btf.get("helper", "func"))).toBe("int helper(int, __u32)");
  });

  test("arrays, sizes and typedefs", () => {
    expect(member("all", "grid")).toMatchObject({ size: 48 });
    expect(member("all", "tail")).toMatchObject({ size: 0 });
    expect(member("all", "pointer")).toMatchObject({ size: 8 });
    const alias = btf.get("__u32", "typedef");
    expect(btf.type(btf.resolve(alias))).toMatchObject({ kind: "int", name: "unsigned int" });
    expect(btf.size(alias)).toBe(4);
  });

  test("functions, variables, sections and tags", () => {
    expect(named("helper", "func").linkage).toBe("static");
    expect(named("entry", "func").linkage).toBe("global");
    const prototype = btf.type(named("helper", "func").type);
    expect(prototype).toMatchObject({
      kind: "func_proto",
      variadic: false,
      parameters: [{ name: "a" }, { name: "b" }],
    });
    expect(named("setting", "var").linkage).toBe("global");
    expect(named("hidden", "var").linkage).toBe("static");
    const section = named(".rodata", "datasec");
    expect(section.variables.map((variable) => btf.name(variable.type))).toEqual(["setting"]);
    expect(section.variables[0]).toMatchObject({ size: 4, offset: 0 });
    expect(named("marked", "decl_tag")).toMatchObject({ component: -1, type: btf.get("hidden", "var") });
    expect(btf.type(btf.get("user", "type_tag"))).toMatchObject({ kind: "type_tag", name: "user" });
  });

  test("one name may be several types", () => {
    expect(
      btf
        .findAll("all")
        .map((id) => btf.kind(id))
        .sort(),
    ).toEqual(["struct", "var"]);
    expect(btf.findAll("")).toEqual([]);
    expect(btf.find("all\0")).toBeUndefined();
    expect(btf.find("al")).toBeUndefined();
    expect(btf.find("nothing")).toBeUndefined();
  });

  test("all ids are there, and none beyond", () => {
    const ids = [...btf.types()].map((type) => type.id);
    expect(ids).toEqual(Array.from({ length: btf.typeCount - 1 }, (_, i) => i + 1));
    for (const id of [btf.typeCount, -1, 1.5, Number.NaN])
      expect(() => btf.type(id), String(id)).toThrow(/has no type/);
    expect(btf.type(0)).toEqual({ id: 0, kind: "void", name: "" });
  });
});

describe("split BTF", () => {
  test("goes on from its base, strings and ids", () => {
    const first = new BtfBuilder();
    const u32 = first.int("u32", 4);
    first.struct("device", 4, [["id", u32, 0]]);
    const base = first.parse({ name: "base" });
    const second = new BtfBuilder({ types: base.typeCount, strings: first.stringLength });
    const own = second.struct("own_device", 8, [
      ["parent", 2, 0],
      ["port", u32, 32],
    ]);
    const split = second.parse({ base, name: "module" });
    expect(split.typeCount).toBe(4);
    expect(split.type(own)).toMatchObject({ name: "own_device", members: [{ name: "parent" }, { name: "port" }] });
    expect(split.describe(2)).toBe("struct device");
    expect(split.size(own)).toBe(8);
    expect(split.find("device")).toBe(2);
    expect(split.find("own_device")).toBe(own);
    expect(base.find("own_device")).toBeUndefined();
    expect([...split.types()]).toHaveLength(3);
  });

  test("may have no strings of its own, and share its base's", () => {
    const first = new BtfBuilder();
    const name = first.string("shared");
    const u32 = first.int("u32", 4);
    const base = first.parse();
    const second = new BtfBuilder({ types: base.typeCount, strings: first.stringLength });
    second.add("typedef", name, u32);
    const split = second.parse({ base });
    expect(split.find("shared", "typedef")).toBe(2);
    expect(split.name(2)).toBe("shared");
  });
});

test("what was given is not copied, and may start at any address", () => {
  const builder = new BtfBuilder();
  builder.int("odd", 4);
  const bytes = builder.bytes();
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect(Btf.parse(shifted.subarray(1)).find("odd")).toBe(1);
});

test("the size of a pointer is that of long", () => {
  const long = new BtfBuilder();
  long.int("long unsigned int", 4);
  const pointer = long.add("ptr", "", 0);
  expect(long.parse().size(pointer)).toBe(4);
  const none = new BtfBuilder();
  const wide = none.add("ptr", "", 0);
  expect(none.parse().size(wide)).toBe(8);
});
