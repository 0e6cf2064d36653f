import { run } from "./run.js";

/** The CPUs that this process may use, as taskset(1) has them: `0-2,5`. */
function affinity(): string {
  const list = /: ([\d,-]+)\s*$/.exec(run("taskset", "-cp", String(process.pid)))?.[1];
  if (list === undefined) throw new Error("taskset does not say what CPUs this process may use");
  return list;
}

/** Numbers of the CPUs that this process may use. */
export function usableCpus(): number[] {
  return affinity()
    .split(",")
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** Keeps this thread, and so the programs that it runs by testRun(), on a CPU (the lowest there is) until the end of the scope. */
export function pinnedToOneCpu(cpu = usableCpus()[0] as number): Disposable {
  const before = affinity();
  const pid = String(process.pid);
  run("taskset", "-cp", String(cpu), pid);
  return { [Symbol.dispose]: () => void run("taskset", "-cp", before, pid) };
}
