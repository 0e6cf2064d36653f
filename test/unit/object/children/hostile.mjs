// Opens an object again and again with words of its .BTF changed, and does with it what needs no kernel. Prints how often what came of it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfError, BpfObject } from "ebpf";
import { vmlinuxHeader } from "ebpf/build";
import { xorshift } from "../../support/xorshift.mjs";

const [object, seed, rounds] = process.argv.slice(2);
const original = readFileSync(object);
// magic, version 1, no flags, a header of 24 bytes; .BTF.ext has a longer one.
const start = original.indexOf(Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]));
if (start < 0) throw new Error(`${object} has no .BTF`);
const words = original.readUInt32LE(start + 12) / 4;

const random = xorshift(seed);

const folder = mkdtempSync(join(tmpdir(), "ebpf-hostile-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const counts = {};
const attempt = (what, action) => {
  let outcome = "ok";
  let result;
  try {
    result = action();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    outcome = error.code;
  }
  counts[`${what}: ${outcome}`] = (counts[`${what}: ${outcome}`] ?? 0) + 1;
  return result;
};

/** Reads all that a value has in it. */
const visit = (value) => {
  if (typeof value === "object" && value !== null) for (const key of Object.keys(value)) visit(value[key]);
};

for (let round = 0; round < Number(rounds); round++) {
  const bytes = Buffer.from(original);
  const changes = [];
  for (let left = 1 + (random() % 3); left > 0; left--) {
    const at = start + 24 + 4 * (random() % words);
    const old = bytes.readUInt32LE(at);
    // A small number, which is another type or string; one bit; a neighbour.
    const value = [random() % 110, old ^ (1 << (random() % 32)), old + (random() % 5) - 2][random() % 3] >>> 0;
    bytes.writeUInt32LE(value, at);
    changes.push(`${at}=${value}`);
  }
  // At once, so that it is there when what follows does not return.
  writeSync(2, `${changes.join(" ")}\n`);
  const opened = attempt("open", () => BpfObject.open(bytes));
  if (opened === undefined) continue;
  for (const map of Object.values(opened.maps)) attempt("map", () => visit([map.type, map.maxEntries, map.keySize]));
  for (const section of [".bss", ".data", ".rodata", ".kconfig"])
    attempt("section", () => visit(opened.section(section)));
  opened.close();
  const path = join(folder, "object.bpf.o");
  writeFileSync(path, bytes);
  attempt("header", () => vmlinuxHeader(path));
}
console.log(JSON.stringify(counts));
