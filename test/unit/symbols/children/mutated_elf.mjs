// Reads an ELF file again and again with bytes of it changed, and looks for functions in it. Prints how often what came of it.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ElfFile } from "../../../../dist/symbols/elf_file.js";
import { xorshift } from "../../support/xorshift.mjs";

const [seed, rounds, file] = process.argv.slice(2);
const original = readFileSync(file);
const sections = Number(original.readBigUInt64LE(40));

const random = xorshift(seed);

/** Where it is most worth it. */
const places = {
  header: () => random() % 64,
  segments: () => 64 + (random() % (56 * original.readUInt16LE(56))),
  sections: () => sections + (random() % (original.length - sections)),
  tables: () => {
    const at = sections + 64 * (random() % original.readUInt16LE(60));
    const size = Number(original.readBigUInt64LE(at + 32));
    return Number(original.readBigUInt64LE(at + 24)) + (size === 0 ? 0 : random() % size);
  },
};

const folder = mkdtempSync(join(tmpdir(), "ebpf-mutated-elf-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const changed = join(folder, "changed");
const counts = { not_elf: 0, named: 0, unnamed: 0 };

for (let round = 0; round < Number(rounds); round++) {
  let bytes = Buffer.from(original);
  const changes = [];
  for (let left = 1 + (random() % 4); left > 0; left--) {
    const [name, place] = Object.entries(places)[random() % 4];
    const at = Math.min(place(), bytes.length - 8);
    const old = bytes.readUInt32LE(at);
    const value =
      [random() % 110, old ^ (1 << (random() % 32)), old + (random() % 5) - 2, random(), 0xffffffff][random() % 5] >>>
      0;
    bytes.writeUInt32LE(value, at);
    changes.push(`${name} ${at}=${value}`);
  }
  if (random() % 8 === 0) {
    bytes = bytes.subarray(0, random() % bytes.length);
    changes.push(`length ${bytes.length}`);
  }
  // At once, so that it is there when what follows does not return.
  writeSync(2, `${changes.join(", ")}\n`);
  writeFileSync(changed, bytes);
  const fd = openSync(changed, "r");
  const elf = ElfFile.read(fd);
  closeSync(fd);
  if (elf === undefined) {
    counts.not_elf++;
    continue;
  }
  for (let look = 0; look < 20; look++) {
    const offset = [
      BigInt(random() % original.length),
      BigInt(random()) << BigInt(random() % 33),
      0x1000n + BigInt(random() % 0x400),
    ][random() % 3];
    const found = elf.find(offset);
    if (found !== undefined && (typeof found.name !== "string" || !(found.offset >= 0)))
      throw new Error(`${offset}: ${found.offset}`);
    counts[found === undefined ? "unnamed" : "named"]++;
  }
}
console.log(JSON.stringify(counts));
