import { expect, test } from "vitest";
import { Link } from "../../../lib/link/link.js";
import type { NativeLink } from "../../../lib/native.js";

/** One of the kernel's, as far as closing it goes. */
function fakeLink(close: () => void): NativeLink {
  return { close } as NativeLink;
}

test("closing a link of several closes each of them, though one fails", () => {
  const closed: string[] = [];
  const told: Link[] = [];
  const link = new Link(
    {
      links: [
        fakeLink(() => closed.push("first")),
        fakeLink(() => {
          throw new Error("on purpose");
        }),
        fakeLink(() => closed.push("last")),
      ],
      attachment: { updateProgram: () => {}, close: () => closed.push("attachment") },
    },
    { program: "p", kind: "perf_event", target: "cpu-clock" },
    (which) => told.push(which),
  );
  expect(() => link.close()).toThrow("on purpose");
  expect(closed).toEqual(["first", "last", "attachment"]);
  expect(link.closed).toBe(true);
  expect(told).toEqual([link]);
  link.close();
  expect(closed).toHaveLength(3);
});
