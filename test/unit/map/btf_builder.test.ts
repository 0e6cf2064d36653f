import { expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import { BtfBuilder } from "../../../lib/map/btf_builder.js";
import { cType, resolveType } from "../../../lib/map/c_type.js";

test("what is built is BTF, and says what was asked for", () => {
  const builder = new BtfBuilder();
  const number = builder.integer("__u32", 4, false);
  const bytes = builder.array(builder.integer("unsigned char", 1, false), 6);
  const struct = builder.struct("pair", 12, [
    ["number", number],
    ["bytes", bytes, 4],
  ]);
  const btf = Btf.parse(builder.bytes());
  expect(btf.type(struct)).toMatchObject({ kind: "struct", name: "pair", size: 12 });
  expect(btf.type(struct)).toMatchObject({
    members: [
      { name: "number", bitOffset: 0 },
      { name: "bytes", bitOffset: 32 },
    ],
  });
  expect(btf.size(bytes)).toBe(6);
});

test("a copy of a copy is the same BTF", () => {
  const first = new BtfBuilder();
  first.struct("outer", 24, [
    ["id", first.integer("__s64", 8, true)],
    ["name", first.array(first.integer("char", 1, true), 16), 8],
  ]);
  const btf = Btf.parse(first.bytes());
  const second = new BtfBuilder();
  const copied = second.copy(btf, btf.get("outer"));
  const again = Btf.parse(second.bytes());
  const names = (of: Btf, id: number) => {
    const type = of.type(id);
    return type.kind === "struct"
      ? type.members.map(({ name, type: member, bitOffset }) => [name, of.describe(member), bitOffset])
      : [];
  };
  expect(names(again, copied)).toEqual(names(btf, btf.get("outer")));
  expect(again.size(copied)).toBe(24);
});

test.each([
  ["u8", 1],
  ["s64", 8],
  ["char[5]", 5],
  ["ipv4", 8],
  ["ipv6", 20],
  [7, 7],
])("%s takes %i bytes, in BTF too", (spec, size) => {
  const resolved = resolveType("createMap", "key", spec);
  const builder = new BtfBuilder();
  const id = resolved.describe(builder);
  expect(resolved.size).toBe(size);
  expect(Btf.parse(builder.bytes()).size(id)).toBe(size);
  expect(resolved.type("x").codec.size).toBe(size);
});

test.each([undefined, null, "u24", "char[]", "char[0]", -1, 1.5, {}])("%j is no type", (spec) => {
  expect(() => resolveType("createMap", "value", spec)).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
});

test("a C type is found by its name, with or without its kind", () => {
  const builder = new BtfBuilder();
  builder.struct("flow", 4, [["port", builder.integer("__u32", 4, false)]]);
  const btf = Btf.parse(builder.bytes());
  expect(cType("struct flow", btf).typeId).toBe(cType("flow", btf).typeId);
  expect(() => cType("union flow", btf)).toThrowError(expect.objectContaining({ code: "BTF_NOT_FOUND" }));
});
