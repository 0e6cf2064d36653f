import { statSync } from "node:fs";
import { withCgroup } from "../kernel/cgroup.js";

/** The id of a cgroup v2 directory, as bpf_get_current_cgroup_id() gives it: its inode (64-bit hosts). @throws as withCgroup */
export function cgroupId(operation: string, path: string): bigint {
  return withCgroup(operation, path, (fd) => statSync(`/proc/self/fd/${fd}/.`, { bigint: true }).ino);
}
