import type { ReaderChoice } from "../events/reader_choice.js";
import type { Wakeup } from "../events/wakeup.js";
import type { ObjectCore } from "./core.js";

/** What was chosen for a stream on the opened object. The milliseconds of a wake-up are in no constant of the program. */
export interface StreamChoices {
  readonly wakeup?: Wakeup;
  readonly reader?: ReaderChoice;
}

const choices = new WeakMap<ObjectCore, Map<string, StreamChoices>>();

export function chosen(core: ObjectCore, name: string): StreamChoices {
  return choices.get(core)?.get(name) ?? {};
}

export function choose(core: ObjectCore, name: string, choice: StreamChoices): void {
  const known = choices.get(core) ?? new Map<string, StreamChoices>();
  choices.set(core, known.set(name, { ...known.get(name), ...choice }));
}
