// Does with objects that were changed at random all that needs no kernel: opens them, reads their variables, inspects them, writes their
// skeletons and headers. Prints how often what came of it; before each change, on stderr, which it is.
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { BpfError, BpfObject, fileBtf } from "ebpf";
import { vmlinuxHeader } from "ebpf/build";
import fc from "fast-check";
import { runCommand } from "../../../../dist/cli/command.js";

const [seed, rounds, ...objects] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "ebpf-mutated-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

// Offsets and sizes in struct Elf64_Ehdr and Elf64_Shdr (elf.h): all that a number can be wrong in.
const HEADER_FIELDS = [
  [4, 1],
  [5, 1],
  [16, 2],
  [18, 2],
  [20, 4],
  [32, 8],
  [40, 8],
  [52, 2],
  [54, 2],
  [56, 2],
  [58, 2],
  [60, 2],
  [62, 2],
];
const SECTION_FIELDS = [
  [0, 4],
  [4, 4],
  [8, 8],
  [16, 8],
  [24, 8],
  [32, 8],
  [40, 4],
  [44, 4],
  [48, 8],
  [56, 8],
];

/** What numbers are set to: small ones, the ends of each width, and what lies close to the old one. */
const number = fc.oneof(
  fc.record({ set: fc.bigInt({ min: 0n, max: 200n }) }),
  fc.record({
    set: fc.constantFrom(0n, 1n, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, (1n << 63n) - 1n),
  }),
  fc.record({ add: fc.bigInt({ min: -9n, max: 9n }) }),
  fc.record({ flip: fc.nat(63) }),
);

const change = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("byte"), at: fc.nat(1 << 24), value: number }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cut"),
      section: fc.nat(63),
      end: fc.boolean(),
      by: fc.integer({ min: -4, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("header"), field: fc.constantFrom(...HEADER_FIELDS), value: number }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("section"),
      section: fc.nat(63),
      field: fc.constantFrom(...SECTION_FIELDS),
      value: number,
    }),
  },
  // Words of what is within a section: types, strings' offsets, lengths, relocations, symbols.
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("word"),
      section: fc.nat(63),
      at: fc.nat(1 << 24),
      size: fc.constantFrom(1, 2, 4, 4, 4, 8),
      value: number,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("fill"), section: fc.nat(63), with: fc.constantFrom(0, 1, 0xff) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("copy"), from: fc.nat(63), section: fc.nat(63) }) },
);
const changes = fc.array(change, { minLength: 1, maxLength: 3 });

/** Sections of an object as it was before any change. */
function sectionsOf(bytes) {
  const start = Number(bytes.readBigUInt64LE(40));
  return Array.from({ length: bytes.readUInt16LE(60) }, (_, i) => {
    const header = start + 64 * i;
    const empty = bytes.readUInt32LE(header + 4) === 8; // SHT_NOBITS
    const [offset, size] = [bytes.readBigUInt64LE(header + 24), bytes.readBigUInt64LE(header + 32)].map(Number);
    return { header, offset, size: empty ? 0 : size };
  });
}

function setNumber(bytes, at, size, value) {
  if (at < 0 || at + size > bytes.length) return;
  let old = 0n;
  for (let i = size - 1; i >= 0; i--) old = (old << 8n) | BigInt(bytes[at + i]);
  const changed =
    value.set ?? (value.add !== undefined ? old + value.add : old ^ (1n << BigInt(value.flip % (size * 8))));
  for (let i = 0, rest = BigInt.asUintN(size * 8, changed); i < size; i++, rest >>= 8n)
    bytes[at + i] = Number(rest & 255n);
}

