/** What a descriptor of the kernel's BPF is, as far as /proc tells. */
import { closeSync, readlinkSync } from "node:fs";
import { native } from "../native.js";
import { InfoBuffer } from "./layout.js";

/** `map`, `prog`, `link`, `btf`, ...: undefined without /proc. */
export function descriptorKind(fd: number): string | undefined {
  try {
    // "anon_inode:bpf-map"; links are "anon_inode:bpf_link" in some kernels and "anon_inode:bpf-link" in others.
    return /^anon_inode:\[?(?:bpf[-_])?([\w-]+)\]?$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch {
    return undefined;
  }
}

/** The name in struct bpf_prog_info. */
export function programNameOf(fd: number): string {
  return new InfoBuffer(80).fill(fd, "a program").text(64, 16);
}

/** The name of the program with that id; undefined when it is gone, or not ours to know. */
export function programNameById(id: number): string | undefined {
  try {
    const fd = native().openById.program(id);
    try {
      return programNameOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
