/** What `<ebpf/events.h>` (bpf/include/ebpf/events.h) left in an object's BTF of rings: their records' type, and what lies where. */
import type { Btf } from "../btf/btf.js";
import { isMapOfMaps } from "../map/map_of_maps.js";
import type { ObjectCore } from "./core.js";
import { variablesOf } from "./globals.js";

export const RINGS_SECTION = ".data.ebpf";
const VARIABLE_PREFIX = "ebpf_ring__";
const USER_PREFIX = "ebpf_user_ring__";
const RINGS_PREFIX = "ebpf_rings__";

/** A ring's declaration as BTF has it. */
export interface RingDeclaration {
  readonly recordType: number;
  /** Where the word is that programs read for EBPF_WAKEUP_LIVE. */
  readonly controlOffset: number;
  /** Where the counters of CPU 0 are in the section, and how they lie. */
  readonly counters: { readonly offset: number; readonly slots: number; readonly type: number };
}

/** A user ring's declaration: its record type, and where the count of drained records is in the section. */
export interface UserRingDeclaration {
  readonly recordType: number;
  readonly drainedOffset: number;
}

/** A declaration of many rings: their record type, and where in the section the count of unrouted records and the size of a ring are. */
export interface RingsDeclaration {
  readonly recordType: number;
  readonly unroutedOffset: number;
  readonly bytesOffset: number;
}

/** A ring as it was declared; undefined for one that was not, and in an object without BTF. */
export function declaredRing(core: ObjectCore, name: string): RingDeclaration | undefined {
  return inBtf(core, name, findRing);
}

/** The same of a user ring. */
export function declaredUserRing(core: ObjectCore, name: string): UserRingDeclaration | undefined {
  return inBtf(core, name, findUserRing);
}

/** The same of a map of rings. */
export function declaredRings(core: ObjectCore, name: string): RingsDeclaration | undefined {
  return isMapOfMaps(core.map(name).type) ? inBtf(core, name, findRings) : undefined;
}

function inBtf<T>({ btfOrUndefined: btf }: ObjectCore, name: string, find: (btf: Btf, name: string) => T | undefined) {
  return btf === undefined ? undefined : find(btf, name);
}

/** A variable of the rings' section: where it is, and its members that are arrays. */
function ringVariable(btf: Btf, name: string) {
  const variable = variablesOf(btf, RINGS_SECTION).find((candidate) => candidate.name === name);
  if (variable === undefined) return undefined;
  const struct = btf.type(btf.resolve(variable.type));
  if (struct.kind !== "struct") return undefined;
  const member = (wanted: string) => {
    const found = struct.members.find((candidate) => candidate.name === wanted);
    const type = found === undefined ? undefined : btf.type(btf.resolve(found.type));
    return found !== undefined && type?.kind === "array" ? { offset: found.bitOffset / 8, array: type } : undefined;
  };
  return { offset: variable.offset, member };
}

/** The declaration of a ring, or undefined when it was not declared with `EBPF_RINGBUF`. */
function findRing(btf: Btf, name: string): RingDeclaration | undefined {
  const variable = ringVariable(btf, VARIABLE_PREFIX + name);
  const record = variable?.member("record");
  const cpu = variable?.member("cpu");
  if (variable === undefined || record === undefined || cpu === undefined) return undefined;
  return {
    recordType: record.array.element,
    // struct ebpf_ring_control comes first, and `wakeup` first in it.
    controlOffset: variable.offset,
    counters: { offset: variable.offset + cpu.offset, slots: cpu.array.length, type: cpu.array.element },
  };
}

/** The declaration of a user ring, or undefined when it was not declared with `EBPF_USER_RINGBUF`. */
function findUserRing(btf: Btf, name: string): UserRingDeclaration | undefined {
  const variable = ringVariable(btf, USER_PREFIX + name);
  const record = variable?.member("record");
  if (variable === undefined || record === undefined) return undefined;
  // `drained` comes first.
  return { recordType: record.array.element, drainedOffset: variable.offset };
}

/** The declaration of a map of rings, or undefined when it was not declared with `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`. */
function findRings(btf: Btf, name: string): RingsDeclaration | undefined {
  const variable = ringVariable(btf, RINGS_PREFIX + name);
  const record = variable?.member("record");
  if (variable === undefined || record === undefined) return undefined;
  // `unrouted` comes first, then `bytes`.
  return { recordType: record.array.element, unroutedOffset: variable.offset, bytesOffset: variable.offset + 8 };
}

/** BTF type id of the records on a ring, or rings, of either direction, that `<ebpf/events.h>` declared. */
export function ringRecordType(btf: Btf, name: string): number | undefined {
  return (findRing(btf, name) ?? findUserRing(btf, name) ?? findRings(btf, name))?.recordType;
}
