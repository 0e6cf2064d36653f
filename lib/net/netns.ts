import { statSync } from "node:fs";
import { BpfError } from "../errors.js";
import { invalid, shown } from "../options.js";

/** A network namespace: its inode number, its path (`/run/netns/web`, `/proc/1234/ns/net`), or its name for ip-netns(8). */
export type NetNamespaceRef = number | string;

/** The inode number by which the kernel knows a namespace. @throws BpfError NOT_FOUND, INVALID_ARGUMENT */
export function netnsInode(operation: string, ref: NetNamespaceRef): number {
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
