/** How the readers of a ring, or of all rings of a map, are woken: what was chosen, and the constant by which programs know it. */
import { WAKEUP_DEFAULT, WAKEUP_LIVE, type Wakeup, wakeupOf } from "../events/wakeup.js";
import type { ObjectCore } from "./core.js";
import { variablesOf } from "./globals.js";
import { type SectionWord, sectionWord } from "./section_word.js";
import { chosen } from "./stream_choices.js";

const PREFIX = "ebpf_ring_wakeup__";
const SECTION = ".rodata";

/** The constant, set before load; undefined where `<ebpf/events.h>` declared none. */
export function wakeupConstantOf(core: ObjectCore, name: string): SectionWord | undefined {
  const { btfOrUndefined: btf } = core;
  const variables = btf === undefined ? [] : variablesOf(btf, SECTION);
  const found = variables.find((variable) => variable.name === PREFIX + name);
  return found === undefined ? undefined : sectionWord(core, SECTION, found.offset);
}

export interface RingWakeup {
  readonly wakeup: Wakeup;
  /** Whether programs read for each record what their reader writes. */
  readonly live: boolean;
}

/** What was chosen, else what the constant says. */
export function ringWakeup(core: ObjectCore, name: string): RingWakeup {
  const constant = wakeupConstantOf(core, name)?.get() ?? WAKEUP_DEFAULT;
  return { wakeup: chosen(core, name).wakeup ?? wakeupOf(constant), live: constant === WAKEUP_LIVE };
}
