import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import { compileCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { BpfError } from "../../../lib/errors.js";
import { BtfBuilder, type Header } from "./support/builder.js";
import { Workshop } from "./support/tools.js";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const memory = Memory.allocate(1 << 16);

/** Runs `action`; anything it throws must be a BpfError of the kind that bad BTF gives. */
function tolerate(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    expect(["BTF_INVALID", "BTF_NOT_FOUND", "SIZE_MISMATCH", "VALUE_INVALID"]).toContain(error.code);
    expect(error.message).not.toBe("");
  }
}

/** Asks everything of BTF that can be asked. */
function exercise(bytes: Uint8Array): void {
  tolerate(() => {
    const btf = Btf.parse(bytes, { name: "fuzzed" });
    const count = Math.min(btf.typeCount, 400);
    tolerate(() => btf.find("flow_key"));
    tolerate(() => btf.pointerSize);
    for (let id = 0; id <= count; id++) {
      tolerate(() => btf.type(id));
      tolerate(() => btf.name(id));
      tolerate(() => btf.describe(id));
      tolerate(() => btf.size(id));
      tolerate(() => btf.resolve(id));
      tolerate(() => {
        const codec = compileCodec(btf, id);
        if (codec.size > memory.byteLength) return;
        memory.bytes.fill(0);
        codec.encode(memory, 0, codec.decode(memory, 0, codec.size), codec.size);
      });
    }
  });
}

const SOURCE = `
typedef unsigned int __u32; typedef unsigned short __be16;
enum kind { ONE, TWO }; enum wide { HUGE = 0x123456789ULL };
struct flow_key { __u32 saddr, daddr; __be16 sport, dport; unsigned char proto; };
struct record { unsigned long long ts; char comm[16]; union { int a; struct { short b, c; }; }; struct flow_key keys[3];
  enum kind kind; enum wide wide; int x : 3; int y : 20; _Bool ok; double d; void *p; int (*f)(struct flow_key *, ...); unsigned char raw[8]; char tail[]; };
struct record r; struct flow_key k;
const volatile int setting = 1;
__attribute__((section("socket"), used)) int entry(struct record *ctx) { return ctx->x + setting; }
`;

test("a Buffer that starts anywhere is as good as one that is aligned", () => {
  const builder = new BtfBuilder();
  builder.struct("pair", 8, [["first", builder.int("int", 4), 0]]);
  const bytes = builder.bytes();
  for (let at = 0; at < 8; at++) {
    const file = Buffer.alloc(bytes.byteLength + 8, 0xa5);
    file.set(bytes, at);
    const btf = Btf.parse(file.subarray(at, at + bytes.byteLength));
    expect(btf.type(btf.get("pair", "struct"))).toMatchObject({ size: 8, members: [{ name: "first" }] });
  }
});

