import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Child } from "../support/run.js";

test("getInto makes nothing that would have to be collected; get makes objects", async ({ skip }) => {
  if (!existsSync("/sys/kernel/btf/vmlinux")) skip("this kernel has no BTF to take a struct from");
  const script = fileURLToPath(new URL("../children/allocations.mjs", import.meta.url));
  // Else V8 may put objects among the old ones at once, as the last one is kept, where they cause no collection.
  const flags = ["--expose-gc", "--max-semi-space-size=1", "--no-allocation-site-pretenuring"];
  const child = new Child(process.execPath, [...flags, script]);
  const { get, getInto, bytes } = JSON.parse(await child.output()) as Record<string, number>;
  expect(get).toBeGreaterThan(2);
  expect([getInto, bytes]).toEqual([0, 0]);
});
