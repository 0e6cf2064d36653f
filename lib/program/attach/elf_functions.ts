/** The functions that an ELF file of user space names: for wildcards, and for saying what was meant. libbpf finds their places. */
import { closeSync, openSync, readSync, statSync } from "node:fs";

const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;

let last: { readonly path: string; readonly stamp: string; readonly names: ReadonlyMap<string, bigint> } | undefined;

/** Names of defined functions, with their addresses; empty for what is no ELF file. Aliases of one function are all there. */
export function elfFunctions(path: string): ReadonlyMap<string, bigint> {
  const { size, mtimeMs, ino } = statSync(path);
  const stamp = `${size} ${mtimeMs} ${ino}`;
  if (last?.path !== path || last.stamp !== stamp) last = { path, stamp, names: readFunctions(path) };
  return last.names;
}

function readFunctions(path: string): Map<string, bigint> {
  const names = new Map<string, bigint>();
  const fd = openSync(path, "r");
  try {
    const read = (offset: bigint, size: number): DataView => {
      const bytes = new Uint8Array(size);
      const got = readSync(fd, bytes, 0, size, offset);
      return new DataView(bytes.buffer, 0, got);
    };
    const header = read(0n, 64);
    if (header.byteLength < 64 || header.getUint32(0) !== 0x7f454c46 || header.getUint8(4) !== 2) return names;
    const little = header.getUint8(5) === 1;
    const sectionSize = header.getUint16(58, little);
    const sectionCount = header.getUint16(60, little);
    const sections = read(header.getBigUint64(40, little), sectionSize * sectionCount);
    const section = (i: number) => {
      const at = i * sectionSize;
      if (at + 64 > sections.byteLength) return undefined;
      return {
        type: sections.getUint32(at + 4, little),
        offset: sections.getBigUint64(at + 24, little),
        size: Number(sections.getBigUint64(at + 32, little)),
        link: sections.getUint32(at + 40, little),
      };
    };
    for (let i = 0; i < sectionCount; i++) {
      const table = section(i);
      if (table === undefined || (table.type !== SHT_SYMTAB && table.type !== SHT_DYNSYM)) continue;
      const strings = section(table.link);
      if (strings === undefined) continue;
      const symbols = read(table.offset, table.size);
      const text = Buffer.from(read(strings.offset, strings.size).buffer);
      for (let at = 0; at + 24 <= symbols.byteLength; at += 24) {
        const type = symbols.getUint8(at + 4) & 15;
        // Section 0: defined elsewhere.
        if ((type !== STT_FUNC && type !== STT_GNU_IFUNC) || symbols.getUint16(at + 6, little) === 0) continue;
        const start = symbols.getUint32(at, little);
        const end = text.indexOf(0, start);
        const name = text.toString("latin1", start, end < 0 ? undefined : end);
        if (name !== "" && !names.has(name)) names.set(name, symbols.getBigUint64(at + 8, little));
      }
    }
  } catch {
    // A damaged file has no functions; libbpf says what is wrong with it.
  } finally {
    closeSync(fd);
  }
  return names;
}
