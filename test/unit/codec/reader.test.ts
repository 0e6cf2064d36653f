import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Btf } from "../../../lib/btf/btf.js";
import { compileCodec } from "../../../lib/codec/codec.js";
import { type Column, column, gather } from "../../../lib/codec/column.js";
import { Memory } from "../../../lib/codec/memory.js";
import { compileReader, shapeReader } from "../../../lib/codec/reader.js";
import { shapeOf } from "../../../lib/codec/shape.js";
import { BtfBuilder } from "../btf/support/builder.js";
import { Workshop } from "../btf/support/tools.js";

const SOURCE = `
typedef unsigned short __be16; typedef unsigned long long __be64; typedef unsigned int __be32;
enum state { OFF = -1, ON };
struct event {
  unsigned long long ts; unsigned int pid; int retval; char comm[16]; __be16 port; signed char level; unsigned char byte; _Bool ok; short half;
  float ratio; double exact; void *where; enum state state; unsigned int low : 3; __be64 big; __be32 mid; __int128 huge; long long delta;
  struct { unsigned int a; union { unsigned int b; unsigned short c; }; } in; union { unsigned int word; unsigned char raw[4]; } u;
  unsigned int list[3];
};
struct text { unsigned int len; char data[]; };
struct event keep; struct text *text;
`;

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
let btf: Btf;
let event: number;
beforeAll(() => {
  btf = workshop.btf("reader", SOURCE);
  event = btf.get("event", "struct");
});

interface Event {
  ts: bigint;
  pid: number;
  comm: string;
  in: { a: number; b: number };
  u: { word: number; raw: Uint8Array };
  list: number[];
}

/** Memory of records whose bytes all differ. */
function filled(size: number): Memory {
  const memory = Memory.allocate(size);
  // Below 0x80, so that text is text; bytes of bool and float may be anything.
  for (let i = 0; i < size; i++) memory.bytes[i] = (i * 37 + (i >> 5)) & 0x7f;
  return memory;
}

describe.each([true, false])("a reader, generated: %s", (generate) => {
  test("reads what the codec decodes, wherever the record is", () => {
    const codec = compileCodec(btf, event);
    const memory = filled(codec.size * 3 + 16);
    const reader = shapeReader(shapeOf(btf, event), "event", generate)(memory);
    for (const offset of [0, codec.size, 8, 4, 1, 0])
      expect(reader.at(offset), `${offset}`).toEqual(codec.decode(memory, offset));
  });

  test("is one object that moves", () => {
    const { size } = compileCodec(btf, event);
    const memory = filled(size * 2);
    const reader = shapeReader(shapeOf(btf, event), "event", generate)(memory);
    const first = reader.at(0) as Event;
    const { ts, in: inner } = first;
    const a = inner.a;
    expect(reader.at(size)).toBe(first);
    expect(first.ts).not.toBe(ts);
    expect(first.in).toBe(inner);
    expect(inner.a).not.toBe(a);
    memory.u32[(size + 8) / 4] = 4711;
    expect(first.pid).toBe(4711);
    expect({ ...first }.pid).toBe(4711);
  });

  test("has the flexible end of the record it is at", () => {
    const memory = Memory.allocate(32);
    memory.bytes.set(Buffer.from("hello world"), 4);
    const reader = shapeReader(shapeOf(btf, btf.get("text", "struct")), "text", generate)(memory);
    expect((reader.at(0, 9) as { data: string }).data).toBe("hello");
    expect((reader.at(0, 32) as { data: string }).data).toBe("hello world");
    expect((reader.at(0) as { data: string }).data).toBe("");
  });

  test("refuses records that are not there", () => {
    const { size } = compileCodec(btf, event);
    const reader = shapeReader(shapeOf(btf, event), "event", generate)(filled(size));
    expect(() => reader.at(8)).toThrow(`event: needs ${size} bytes, there are ${size - 8}`);
    expect(() => reader.at(0, size - 1)).toThrow(`event: needs ${size} bytes, there are ${size - 1}`);
  });

  test("gives plain values as they are", () => {
    const builder = new BtfBuilder();
    const u32 = builder.int("u32", 4);
    const memory = filled(8);
    const reader = shapeReader(shapeOf(builder.parse(), u32), "u32", generate)(memory);
    expect(reader.at(4)).toBe(memory.u32[1]);
  });

  test("takes any names", () => {
    const builder = new BtfBuilder();
    const u32 = builder.int("u32", 4);
    const inner = builder.struct("inner", 4, [["__proto__", u32, 0]]);
    const names = ["__proto__", "constructor", 'x"(){}}', "cursor"];
    const id = builder.struct("outer", 20, [
      ...names.map((name, i): [string, number, number] => [name, u32, i * 32]),
      ["nested", inner, 128],
    ]);
    const memory = filled(24);
    const record = shapeReader(shapeOf(builder.parse(), id), "outer", generate)(memory).at(0) as Record<
      string,
      unknown
    >;
    expect(Object.keys(record)).toEqual([...names, "nested"]);
    for (const [i, name] of names.entries()) expect(record[name], name).toBe(memory.u32[i]);
    expect(Object.entries(record["nested"] as object)).toEqual([["__proto__", memory.u32[4]]]);
  });
});

