import { expect, test } from "vitest";
import { compileCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { compileReader } from "../../../lib/codec/reader.js";
import { oneValue } from "../../../lib/map/value_layout.js";
import { BtfBuilder } from "../btf/support/builder.js";

test("members of the names that JavaScript has a use for are a target's own, and change nothing else", () => {
  const builder = new BtfBuilder();
  const int = builder.int("__u32", 4);
  const inner = builder.struct("inner", 4, [["polluted", int, 0]]);
  const outer = builder.struct("outer", 12, [
    ["__proto__", inner, 0],
    ["constructor", inner, 32],
    ["toString", int, 64],
  ]);
  const btf = builder.parse();
  const layout = oneValue({ codec: compileCodec(btf, outer), reader: compileReader(btf, outer), label: "outer" });
  const memory = Memory.allocate(12);
  memory.bytes.set([1, 0, 0, 0, 2, 0, 0, 0, 3]);

  const inherited = { constructor: { polluted: 0 } };
  for (const target of [{}, Object.create(inherited) as object]) {
    layout.assign(memory, target);
    layout.assign(memory, target);
    expect(Object.entries(target)).toEqual([
      ["__proto__", { polluted: 1 }],
      ["constructor", { polluted: 2 }],
      ["toString", 3],
    ]);
  }
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  expect(inherited).toEqual({ constructor: { polluted: 0 } });
});
