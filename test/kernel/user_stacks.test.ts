/** Stacks of user space that the kernel takes, with the names of their functions. */
import { rmSync } from "node:fs";
import { type UserSymbol, UserSymbols } from "ebpf";
import { expect } from "vitest";
import { UserStacks } from "../fixtures/user_stacks.bpf.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { SymbolsBinary, SymbolsChild } from "./support/symbols_child.js";
import { until } from "./support/until.js";

nothingStaysOpen();

const symbols = new UserSymbols();
/** What the compiled child turns in, innermost first, until main. */
const CALLS = ["inner", "library_turn", "middle", "outer", "main"];

requires({}).test("a clock's samples of a program and its library", async () => {
  using binary = new SymbolsBinary("-pie");
  await using child = await SymbolsChild.start(binary.program);
  using object = await UserStacks.load();
  using _link = object.programs.on_clock.attachPerfEvent("cpu-clock", { frequency: 500, pid: child.pid });
  const names = (stack: readonly UserSymbol[]) => stack.slice(0, CALLS.length).map(({ name }) => name);
  // Others are of another moment: of a function that begins, and has no frame yet, or of one that is not in `inner`.
  const { stack, sample } = await until("a sample within the innermost function", async () => {
    const sample = await object.maps.samples.next();
    const frames = sample === undefined ? undefined : object.maps.stacks.get(sample.stack);
    const stack = symbols.process(child.pid).stack(frames ?? []);
    return names(stack).join() === CALLS.join() ? { stack, sample } : undefined;
  });
  expect(sample?.pid).toBe(child.pid);
  const [inner, turn] = stack as [UserSymbol, UserSymbol];
  expect(inner).toMatchObject({ module: binary.program, unnamed: undefined });
  expect(turn).toMatchObject({ module: binary.library, unnamed: undefined });
  // What the kernel tells the build id of has the name that its address has.
  const frames = object.maps.build_ids.getBuildIds(sample?.build_ids ?? -1) ?? [];
  const byBuildId = symbols.process(child.pid).stack(frames);
  expect(names(byBuildId)).toEqual(CALLS);
  if (frames[0]?.buildId !== undefined)
    expect(byBuildId[0]).toMatchObject({ buildId: inner.buildId, moduleOffset: inner.moduleOffset });
});

requires({ uprobes: true }).test("the call of a function, by a uprobe", async () => {
  using binary = new SymbolsBinary("-no-pie");
  await using child = await SymbolsChild.start(binary.program);
  using object = await UserStacks.load();
  using _link = object.programs.on_call.attachUprobe(binary.program, "middle", { pid: child.pid });
  const stack = await until("a call", async () => {
    const sample = await object.maps.samples.next();
    return sample === undefined ? undefined : object.maps.stacks.get(sample.stack);
  });
  const found = symbols.process(child.pid).stack(stack);
  expect(found[0]).toMatchObject({ name: "middle", offset: 0, address: child.at("middle"), module: binary.program });
  // At its first instruction it has no frame yet: who called it is missing on kernels that do not know (before 6.11).
  expect(found.map(({ name }) => name)).toContain("main");
});

// Compiling JavaScript where every instruction is emulated takes minutes.
requires({ notInVm: true }).test("samples of JavaScript, by the perf map that node writes", async () => {
  const script = `
    function turnsWithAName(n) { let sum = 0; for (let i = 0; i < n; i++) sum = (sum * 31 + i) | 0; return sum; }
    function callsIt() { return turnsWithAName(100000) + 1; }
    for (;;) callsIt();`;
  const child = new Child(process.execPath, ["--perf-basic-prof", "--eval", script]);
  try {
    using object = await UserStacks.load();
    using _link = object.programs.on_clock.attachPerfEvent("cpu-clock", { frequency: 500, pid: child.pid });
    const stack = await until("a sample of the function", async () => {
      const sample = await object.maps.samples.next();
      const frames = sample === undefined ? undefined : object.maps.stacks.get(sample.stack);
      const found = symbols.process(child.pid).stack(frames ?? []);
      return found.some(({ name }) => name?.includes("turnsWithAName")) ? found : undefined;
    });
    const named = stack.find(({ name }) => name?.includes("turnsWithAName"));
    expect(named?.name).toMatch(/^(JS|LazyCompile|Function|Script):[*~^+]*turnsWithAName/);
    // Node's own C++ below it.
    expect(stack.some(({ module }) => module === process.execPath)).toBe(true);
  } finally {
    child.process.kill("SIGKILL");
    await child.finished;
    rmSync(`/tmp/perf-${child.pid}.map`, { force: true });
  }
});
