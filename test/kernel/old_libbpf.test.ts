import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { fixture } from "./support/fixture.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";

// scripts/setup builds it with Debian 12's libbpf 1.1, the oldest supported; other kernels would tell nothing new.
const addon = fileURLToPath(new URL("../../build/system-libbpf/Release/ebpf.node", import.meta.url));

requires({ notInVm: true }).test("what libbpf is too old for is refused, naming the version that has it", async () => {
  const script = fileURLToPath(new URL("children/old_libbpf.mjs", import.meta.url));
  const arena = fixture("maps_arena");
  const child = new Child(process.execPath, [script, fixture("old_libbpf"), "on_enter", arena], { EBPF_ADDON: addon });
  const tooOld = { name: "BpfError", code: "LIBBPF_TOO_OLD" };
  expect(JSON.parse(await child.output())).toEqual([
    { ...tooOld, message: "a cookie on a raw tracepoint needs libbpf 1.4; this build has 1.1.2" },
    {
      ...tooOld,
      message: `open: ${arena} has variables in an arena, which needs libbpf 1.4; this build has 1.1.2`,
    },
  ]);
});
