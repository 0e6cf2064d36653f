/** `ebpf vmlinux`: the types of a kernel as a C header. */
import { KERNEL_BTF, vmlinuxHeader } from "../build/vmlinux.js";
import { writeIfChanged } from "./files.js";
import type { Output } from "./output.js";

export function vmlinux(
  options: { readonly output?: string | undefined; readonly btf?: string | undefined },
  out: Output,
): void {
  const text = vmlinuxHeader(options.btf ?? KERNEL_BTF);
  if (options.output === undefined || options.output === "-") {
    out.stdout.write(text);
    return;
  }
  const changed = writeIfChanged(options.output, text);
  out.stdout.write(`${options.output}  ${Buffer.byteLength(text)} bytes${changed ? "" : " (unchanged)"}\n`);
}
