import { statSync } from "node:fs";
import { BpfError } from "../errors.js";
import { invalid, shown } from "../options.js";

/** A network namespace: its inode number, its path (`/run/netns/web`, `/proc/1234/ns/net`), or its name for ip-netns(8). */
export type NetNamespaceRef = number | string;

/**
 * The inode number by which the kernel knows a network namespace: `ns.inum` of its `struct net`, which a program reads and compares with.
 * @throws BpfError NOT_FOUND, INVALID_ARGUMENT
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * import { netnsInode } from "ebpf/net";
 * const opened = BpfObject.open("drops.bpf.o");
 * opened.rodata.only_netns = netnsInode("web"); // or "/proc/1234/ns/net"
 * ```
 */
export function netnsInode(ref: NetNamespaceRef, operation = "netnsInode"): number {
  if (typeof ref === "number") {
    if (!Number.isInteger(ref) || ref < 1 || ref > 0xffffffff)
      throw invalid(`${operation}: netns must be an inode number, a path or a name, got ${shown(ref)}`);
    return ref;
  }
  const path = ref.includes("/") ? ref : `/run/netns/${ref}`;
  try {
    return statSync(path).ino;
  } catch (cause) {
    throw new BpfError({ code: "NOT_FOUND", message: `${operation}: no network namespace at ${path}`, cause });
  }
}
