/** Attachments without links to cgroups. */
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AttachType } from "../kernel/abi.js";
import { withCgroup } from "../kernel/cgroup.js";
import { attempt } from "../kernel/explain.js";
import { programNameById } from "../kernel/handles.js";
import { native } from "../native.js";
import { listLinks } from "./enumerate.js";
import type { FoundAttachment } from "./found_attachment.js";
import { attachTypeName } from "./link_info.js";

/** All attach types of cgroups. */
const CGROUP_TYPES = Object.entries(AttachType).flatMap(([name, type]) =>
  /^cgroup|^lsmCgroup/.test(name) ? [type] : [],
);

function* cgroupsBelow(path: string): Generator<string, void, undefined> {
  yield path;
  let names: string[];
  try {
    names = readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return;
  }
  for (const name of names) yield* cgroupsBelow(join(path, name));
}

/** What is attached to a cgroup and those below it. */
export function attachmentsToCgroups(root: string): FoundAttachment[] {
  const addon = native();
  const found: FoundAttachment[] = [];
  // One program can be there by links and without: as often as there are links, it is by one.
  const linked = new Map<string, number>();
  for (const link of listLinks()) {
    if (link.type !== "cgroup") continue;
    const key = `${link.cgroupId} ${link.attachType} ${link.programId}`;
    linked.set(key, (linked.get(key) ?? 0) + 1);
  }
  for (const path of cgroupsBelow(root)) {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch {
      // It was removed meanwhile.
      continue;
    }
    try {
      const inode = fstatSync(fd, { bigint: true }).ino;
      for (const type of CGROUP_TYPES) {
        let ids: readonly number[];
        try {
          ids = addon.programQuery(fd, type, 0);
        } catch {
          // Not known to this kernel.
          continue;
        }
        for (const programId of ids) {
          const key = `${inode} ${attachTypeName(type)} ${programId}`;
          const links = linked.get(key) ?? 0;
          if (links > 0) {
            linked.set(key, links - 1);
            continue;
          }
          const target = `${path} ${attachTypeName(type)}`;
          found.push({
            kind: "cgroup",
            target,
            programId,
            program: programNameById(programId) ?? "",
            remove: () => removeFromCgroup(path, programId, type),
          });
        }
      }
    } finally {
      closeSync(fd);
    }
  }
  return found;
}

function removeFromCgroup(path: string, programId: number, type: number): void {
  const addon = native();
  attempt({ doing: `detach program ${programId} from ${path}` }, () => {
    const program = addon.openById.program(programId);
    try {
      withCgroup("remove", path, (fd) => addon.detachProgram(program, fd, type));
    } finally {
      closeSync(program);
    }
  });
}
