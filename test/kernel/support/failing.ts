import { type BpfError, type LoadedObject, listPrograms, type Program } from "ebpf";
import { expect } from "vitest";
import { type FixtureName, Watched } from "./attach.js";
import { attached } from "./attached.js";
import { errorOf } from "./errors.js";
import { until } from "./until.js";

/** An attempt that must fail, with this code; undefined: with any that says more than "the system". */
export type Attempt = readonly [expected: BpfError["code"] | undefined, attach: () => unknown];

/**
 * Loads the program, has each attempt fail, and compares what the kernel says with what it said before: of links, descriptors and probes, and
 * of the place. What is attached keeps its program in the kernel: without the object it must not be there.
 */
export async function leavesNothing(
  fixture: FixtureName,
  name: string,
  place: () => unknown,
  attempts: (program: Program, object: LoadedObject) => readonly Attempt[],
): Promise<void> {
  let id: number;
  {
    using watched = await Watched.load(fixture, [name]);
    const object = watched.object as unknown as LoadedObject;
    const program = object.program(name);
    id = program.info().id;
    const state = () => ({ ...attached([id]), place: place() });
    const before = state();
    for (const [i, [code, attach]] of attempts(program, object).entries()) {
      const error = await errorOf(attach);
      const which = `attempt ${i}: ${error.message}`;
      if (code === undefined) expect(error.code, which).not.toBe("SYSTEM");
      else expect(error.code, which).toBe(code);
      expect(error.message, which).not.toBe("");
      expect(state(), which).toEqual(before);
      expect(object.links, which).toEqual([]);
    }
  }
  await until("the program to go", () => !listPrograms().some((info) => info.id === id));
}