function mutate(original, list) {
  let bytes = Buffer.from(original);
  const sections = sectionsOf(original);
  const pick = (index) => sections[index % sections.length];
  for (const each of list) {
    const { header, offset, size } = pick(each.section ?? 0);
    if (each.kind === "byte") setNumber(bytes, each.at % original.length, 1, each.value);
    else if (each.kind === "header") setNumber(bytes, ...each.field, each.value);
    else if (each.kind === "section") setNumber(bytes, header + each.field[0], each.field[1], each.value);
    else if (each.kind === "word" && size > 0)
      setNumber(bytes, offset + ((each.at % size) & -Math.min(each.size, 4)), each.size, each.value);
    else if (each.kind === "fill") bytes.fill(each.with, offset, offset + size);
    else if (each.kind === "copy")
      original.copy(
        bytes,
        offset,
        pick(each.from).offset,
        pick(each.from).offset + Math.min(size, pick(each.from).size),
      );
    else if (each.kind === "cut") bytes = bytes.subarray(0, Math.max(0, offset + (each.end ? size : 0) + each.by));
  }
  return bytes;
}

// magic, version 1, no flags, a header of 24 bytes; .BTF.ext has a longer one.
const BTF_HEADER = Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);

/** Of the header, the types, and the strings behind them. */
function btfLength(bytes, at) {
  return 24 + bytes.readUInt32LE(at + 16) + bytes.readUInt32LE(at + 20);
}

/** Reads all that a value has in it. */
const visit = (value) => {
  if (typeof value === "object" && value !== null) for (const key of Object.keys(value)) visit(value[key]);
};

const counts = {};
function attempt(what, action) {
  let outcome = "ok";
  let result;
  try {
    result = action();
  } catch (error) {
    if (!(error instanceof BpfError) || error.message === "") throw error;
    outcome = error.code;
  }
  counts[`${what}: ${outcome}`] = (counts[`${what}: ${outcome}`] ?? 0) + 1;
  return result;
}

async function command(...args) {
  let stderr = "";
  const ignored = { write: () => {} };
  const status = await runCommand(args, { stdout: ignored, stderr: { write: (text) => (stderr += text) } });
  if (status === 0 ? stderr !== "" : !/^ebpf: .+\n$/s.test(stderr) || /\n\s+at /.test(stderr))
    throw new Error(`ebpf ${args.join(" ")}: status ${status}, ${stderr}`);
  counts[`${args[0]}: ${status}`] = (counts[`${args[0]}: ${status}`] ?? 0) + 1;
}

for (const object of objects) {
  const original = readFileSync(object);
  const path = join(folder, basename(object));
  for (const list of fc.sample(changes, { seed: Number(seed), numRuns: Number(rounds) })) {
    // At once, so that it is there when what follows does not return.
    writeSync(2, `${basename(object)} ${fc.stringify(list)}\n`);
    const bytes = mutate(original, list);
    const opened = attempt("open", () => BpfObject.open(bytes));
    const own = opened && attempt("btf", () => opened.btf);
    if (opened !== undefined) {
      for (const map of Object.values(opened.maps))
        attempt("map", () => visit([map.type, map.maxEntries, map.keySize]));
      for (const program of Object.values(opened.programs))
        attempt("program", () => visit([program.type, program.section]));
      for (const section of [".bss", ".data", ".rodata", ".kconfig", ".data.config"])
        attempt("section", () => visit(opened.section(section)));
      opened.close();
    }
    writeFileSync(path, bytes);
    // BTF as a file of its own, wrong in the same places.
    const raw = `${path}.btf`;
    const at = original.indexOf(BTF_HEADER);
    writeFileSync(raw, bytes.subarray(at, at + btfLength(original, at)));
    for (const btf of [attempt("raw", () => fileBtf(raw)), own]) {
      if (btf === undefined) continue;
      attempt("types", () => {
        for (const { id } of btf.types()) attempt("type", () => [btf.describe(id), btf.name(id), btf.resolve(id)]);
      });
      attempt("checked", () => btf.check());
    }
    attempt("header of raw", () => vmlinuxHeader(raw));
    attempt("header", () => vmlinuxHeader(path));
    await command("inspect", path);
    await command("inspect", "--json", path);
    await command("gen", "-o", "-", path);
  }
}
console.log(JSON.stringify(counts));
