import { closeSync, constants, openSync, readFileSync, statfsSync, statSync } from "node:fs";
import { BpfError } from "../errors.js";
import { checkString } from "../options.js";
import { explainFile } from "./explain.js";

/** CGROUP2_SUPER_MAGIC of include/uapi/linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270;

/**
 * Where cgroup v2 is mounted: often /sys/fs/cgroup, but below it on a machine that also mounts v1.
 * @returns undefined when it is not mounted at all.
 */
export function cgroup2Mount(): string | undefined {
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    // proc_pid_mountinfo(5): fields, optional fields, "-", file system type, source, options.
    const [fields, tail] = line.split(" - ");
    if (tail?.startsWith("cgroup2 ")) return fields?.split(" ")[4]?.replace(/\\040/g, " ");
  }
  return undefined;
}

/**
 * Runs `use` with a descriptor of a cgroup v2 directory, closed afterwards: the kernel's attachment holds the cgroup itself.
 * @throws BpfError NOT_FOUND when the path does not exist, INVALID_ARGUMENT when it is not a cgroup v2 directory.
 */
export function withCgroup<T>(operation: string, path: string, use: (fd: number) => T): T {
  checkString(operation, "cgroup path", path);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw explainFile(cause, `open the cgroup ${path} (${operation})`);
    const at = cgroup2Mount();
    const where = at === undefined ? "cgroup v2 is not mounted here" : `cgroup v2 is mounted at ${at}`;
    throw new BpfError({
      code: code === "ENOENT" ? "NOT_FOUND" : "INVALID_ARGUMENT",
      message: `${operation}: ${path} is not a cgroup: ${code === "ENOENT" ? "no such directory" : "not a directory"} (${where})`,
      cause,
    });
  }
  try {
    // node:fs has no fstatfs; /proc/self/fd follows to the very file that was opened.
    if (statfsSync(`/proc/self/fd/${fd}/.`).type !== CGROUP2_MAGIC) {
      const at = cgroup2Mount();
      const where = at === undefined ? "cgroup v2 is not mounted here" : `cgroup v2 is mounted at ${at}`;
      throw new BpfError({
        code: "INVALID_ARGUMENT",
        message: `${operation}: ${path} is not a cgroup v2 directory (${where})`,
      });
    }
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The id of a cgroup v2 directory, as bpf_get_current_cgroup_id() and bpf_skb_cgroup_id() give it: what a program compares with to look at one cgroup
 * only. For one with those below it, a `CgroupArrayMap` and bpf_current_task_under_cgroup() do.
 * @throws BpfError NOT_FOUND, INVALID_ARGUMENT when the path is no cgroup v2 directory
 * @example
 * ```ts
 * import { BpfObject, cgroupId } from "ebpf";
 * const opened = BpfObject.open("opens.bpf.o");
 * opened.rodata.only_cgroup = cgroupId("/sys/fs/cgroup/system.slice/nginx.service");
 * ```
 */
export function cgroupId(path: string): bigint {
  return cgroupIdFor("cgroupId", path);
}

/** As {@link cgroupId}, for an operation that errors are to name. @internal */
export function cgroupIdFor(operation: string, path: string): bigint {
  // The inode's number is the id where that has 64 bits, as on all machines that this package is for.
  return withCgroup(operation, path, (fd) => statSync(`/proc/self/fd/${fd}/.`, { bigint: true }).ino);
}
