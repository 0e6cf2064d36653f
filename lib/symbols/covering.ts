/** Ranges of addresses that may lie within one another. */
import { lastNotAbove } from "../kernel/symbols.js";

/** Ranges within one another that are looked through; what is not among so many is in none but of a hostile table. */
const MOST_NESTED = 4096;

/**
 * The positions of the ranges that an address is in, the one that starts last first. `starts` is sorted; `reaches` has the furthest end of the ranges up to
 * each, and `endOf` each one's own.
 */
export function* covering(
  starts: BigUint64Array,
  reaches: BigUint64Array,
  endOf: (position: number) => bigint,
  address: bigint,
): Generator<number, void, undefined> {
  const last = lastNotAbove(starts, address);
  for (let i = last; i >= 0 && last - i < MOST_NESTED && (reaches[i] as bigint) > address; i--)
    if (endOf(i) > address) yield i;
}
