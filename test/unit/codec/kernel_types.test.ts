import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { kernelBtf } from "../../../lib/btf/sources.js";
import { shapeCodec } from "../../../lib/codec/codec.js";
import { Memory } from "../../../lib/codec/memory.js";
import { shapeReader } from "../../../lib/codec/reader.js";
import { shapeOf } from "../../../lib/codec/shape.js";
import { vmlinux } from "../btf/support/tools.js";
import { random } from "./support/c_types.js";

const missing = existsSync(vmlinux) ? "" : ` (skipped: this kernel has no ${vmlinux})`;

/** Structs larger than this say nothing new and take long. */
const MAX_SIZE = 4096;

test.skipIf(missing !== "")(
  `the kernel's structs and unions: generated and closures agree, both ways${missing}`,
  { timeout: 120_000 },
  () => {
    const btf = kernelBtf();
    const next = random(1);
    let codecs = 0;
    for (const type of btf.types()) {
      if ((type.kind !== "struct" && type.kind !== "union") || type.size > MAX_SIZE) continue;
      const shape = shapeOf(btf, type.id);
      expect(shape.size).toBe(type.size);
      // Every one has a shape; every tenth is enough to be compiled.
      if (type.id % 10 !== 0) continue;
      const text = btf.describe(type.id);
      const generated = shapeCodec(shape, text, text, true);
      const closures = shapeCodec(shape, text, text, false);
      const memory = Memory.allocate(type.size + 8);
      // Below 0x80: what is not UTF-8 does not come back as it was.
      for (let i = 0; i < memory.byteLength; i++) memory.bytes[i] = next(128);
      const decoded = generated.decode(memory, 0);
      expect(closures.decode(memory, 0), text).toEqual(decoded);
      expect(shapeReader(shape, text, true)(memory).at(0), text).toEqual(decoded);
      const [one, other] = [Memory.allocate(type.size), Memory.allocate(type.size)];
      generated.encode(one, 0, decoded);
      closures.encode(other, 0, decoded);
      expect(one.bytes, text).toEqual(other.bytes);
      expect(generated.decode(one, 0), text).toEqual(decoded);
      codecs++;
    }
    expect(codecs).toBeGreaterThan(500);
  },
);
