import type { BpfErrorCode, Link, LoadedObject } from "ebpf";
import { expect } from "vitest";
import type { Watched } from "./attach.js";
import { attached } from "./attached.js";
import { errorOf } from "./errors.js";

/** What a second attachment is refused with. */
export interface Refusal {
  readonly code: BpfErrorCode;
  readonly text: RegExp;
}

/** The same program at the same place, twice. */
export interface Twice {
  readonly watched: Watched;
  /** Its name, or those of a struct_ops. */
  readonly programs: readonly string[];
  readonly attach: () => Link;
  /** Makes the event happen, to its end. */
  readonly cause: () => unknown;
  /** Records of one event, by one link; by default as many as the first link brings. */
  readonly records?: number | undefined;
  /** undefined: both run. */
  readonly refused?: Refusal | undefined;
  /** What the place itself tells of what is attached, where there is more to know than of links and descriptors. */
  readonly there?: (() => unknown) | undefined;
  /** Nothing tells of it. */
  readonly untold?: boolean;
}

/** The kernel lets it run twice, or refuses the second; and in either case the first is as it was. */
export async function attachTwice(twice: Twice): Promise<void> {
  const { watched, programs, attach, cause, records, refused, there, untold = false } = twice;
  const object = watched.object as unknown as LoadedObject;
  const ids = programs.map((name) => object.program(name).info().id);
  const seenBy = async () => {
    const from = watched.produced;
    await cause();
    return watched.produced - from;
  };
  const state = () => ({ ...attached(ids), there: there?.() });

  const nothing = state();
  const first = attach();
  const once = state();
  if (!untold) expect(once).not.toEqual(nothing);
  const one = await seenBy();
  expect(one).toBe(records ?? one);
  expect(one).toBeGreaterThan(0);
  if (refused === undefined) {
    const second = attach();
    expect(object.links).toEqual([first, second]);
    expect(await seenBy()).toBe(2 * one);
    second.close();
  } else {
    const error = await errorOf(attach);
    expect(error, error.message).toMatchObject({ code: refused.code });
    expect(error.message).toMatch(refused.text);
    expect(object.links).toEqual([first]);
  }
  expect(state()).toEqual(once);
  expect(await seenBy()).toBe(one);
  first.close();
  expect(await seenBy()).toBe(0);
  expect(state()).toEqual(nothing);
}
