import { describe, expect, test } from "vitest";
import {
  readBigBits,
  readBits,
  readSignedBits,
  readWide,
  writeBigBits,
  writeBits,
  writeWide,
} from "../../../lib/codec/bits.js";
import { Memory } from "../../../lib/codec/memory.js";
import { readText } from "../../../lib/codec/strings.js";
import { textReader } from "../../../lib/codec/text_cache.js";
import { random } from "./support/c_types.js";

describe("memory", () => {
  test("is one stretch of a buffer under all its views", () => {
    const buffer = new ArrayBuffer(32);
    const memory = new Memory(buffer, 8, 17);
    memory.bytes.fill(0xff);
    expect(new Uint8Array(buffer)).toEqual(Uint8Array.from({ length: 32 }, (_, i) => (i >= 8 && i < 25 ? 0xff : 0)));
    expect(memory.u64).toEqual(BigUint64Array.of(2n ** 64n - 1n, 2n ** 64n - 1n));
    expect(memory.u32).toHaveLength(4);
    expect(memory.view.byteLength).toBe(17);
    expect(memory.text.byteLength).toBe(17);
  });

  test("must be aligned and inside", () => {
    const buffer = new ArrayBuffer(32);
    expect(() => new Memory(buffer, 4)).toThrow(/must lie inside, start at a multiple of 8/);
    expect(() => new Memory(buffer, 8, 25)).toThrow(/must lie inside/);
    expect(() => new Memory(buffer, 40)).toThrow(/must lie inside/);
  });

  test("copies bytes from any address", () => {
    const bytes = Uint8Array.of(9, 1, 2, 3).subarray(1);
    const memory = Memory.copyOf(bytes);
    expect(memory.bytes).toEqual(bytes);
    memory.bytes[0] = 7;
    expect(bytes[0]).toBe(1);
  });
});

describe("text that repeats", () => {
  // 6,000 strings over 4,096 slots: some share a slot, and its neighbour. Twice over, with other bytes after the NUL each time.
  test.each([4, 8, 12, 16, 20, 32, 64, 17, 80])("char[%i] reads as without the table", (size) => {
    const next = random(size);
    const read = textReader(size);
    const memory = Memory.allocate(size * 2 + 8);
    const texts = Array.from({ length: 6000 }, () => {
      const length = next(size + 1);
      return Buffer.from(Array.from({ length }, () => (next(10) === 0 ? 0x80 + next(128) : 1 + next(127))));
    });
    for (let pass = 0; pass < 3; pass++) {
      for (const text of texts) {
        for (let i = 0; i < memory.byteLength; i++) memory.bytes[i] = pass === 0 ? 0 : next(256);
        const offset = pass === 2 ? 4 : 0;
        memory.bytes.set(text, offset);
        if (text.length < size) memory.bytes[offset + text.length] = 0;
        expect(read(memory, offset)).toBe(text.toString("utf8"));
        expect(readText(memory, offset, size)).toBe(text.toString("utf8"));
      }
    }
  });

  // 12,000 strings that are alike but for one word: those that share a slot differ in nothing else.
  test.each([8, 16, 32, 64])("char[%i] is told from one that differs in any one of its words", (size) => {
    const read = textReader(size);
    const memory = Memory.allocate(size);
    const wrong: string[] = [];
    for (let word = 0; word < size / 4; word++) {
      for (let i = 0; i < 12_000; i++) {
        const text = Buffer.alloc(size, "x");
        text.write(i.toString(36).padStart(4, "0"), 4 * word, "latin1");
        memory.bytes.set(text);
        // Not expect() for each of 192,000.
        if (read(memory, 0) !== text.toString("latin1")) wrong.push(`${text.toString("latin1")} at word ${word}`);
      }
      expect(wrong).toEqual([]);
      // The same up to there, and no more.
      const start = Buffer.alloc(4 * word, "x").toString();
      memory.bytes.fill(0, 4 * word);
      expect(read(memory, 0)).toBe(start);
    }
  });

  test("a string that repeats is the same string", () => {
    const read = textReader(16);
    const memory = Memory.allocate(32);
    memory.bytes.set(Buffer.from("node"));
    memory.bytes.set(Buffer.from("node\0rubbish"), 16);
    expect(read(memory, 0)).toBe("node");
    expect(read(memory, 16)).toBe("node");
  });
});

/** Bits as a string, first bit first, as the machine of that byte order numbers them. */
function bitString(bytes: Uint8Array, little: boolean): string {
  const each = [...bytes].map((byte) => byte.toString(2).padStart(8, "0"));
  return (little ? each.map((bits) => [...bits].reverse().join("")) : each).join("");
}

describe.each([true, false])("bit-fields, little-endian: %s", (little) => {
  test("hold what is written and leave what is around them", () => {
    const next = random(7);
    for (let round = 0; round < 3000; round++) {
      const size = 1 + next(64);
      const offset = next(3);
      const at = next(20);
      const bytes = Uint8Array.from({ length: 16 }, () => next(256));
      const before = bitString(bytes.subarray(offset), little);
      const value = BigInt.asUintN(size, (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32)));
      writeBigBits(bytes, offset, at, size, value, little);
      const after = bitString(bytes.subarray(offset), little);
      const digits = value.toString(2).padStart(size, "0");
      expect(after).toBe(
        before.slice(0, at) + (little ? [...digits].reverse().join("") : digits) + before.slice(at + size),
      );
      expect(readBigBits(bytes, offset, at, size, false, little)).toBe(value);
      expect(readBigBits(bytes, offset, at, size, true, little)).toBe(BigInt.asIntN(size, value));
      if (size > 32) continue;
      expect(readBits(bytes, offset, at, size, little)).toBe(Number(value));
      expect(readSignedBits(bytes, offset, at, size, little)).toBe(Number(BigInt.asIntN(size, value)));
      const again = bytes.slice();
      writeBits(again, offset, at, size, Number(BigInt.asIntN(size, value)), little);
      expect(again).toEqual(bytes);
    }
  });

  test("128 bits", () => {
    const view = new DataView(new ArrayBuffer(24));
    const value = -0x0123456789abcdef0011223344556677n;
    writeWide(view, 3, value, little);
    expect(readWide(view, 3, true, little)).toBe(value);
    expect(readWide(view, 3, false, little)).toBe(BigInt.asUintN(128, value));
    expect(view.getUint8(little ? 3 : 18)).toBe(Number(BigInt.asUintN(8, value)));
  });
});