describe("headers", () => {
  const cases: [string, Header, RegExp][] = [
    ["magic", { magic: 0x1234 }, /magic 0x1234 in place of 0xeb9f/],
    ["byte order", { magic: 0x9feb }, /it is big-endian and this machine is little-endian/],
    ["version", { version: 2 }, /version 2; this library knows version 1/],
    ["short header", { headerLength: 8 }, /header length 8/],
    ["long header", { headerLength: 0xffffffff }, /header length 4294967295/],
    ["types past the end", { typeLength: 0xfffffffc }, /the type section .* ends past/],
    ["types start past the end", { typeOffset: 0xfffffff0 }, /the type section .* ends past/],
    ["types of odd length", { typeLength: 15 }, /not a multiple of 4/],
    ["strings past the end", { stringLength: 0xffffffff }, /the string section .* ends past/],
    ["no strings", { stringLength: 0 }, /does not begin and end with a NUL/],
    ["strings that do not end", { stringLength: 3 }, /does not begin and end with a NUL/],
    ["a type cut short", { typeLength: 12 }, /ends within type 1/],
  ];
  const builder = new BtfBuilder();
  builder.int("int", 4);
  test.each(cases)("%s", (_name, header, message) => {
    const use = (): number => Btf.parse(builder.bytes(header), { name: "x.o" }).typeCount;
    expect(use).toThrow(message);
    expect(use).toThrow(/^x\.o is not valid BTF: /);
  });

  test("nothing, and less than a header", () => {
    expect(() => Btf.parse(new Uint8Array(0))).toThrow(/0 bytes are fewer than the header's 24/);
    expect(() => Btf.parse(builder.bytes().subarray(0, 23))).toThrow(/fewer than the header/);
  });

  test("a longer header than today's is skipped over", () => {
    const bytes = builder.bytes({ headerLength: 32 });
    const longer = new Uint8Array(bytes.length + 8);
    longer.set(bytes.subarray(0, 24));
    longer.set(bytes.subarray(24), 32);
    expect(Btf.parse(longer).find("int")).toBe(1);
  });
});

describe("types", () => {
  function failing(
    make: (builder: BtfBuilder) => number,
    use: (btf: Btf, id: number) => unknown,
    message: RegExp,
  ): void {
    const builder = new BtfBuilder();
    const id = make(builder);
    const run = (): unknown => use(builder.parse(), id);
    expect(run).toThrow(message);
    expect(run).toThrow(BpfError);
  }
  const codec = (btf: Btf, id: number): unknown => compileCodec(btf, id);

  test("unknown kind", () => {
    failing(
      (b) => b.add(20, "x", 0),
      (btf) => btf.typeCount,
      /type 1 is of kind 20/,
    );
    failing(
      (b) => b.add(0, "x", 0),
      (btf) => btf.typeCount,
      /type 1 is of kind 0/,
    );
  });

  test("more members than there are bytes", () => {
    failing(
      (b) => b.add("struct", "x", 4, [], { vlen: 65535 }),
      (btf) => btf.typeCount,
      /ends within type 1/,
    );
  });

  test.each([4, 8, 12])("a section that ends %i bytes before its last type does", (missing) => {
    const builder = new BtfBuilder();
    builder.int("first", 4);
    builder.int("second", 4);
    expect(() => Btf.parse(builder.bytes({ typeLength: 32 - missing })).typeCount).toThrow(
      expect.objectContaining({ code: "BTF_INVALID", message: expect.stringContaining("ends within type 2") }),
    );
  });

  test("a name or type that is not there", () => {
    failing(
      (b) => b.add("struct", 9999, 4),
      (btf, id) => btf.type(id),
      /string offset 9999/,
    );
    failing(
      (b) => b.add("typedef", "t", 77),
      (btf, id) => btf.type(id),
      /type 1 refers to type 77; there are 2/,
    );
    failing(
      (b) => b.add("typedef", "t", 77),
      (btf, id) => btf.size(id),
      /type 1 refers to type 77/,
    );
    failing((b) => b.struct("s", 4, [["m", 77, 0]]), codec, /type 1 refers to type 77/);
  });

  test("types that are made of themselves", () => {
    failing(
      (b) => b.add("typedef", "t", 1),
      (btf, id) => btf.size(id),
      /refers to itself/,
    );
    failing(
      (b) => b.add("typedef", "t", 1),
      (btf, id) => btf.resolve(id),
      /refers to itself/,
    );
    failing((b) => b.add("typedef", "t", 1), codec, /refers to itself/);
    failing(
      (b) => b.array(1, 1),
      (btf, id) => btf.size(id),
      /refers to itself/,
    );
    failing((b) => b.array(1, 1), codec, /nested too deeply|refers to itself/);
    failing((b) => b.struct("s", 4, [["self", 1, 0]]), codec, /nested too deeply, or contains itself/);
    const pointer = new BtfBuilder();
    pointer.add("ptr", "", 1);
    expect(pointer.parse().describe(1)).toMatch(/\.\.\./);
    expect(pointer.parse().size(1)).toBe(8);
    // What a pointer is tagged with says whose it is: looked for, and not for ever.
    const tagged = new BtfBuilder();
    tagged.add("type_tag", "round", 1);
    tagged.struct("s", 8, [["p", tagged.add("ptr", "", 1), 0]]);
    const btf = tagged.parse();
    const memory = Memory.allocate(8);
    expect(compileCodec(btf, btf.get("s", "struct")).decode(memory, 0)).toEqual({ p: 0n });
  });

  test("an array larger than memory", () => {
    const wide = (b: BtfBuilder): number => {
      const int = b.int("int", 4);
      return b.array(b.array(int, 0xffffffff), 0xffffffff);
    };
    failing(wide, (btf, id) => btf.size(id), /larger than memory/);
    failing(wide, codec, /larger than memory/);
  });

  test("billions of elements that take no room", () => {
    failing((b) => b.array(b.struct("none", 0, []), 0xffffffff), codec, /too many elements that take no room/);
  });

  test("structs that double in width at each level", () => {
    failing(
      (b) => {
        let id = b.struct("s0", 0, []);
        for (let level = 1; level < 40; level++) {
          const inner = id;
          id = b.struct(`s${level}`, 0, [
            ["a", inner, 0],
            ["b", inner, 0],
          ]);
        }
        return id;
      },
      codec,
      /more than 16384 members/,
    );
  });

  test("members outside of their struct", () => {
    const at = (offset: number, bits?: number) => (b: BtfBuilder) => {
      const int = b.int("int", 4);
      return b.struct("s", 4, [bits === undefined ? ["m", int, offset] : ["m", int, offset, bits]]);
    };
    failing(at(8), codec, /struct s: member "m" lies outside of its 4 bytes/);
    failing(at(0xfffff8), codec, /lies outside/);
    failing(at(30, 3), codec, /lies outside/);
    failing(at(0, 33), codec, /lies outside/);
    failing(at(3), codec, /starts within a byte/);
  });

  test("bit-fields of what has no bits", () => {
    failing(
      (b) => b.struct("s", 8, [["m", b.struct("t", 4, []), 0, 4]]),
      codec,
      /bit-field of 4 bits and not an integer/,
    );
    failing((b) => b.struct("s", 8, [["m", b.int("u8", 1), 0, 9]]), codec, /bit-field of 9 bits/);
  });

  test("what is no value", () => {
    failing((b) => b.add("fwd", "later", 0), codec, /struct later: only declared/);
    failing((b) => b.add("func_proto", "", 0), codec, /a func_proto is not a value/);
    failing(() => 0, codec, /void: has no value/);
    failing(
      (b) => b.struct("s", 4, [["f", b.add("func", "f", b.add("func_proto", "", 0)), 0]]),
      codec,
      /a func is not a value/,
    );
  });
});

describe("mutations of valid BTF", { timeout: 60_000 }, () => {
  const original = workshop.rawBtf("hostile", SOURCE);
  const position = fc.nat(original.length - 1);

  test("the original is sound", () => {
    const btf = Btf.parse(original);
    for (const type of btf.types()) btf.describe(type.id);
    compileCodec(btf, btf.get("record", "struct"));
  });

  test("bytes changed", () => {
    const change = fc.tuple(position, fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = original.slice();
        for (const [at, value] of changes) bytes[at] = value;
        exercise(bytes);
      }),
      { numRuns: 150 },
    );
  });

  test("words of the type section replaced, by small numbers above all", () => {
    const words = fc.tuple(
      fc.integer({ min: 6, max: Math.floor(original.length / 4) - 1 }),
      fc.oneof(fc.nat(64), fc.nat(0xffffffff)),
    );
    fc.assert(
      fc.property(fc.array(words, { minLength: 1, maxLength: 6 }), (changes) => {
        const bytes = original.slice();
        const view = new DataView(bytes.buffer);
        for (const [at, value] of changes) view.setUint32(at * 4, value, true);
        exercise(bytes);
      }),
      { numRuns: 150 },
    );
  });

  test("cut short", () => {
    fc.assert(
      fc.property(fc.nat(original.length), (length) => exercise(original.slice(0, length))),
      { numRuns: 200 },
    );
  });

  test("noise behind a valid header", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffffffff), { maxLength: 60 }), (words) => {
        const builder = new BtfBuilder();
        const bytes = new Uint8Array(24 + words.length * 4 + 1);
        bytes.set(builder.bytes({ typeLength: words.length * 4, stringOffset: words.length * 4 }).subarray(0, 24));
        const view = new DataView(bytes.buffer);
        for (const [i, word] of words.entries()) view.setUint32(24 + i * 4, word, true);
        exercise(bytes);
      }),
      { numRuns: 200 },
    );
  });
});
