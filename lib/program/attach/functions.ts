/** Which functions a wildcard or a list means, whether of the kernel or of a program. */
import { BpfError } from "../../errors.js";
import { globMatcher, isGlob } from "../../kernel/glob.js";
import type { SkippedFunction } from "../../link/multi_link.js";
import { invalid, shown } from "../../options.js";

export interface Selection {
  readonly matched: number;
  readonly names: readonly string[];
  readonly skipped: readonly SkippedFunction[];
}

/** A name, a glob, or a list of names. */
export type FunctionSelector = string | readonly string[];

export interface FunctionSource {
  /** The kernel says of a list's names what is wrong with them, sooner than a look at all of its functions would. */
  readonly trustsLists?: boolean;
  /** All names that the test accepts, each as often as there are functions of that name. */
  all(accept: (name: string) => boolean): readonly string[];
  /** Why a function cannot be attached to; undefined when it can. */
  refusal(name: string): string | undefined;
  /** The error for a name that is not there. */
  unknown(name: string): BpfError;
}

export const DEFAULT_LIMIT = 1000;

/**
 * @throws BpfError INVALID_ARGUMENT when more match than `limit`; NOT_FOUND when nothing does, or for an unknown name of a list
 */
export function selectFunctions(
  operation: string,
  selector: FunctionSelector,
  limit: number,
  source: FunctionSource,
): Selection {
  const list = typeof selector === "string" ? [selector] : selector;
  if (
    !Array.isArray(list) ||
    list.length === 0 ||
    list.some((name) => typeof name !== "string" || name === "" || name.includes("\0"))
  ) {
    throw invalid(`${operation}: functions must be a name, a glob or a list of names, got ${shown(selector)}`);
  }
  const [only] = list;
  const glob = typeof selector === "string" && only !== undefined && isGlob(only);
  const wanted = new Set<string>(list);
  if (!glob && source.trustsLists) {
    if (list.length > limit) throw tooMany(operation, `a list of ${list.length}`, list.length, limit);
    return { matched: list.length, names: list, skipped: [] };
  }
  const count = new Map<string, number>();
  for (const name of source.all(glob ? globMatcher(only) : (candidate) => wanted.has(candidate)))
    count.set(name, (count.get(name) ?? 0) + 1);
  if (!glob) for (const name of list) if (!count.has(name)) throw source.unknown(name);
  if (count.size === 0)
    throw new BpfError({ code: "NOT_FOUND", message: `${operation}: no function matches ${shown(only)}` });

  const names: string[] = [];
  const skipped: SkippedFunction[] = [];
  for (const [name, times] of glob ? count : list.map((name) => [name, count.get(name) ?? 1] as const)) {
    const reason = times > 1 ? `there are ${times} functions of that name` : source.refusal(name);
    if (reason === undefined) names.push(name);
    else if (glob) skipped.push({ name, reason });
    else
      throw new BpfError({
        code: times > 1 ? "INVALID_ARGUMENT" : "KERNEL_UNSUPPORTED",
        message: `${operation}: cannot attach to ${name}: ${reason}`,
      });
  }
  if (names.length > limit) throw tooMany(operation, shown(only), names.length, limit);
  if (names.length === 0)
    throw new BpfError({
      code: "KERNEL_UNSUPPORTED",
      message: `${operation}: ${shown(only)} matches ${skipped.length} functions, none of which can be attached to: ${skipped[0]?.reason}`,
    });
  return { matched: glob ? count.size : list.length, names, skipped };
}

function tooMany(operation: string, what: string, count: number, limit: number): BpfError {
  return invalid(
    `${operation}: ${what} matches ${count} functions, more than the limit of ${limit}: narrow it, or raise the limit`,
  );
}
