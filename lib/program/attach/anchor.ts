import { AttachFlag } from "../../kernel/abi.js";
import type { Link } from "../../link/link.js";
import { invalid, u64 } from "../../options.js";

/** A program or link of the same hook. A link is held by its `fd`, a program by its `fd` or the kernel's id. */
export type Anchor = Link | { readonly fd: number; readonly name: string } | { readonly programId: number };

/** Where among the programs of a hook; at the end by default. */
export interface AnchorOptions {
  /** Runs right before this one; `"first"`: before all. */
  readonly before?: Anchor | "first" | undefined;
  /** Runs right after this one; `"last"`: after all. */
  readonly after?: Anchor | "last" | undefined;
  /** Only if nothing about the hook has changed since: the revision that the kernel counts. */
  readonly revision?: number | bigint | undefined;
}

const ANCHOR = {
  wants: "a link, a loaded program, or { programId }",
  accepts: (value: unknown) =>
    typeof value === "object" &&
    value !== null &&
    (typeof (value as { programId?: unknown }).programId === "number" || "fd" in value),
} as const;
const orWord = (word: string) => ({
  wants: `${ANCHOR.wants}, or "${word}"`,
  accepts: (value: unknown) => value === word || ANCHOR.accepts(value),
});

export const ANCHOR_OPTIONS = { before: orWord("first"), after: orWord("last"), revision: u64 } as const;

/** As the kernel takes it. */
export function anchorFields(
  operation: string,
  options: AnchorOptions,
): { flags: number; relativeFd: number; relativeId: number; revision: bigint } {
  if (options.before !== undefined && options.after !== undefined)
    throw invalid(`${operation}: say before or after, not both`);
  const revision = BigInt(options.revision ?? 0);
  const anchor = options.before ?? options.after;
  const direction =
    options.before !== undefined ? AttachFlag.before : options.after !== undefined ? AttachFlag.after : 0;
  if (anchor === undefined || typeof anchor === "string")
    return { flags: direction, relativeFd: 0, relativeId: 0, revision };
  if ("programId" in anchor)
    return { flags: direction | AttachFlag.id, relativeFd: 0, relativeId: anchor.programId, revision };
  const isLink = "info" in anchor && "pinPath" in anchor;
  return { flags: direction | (isLink ? AttachFlag.link : 0), relativeFd: anchor.fd, relativeId: 0, revision };
}
