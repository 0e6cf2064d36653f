import { run } from "./run.js";

/** Keeps this thread, and so the programs that it runs by testRun(), on the CPU with the lowest number until the end of the scope. */
export function pinnedToOneCpu(): Disposable {
  const pid = String(process.pid);
  const before = /: ([\d,-]+)\s*$/.exec(run("taskset", "-cp", pid))?.[1];
  const [first] = /\d+/.exec(before ?? "") ?? [];
  if (before === undefined || first === undefined)
    throw new Error("taskset does not say what CPUs this process may use");
  run("taskset", "-cp", first, pid);
  return { [Symbol.dispose]: () => void run("taskset", "-cp", before, pid) };
}
