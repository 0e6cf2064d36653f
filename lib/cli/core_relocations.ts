/** How much of an object is relocated to the running kernel: the CO-RE records of .BTF.ext (Documentation/bpf/btf.rst). */
import { endianness } from "node:os";
import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";

export interface CoreRelocations {
  readonly total: number;
  /** By ELF section of programs. */
  readonly bySection: Readonly<Record<string, number>>;
  /** By the kernel type that is looked at, most first. */
  readonly byType: Readonly<Record<string, number>>;
}

/** struct btf_ext_header: magic, version and flags, hdr_len, then offset and length of func_info, line_info and core_relo. */
const CORE_RELO_OFFSET = 24;
const CORE_RELO_LENGTH = 28;
/** Objects are built for the machine's own byte order, and libbpf has read this one. */
const LITTLE_ENDIAN = endianness() === "LE";

/** Those of an object's .BTF.ext. `btf` is that of the same object: types and names are its. @throws BpfError BTF_INVALID */
export function parseCoreRelocations(bytes: Uint8Array, btf: Btf): CoreRelocations {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number) => {
    if (offset < 0 || offset + 4 > bytes.byteLength)
      throw new BpfError({ code: "BTF_INVALID", message: ".BTF.ext is truncated" });
    return view.getUint32(offset, LITTLE_ENDIAN);
  };
  const bySection: Record<string, number> = {};
  const byType = new Map<string, number>();
  let total = 0;
  const header = word(4);
  const start = header >= CORE_RELO_LENGTH + 4 ? header + word(CORE_RELO_OFFSET) : 0;
  const end = start === 0 ? 0 : start + word(CORE_RELO_LENGTH);
  if (end > start) {
    const recordSize = word(start);
    if (recordSize < 16)
      throw new BpfError({ code: "BTF_INVALID", message: `.BTF.ext has CO-RE records of ${recordSize} bytes` });
    for (let at = start + 4; at < end; ) {
      const section = btf.string(word(at));
      const count = word(at + 4);
      at += 8;
      for (let i = 0; i < count; i++, at += recordSize) {
        const type = btf.describe(word(at + 4));
        byType.set(type, (byType.get(type) ?? 0) + 1);
      }
      bySection[section] = (bySection[section] ?? 0) + count;
      total += count;
    }
  }
  const sorted = [...byType].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return { total, bySection, byType: Object.fromEntries(sorted) };
}
