/** A process that runs out of descriptors in the middle of attaching: an error that says so, and nothing is left attached. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { KINDS } from "../children/link_kinds.mjs";
import { NEEDS, Places } from "../support/link_kinds.js";
import { requires } from "../support/requires.js";
import { Child } from "../support/run.js";

const SCRIPT = fileURLToPath(new URL("../children/no_descriptors.mjs", import.meta.url));

/** One try, with one descriptor more than the one before had. */
interface Attempt {
  readonly bpf: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly links: number;
  /** What is there after it that was not before. */
  readonly left: readonly string[];
}

/** EMFILE */
const errno = 24;

const unmet = Object.keys(KINDS).map((kind) => [kind, requires({ ...NEEDS[kind] }).reason] as const);

describe("too few descriptors", () => {
  for (const [kind, reason] of unmet) if (reason !== undefined) test(kind, ({ skip }) => skip(reason));
  const kinds = unmet.filter(([, reason]) => reason === undefined).map(([kind]) => kind);

  // A matter of what the library opens, and when: a kernel that has every kind is enough, as it takes minutes where all is emulated.
  requires({ kernel: ">=6.18", netns: true, cgroup2: true }).test(
    "leave nothing of what was to be attached",
    async () => {
      await using places = new Places();
      // One process for all: starting it is most of the time.
      const child = new Child("prlimit", [
        "--nofile=128:128",
        process.execPath,
        SCRIPT,
        JSON.stringify(places.place),
        ...kinds,
      ]);
      const report = JSON.parse(await child.output()) as Record<string, Attempt[]>;
      expect(Object.keys(report)).toEqual(kinds);
      for (const [kind, attempts] of Object.entries(report)) {
        const [last, ...failed] = attempts.reverse();
        expect(last, kind).toEqual({ bpf: false, links: 1, left: [] });
        // Each needs one at least, but the registration of a map.
        expect(failed.length > 0, kind).toBe(!kind.endsWith("`.struct_ops`"));
        for (const attempt of failed) {
          const expected = { bpf: true, code: "FULL", errno, links: 0, left: [] };
          expect(attempt, `${kind}: ${attempt.message}`).toMatchObject(expected);
          expect(attempt.message).toMatch(/as many files open as it may \(ulimit -n\)|too many open files/);
        }
      }
    },
  );
});
