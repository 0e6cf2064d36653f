/** BTF of others on its way to libbpf, which believes whatever it says. */
import { BpfError } from "../errors.js";
import { native } from "../native.js";
import { Btf } from "./btf.js";
import { inHostOrder } from "./byte_order.js";
import { isElf, readBtf } from "./sources.js";

/**
 * The .BTF of an object file, if it has one. `what` names the object in errors.
 * @returns whether it has
 * @throws BpfError `BTF_INVALID`
 */
export function checkObjectBtf(object: Uint8Array, what: string): boolean {
  const bytes = native().readSection(object, ".BTF");
  if (bytes === undefined) return false;
  Btf.parse(bytes, { name: `.BTF of ${what}` }).check();
  return true;
}

/**
 * A file for libbpf to read BTF from: raw, in either byte order, or an ELF file with a .BTF section.
 * @throws BpfError `BTF_INVALID`, NOT_FOUND, PERMISSION_DENIED
 */
export function checkBtfFile(path: string): void {
  const file = readBtf(path);
  const section = (name: string) => (isElf(file) ? native().readSection(file, name) : undefined);
  const bytes = inHostOrder(section(".BTF") ?? file);
  if (bytes === undefined)
    throw new BpfError({
      code: "BTF_INVALID",
      message: `${path} has no BTF that libbpf can read: it must be raw BTF such as /sys/kernel/btf/vmlinux, or an ELF file with a .BTF section`,
    });
  // What a module was built on (Linux 6.11), which libbpf 1.5 finds by itself.
  const base = inHostOrder(section(".BTF.base"));
  Btf.parse(bytes, {
    name: path,
    base: base === undefined ? undefined : Btf.parse(base, { name: `.BTF.base of ${path}` }),
  }).check();
}
