import { existsSync } from "node:fs";
import { BpfError } from "../errors.js";
import { MapType } from "../kernel/abi.js";
import { type ArenaMap, checkArenaAddress } from "../map/arena_map.js";
import type { ObjectCore } from "./core.js";
import type { LiveMemory } from "./live.js";

/** Of variables in the object's arena, of which libbpf takes one. Through the kernel, as all of an arena: a program may have freed the page. */
export function arenaMemory(core: ObjectCore, map: (name: string) => ArenaMap): LiveMemory {
  const name = core.mapNames.find((candidate) => core.map(candidate).type === MapType.arena) as string;
  const at = (offset: number): bigint => {
    const start = core.map(name).dataAddress();
    if (start !== 0n) return start + BigInt(offset);
    const message = `variables in arena ${name} are not there: it is another's, used in its place, and libbpf has put none into it`;
    throw new BpfError({ code: "INVALID_STATE", message });
  };
  return {
    read: (offset, target) => target.set(map(name).read(at(offset), target.byteLength)),
    write: (offset, source) => map(name).write(at(offset), source),
  };
}

/** Before load: an arena that the object makes has room where it is declared to be. @throws BpfError BUSY */
export function checkArenas(core: ObjectCore): void {
  for (const name of core.mapNames) {
    const map = core.map(name);
    if (map.type !== MapType.arena || map.mapExtra === 0n || !map.autocreate) continue;
    // libbpf maps no arena that takes another's place: one that is given, or pinned already.
    if (map.fd() >= 0 || (map.pinPath !== undefined && existsSync(map.pinPath))) continue;
    checkArenaAddress(name, map.mapExtra, map.maxEntries);
  }
}
