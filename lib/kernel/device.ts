/** Network devices and network namespaces, by their names and paths. */
import { closeSync, constants, openSync } from "node:fs";
import { BpfError } from "../errors.js";
import { native } from "../native.js";
import { checkString, invalid, shown } from "../options.js";
import { errno } from "./errno.js";
import { attempt, explain, explainFile } from "./explain.js";

/** Where a device, or what else belongs to one network namespace, is to be found. */
export interface NetnsOption {
  /** Path of a network namespace, for example `/run/netns/blue` or `/proc/1234/ns/net`; by default that of this process. */
  readonly netns?: string | undefined;
}

export const NETNS_OPTION = { netns: "string" } as const;

/**
 * Runs `use` with a descriptor of a network namespace, closed afterwards.
 * @throws BpfError NOT_FOUND, PERMISSION_DENIED
 */
export function withNetnsFd<T>(operation: string, path: string, use: (fd: number) => T): T {
  checkString(operation, "netns", path);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const missing = code === "ENOENT" || code === "ENOTDIR";
    if (!missing && code !== "EACCES") throw explainFile(cause, `open the network namespace at ${path} (${operation})`);
    throw new BpfError({
      code: missing ? "NOT_FOUND" : "PERMISSION_DENIED",
      message: `${operation}: there is ${missing ? "no" : "no access to the"} network namespace at ${path}; "ip netns" keeps them in /run/netns, a process has its own at /proc/<pid>/ns/net`,
      cause,
    });
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Runs `body` with this thread in a network namespace; in its own when there is no path. */
export function inNetns<T>(operation: string, path: string | undefined, body: () => T): T {
  if (path === undefined) return body();
  return withNetnsFd(operation, path, (fd) => {
    let entered = false;
    try {
      return native().inNetworkNamespace(fd, () => {
        entered = true;
        return body();
      });
    } catch (cause) {
      if (entered) throw cause;
      throw explain(cause, {
        doing: `enter ${path} (${operation})`,
        meanings: {
          [errno.EPERM]: { code: "PERMISSION_DENIED", text: "this needs CAP_SYS_ADMIN" },
          [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "it is not a network namespace" },
        },
      });
    }
  });
}

/**
 * The index of a device of the current network namespace, by its name or index; `netns` is how the caller chose that namespace, for messages.
 * @throws BpfError NOT_FOUND, INVALID_ARGUMENT
 */
export function deviceIndex(operation: string, device: string | number, netns: string | undefined): number {
  if (typeof device === "number") {
    if (!Number.isInteger(device) || device < 1 || device > 0x7fffffff)
      throw invalid(`${operation}: device must be a name or an index from 1, got ${shown(device)}`);
    return device;
  }
  checkString(operation, "device", device);
  const index = attempt({ doing: `look for the network device ${device} (${operation})` }, () =>
    native().interfaceIndex(device),
  );
  if (index === 0) {
    const where =
      netns === undefined
        ? 'in this network namespace (see "ip link"; option netns looks in another)'
        : `in the network namespace ${netns} (see "nsenter --net=${netns} ip link")`;
    throw new BpfError({ code: "NOT_FOUND", message: `${operation}: there is no network device ${device} ${where}` });
  }
  return index;
}

/** How a device is called in messages. */
export function deviceName(device: string | number, netns: string | undefined): string {
  const name = typeof device === "number" ? `device ${device}` : device;
  return netns === undefined ? name : `${name} in ${netns}`;
}
