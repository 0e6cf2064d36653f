import { Link, type LinkParts, type LinkTarget } from "./link.js";

/** A function that a wildcard matched, and why nothing was attached to it. */
export interface SkippedFunction {
  readonly name: string;
  readonly reason: string;
}

/** What a wildcard, or a list, came to. */
export interface MultiTarget {
  /** How many functions the pattern matched, or the list named. */
  readonly matched: number;
  /** Those that the program is attached to. */
  readonly functions: readonly string[];
  /** Those that it is not. */
  readonly skipped: readonly SkippedFunction[];
}

/** One program at many functions: says at which, and at which not and why. */
export class MultiLink extends Link implements MultiTarget {
  readonly matched: number;
  readonly functions: readonly string[];
  readonly skipped: readonly SkippedFunction[];

  /** @internal */
  constructor(parts: LinkParts, target: LinkTarget & MultiTarget, onClose: (link: Link) => void) {
    super(parts, target, onClose);
    this.matched = target.matched;
    this.functions = target.functions;
    this.skipped = target.skipped;
  }
}
