import { readFileSync } from "node:fs";

/**
 * The numbers that only /proc tells of a map or a program (kernel/bpf/syscall.c: bpf_map_show_fdinfo, bpf_prog_show_fdinfo), by the names that it has
 * for them; undefined where it does not tell, and without /proc.
 */
export function fdInfo(fd: number): (name: string) => number | undefined {
  let text = "";
  try {
    text = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  } catch {
    // /proc is not mounted.
  }
  return (name) => {
    const found = new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text);
    return found === null ? undefined : Number(found[1]);
  };
}
