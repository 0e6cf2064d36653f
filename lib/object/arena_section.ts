/** Variables that are in the object's arena: `int __arena counter;`, which clang has in a section of its own. Minimum kernel 6.9, libbpf 1.4. */
import type { Btf } from "../btf/btf.js";
import { MapType } from "../kernel/abi.js";
import { type GlobalVariable, variablesOf } from "./globals.js";

/** clang names it by the address space that BPF's arenas are: 1. */
export const ARENA_SECTION = ".addr_space.1";

/** The variables in the arena of an object that has one. */
export function arenaVariables(btf: Btf | undefined, maps: readonly { readonly type: number }[]): GlobalVariable[] {
  if (btf === undefined || !maps.some(({ type }) => type === MapType.arena)) return [];
  return variablesOf(btf, ARENA_SECTION);
}