test("a reader is typed by what its maker says", () => {
  const memory = filled(256);
  const record = compileReader<Event>(btf, event)(memory).at(0);
  const pid: number = record.pid;
  expect(pid).toBe(memory.u32[2]);
});

describe("columns", () => {
  const cases: [string, Column["array"], boolean][] = [
    ["ts", "BigUint64Array", false],
    ["pid", "Uint32Array", false],
    ["retval", "Int32Array", false],
    ["port", "Uint16Array", true],
    ["level", "Int8Array", false],
    ["byte", "Uint8Array", false],
    ["half", "Int16Array", false],
    ["ratio", "Float32Array", false],
    ["exact", "Float64Array", false],
    ["where", "BigUint64Array", false],
    ["state", "Int32Array", false],
    ["big", "BigUint64Array", true],
    ["mid", "Uint32Array", true],
    ["delta", "BigInt64Array", false],
    ["in.a", "Uint32Array", false],
    ["in.c", "Uint16Array", false],
    ["u.word", "Uint32Array", false],
  ];

  test.each(cases)("%s is a %s", (field, array, swapped) => {
    const codec = compileCodec(btf, event);
    const memory = filled(codec.size * 9 + 16);
    const found = column(btf, event, field);
    expect(found).toMatchObject({ array, swapped });
    for (const [start, stride] of [
      [0, codec.size],
      [8, codec.size + 8],
      [1, codec.size],
      [0, codec.size + 1],
    ] as const) {
      const values = gather(found, memory, start, stride, 7);
      expect(values.constructor.name).toBe(array);
      const expected = Array.from({ length: 7 }, (_, i) =>
        field
          .split(".")
          .reduce(
            (value: unknown, name) => (value as Record<string, unknown>)[name],
            codec.decode(memory, start + i * stride),
          ),
      );
      expect([...values]).toEqual(expected);
    }
  });

  test("booleans are 0 and what else the byte says", () => {
    const { size } = compileCodec(btf, event);
    const memory = Memory.allocate(size * 2);
    const found = column(btf, event, "ok");
    memory.bytes[found.offset + size] = 1;
    expect(gather(found, memory, 0, size, 2)).toEqual(Uint8Array.of(0, 1));
  });

  test("fill an array that is given", () => {
    const { size } = compileCodec(btf, event);
    const memory = filled(size * 4);
    const found = column(btf, event, "pid");
    const into = new Uint32Array(6);
    expect(gather(found, memory, 0, size, 4, into)).toBe(into);
    expect([...into].slice(4)).toEqual([0, 0]);
    expect(() => gather(found, memory, 0, size, 4, new Uint32Array(3))).toThrow(
      "a column of 4 goes into a Uint32Array of as many elements, not a Uint32Array of 3",
    );
    expect(() => gather(found, memory, 0, size, 4, new Int32Array(4))).toThrow(/not a Int32Array of 4/);
    expect(() => gather(found, memory, 0, size, 5)).toThrow(/end past the \d+ bytes there are/);
    expect(gather(found, memory, 0, size, 0)).toHaveLength(0);
  });

  test("are refused for what no typed array holds", () => {
    expect(() => column(btf, event, "comm")).toThrow('"comm" of struct event is a chars, which no typed array holds');
    expect(() => column(btf, event, "low")).toThrow('"low" of struct event is a bit-field');
    expect(() => column(btf, event, "huge")).toThrow('"huge" of struct event is 128 bits wide');
    expect(() => column(btf, event, "list")).toThrow('"list" of struct event is an array');
    expect(() => column(btf, event, "in")).toThrow('"in" of struct event is a record');
    expect(() => column(btf, event, "pd")).toThrow('struct event has no member "pd" (did you mean "pid"?)');
    expect(() => column(btf, event, "pid.x")).toThrow('struct event has no member "pid.x"');
    expect(() => column(btf, event, "low.x")).toThrow(/has no member "low.x"/);
  });
});
