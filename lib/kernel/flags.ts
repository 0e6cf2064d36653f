/** Flags by their names, BPF_F_* in lower case, and as the bits that the kernel takes. */

import { suggestion } from "../nearest.js";
import { invalid, shown } from "../options.js";

export type FlagTable = Readonly<Record<string, number>>;

/** @throws BpfError INVALID_ARGUMENT */
export function flagBits(operation: string, table: FlagTable, flags: readonly string[]): number {
  let bits = 0;
  for (const flag of flags) {
    if (!Object.hasOwn(table, flag))
      throw invalid(`${operation}: unknown flag ${shown(flag)}${suggestion(String(flag), Object.keys(table))}`);
    bits |= table[flag] as number;
  }
  return bits;
}

/** Names of the flags set. */
export function flagNames<Table extends FlagTable>(table: Table, bits: number): (keyof Table)[] {
  return Object.keys(table).filter((name) => (bits & (table[name] as number)) !== 0);
}
