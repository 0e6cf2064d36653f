import { expect, test } from "vitest";
import { compileLoop } from "../../../lib/codec/loop.js";
import { BtfBuilder } from "../btf/support/builder.js";

test("each loop is a text of its own: V8 keeps the feedback of one text once, and two streams would share it", () => {
  const builder = new BtfBuilder();
  const u32 = builder.int("unsigned int", 4);
  const type = builder.struct("pair", 8, [
    ["a", u32, 0],
    ["b", u32, 32],
  ]);
  const btf = builder.parse();
  expect(String(compileLoop(btf, type, "pair"))).not.toBe(String(compileLoop(btf, type, "pair")));
});
