import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Where bytes are read or written at offsets. What a program in the kernel writes is decoded by its BTF, in lib/codec, and nowhere by hand:
 * whoever reads bytes by offsets reads another format than C structs, and says which.
 * @type {Readonly<Record<string, string>>}
 */
export const READERS_OF_BYTES = {
  "lib/btf/byte_order.ts": "BTF itself, of another machine's byte order",
  "lib/btf/sections.ts": "the header of BTF itself",
  "lib/cli/core_relocations.ts": "the header of .BTF.ext",
  "lib/cli/instructions.ts": "BPF instructions",
  "lib/codec/": "the engine: from a BTF type to the code that decodes and encodes it",
  "lib/kernel/layout.ts":
    "structs of bpf(2), perf_event_open(2) and prog_info, which grow with the kernel and are versioned by their size",
  "lib/kernel/netlink.ts": "netlink messages",
  "lib/map/btf_builder.ts": "BTF that is made for a map",
  "lib/map/prefix.ts": "the length of a prefix, in front of an address that has no struct of its own",
  "lib/program/attach/elf_functions.ts": "symbols in ELF files of user space",
  "lib/program/attach/iter.ts": "union bpf_iter_link_info, of bpf(2)",
  "lib/program/attach/library.ts": "the cache of ld.so",
  "bench/ring/small_records.mjs": "what is measured against: decoding by hand",
  "test/kernel/attach/sock.test.ts": "noise, that packets are filled with",
  "test/kernel/events/batch.test.ts": "a record's own bytes, held against what it was decoded to",
  "test/kernel/events/payload.test.ts": "a record that is to be sent as bytes of any length",
  "test/kernel/events/user_ring.test.ts": "a record that is changed in place, byte by byte",
  "test/kernel/maps/keyed.test.ts": "a value's own bytes, held against what it is decoded to",
};

const FOLDERS = ["lib", "examples", "test/kernel", "bench"];
const OFFSETS = [
  /\bnew DataView\b/,
  /\.(?:read|write)(?:U?Int|BigU?Int|Float|Double)\d*(?:LE|BE)\(/,
  /\.(?:get|set)(?:Big)?(?:Uint|Int)(?:8|16|32|64)\(/,
  /\bnew (?:Big)?(?:Uint|Int|Float)(?:16|32|64)Array\([^)]*\.buffer\b/,
];

/**
 * @param {string} root  the project's folder
 * @param {Readonly<Record<string, string>>} allowed
 * @returns {string[]} one line per place that is not allowed, or allowed and not there
 */
export function decodingProblems(root, allowed = READERS_OF_BYTES) {
  const unused = new Set(Object.keys(allowed));
  /** @type {string[]} */
  const problems = [];
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort()) {
      const file = join(folder, name);
      if (!/\.(ts|mjs)$/.test(file)) continue;
      const lines = readFileSync(join(root, file), "utf8").split("\n");
      const at = lines.findIndex((line) => OFFSETS.some((pattern) => pattern.test(line)));
      if (at === -1) continue;
      const reason = Object.keys(allowed).find(
        (prefix) => file === prefix || (prefix.endsWith("/") && file.startsWith(prefix)),
      );
      if (reason !== undefined) unused.delete(reason);
      else
        problems.push(
          `${file}:${at + 1}: bytes at offsets, decoded by hand; let the BTF type do it, or say in scripts/lint/decoding.mjs which format it is`,
        );
    }
  }
  for (const path of unused)
    problems.push(`scripts/lint/decoding.mjs: ${path} is allowed to read bytes by offsets, and does not`);
  return problems;
}
