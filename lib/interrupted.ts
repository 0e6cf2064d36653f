/** What a tool waits for that ends by Ctrl-C. */

/** Signals that a process can wait for: nobody handles the other two. */
export type InterruptSignal = Exclude<NodeJS.Signals, "SIGKILL" | "SIGSTOP">;

const USUAL: readonly InterruptSignal[] = ["SIGINT", "SIGTERM"];

/**
 * Waits for Ctrl-C (SIGINT) or SIGTERM, or for the signals given, and keeps the process alive meanwhile. Programs that are attached keep no process
 * alive, nor does a listener for signals: only a stream that is being read does. A tool that reads maps, and awaited
 * `once(process, "SIGINT")`, would end at once, with exit status 13 and without a word.
 *
 * The process ends after it as it ends otherwise, so that what is declared with `using` is closed and a summary can be printed; a second Ctrl-C ends it
 * at once. Signals reach the main thread only.
 *
 * @returns the signal that came
 * @example
 * ```ts
 * import { BpfObject, untilInterrupted } from "ebpf";
 * using object = await BpfObject.load("counts.bpf.o");
 * object.attach();
 * await untilInterrupted();
 * for (const [pid, count] of object.hash<number, bigint>("counts")) console.log(pid, count);
 * ```
 */
export function untilInterrupted(...signals: readonly InterruptSignal[]): Promise<InterruptSignal> {
  const awaited = signals.length > 0 ? signals : USUAL;
  return new Promise((resolve) => {
    const end = (signal: NodeJS.Signals): void => {
      clearInterval(alive);
      for (const name of awaited) process.off(name, end);
      resolve(signal as InterruptSignal);
    };
    for (const name of awaited) process.on(name, end);
    // Node's longest interval; what counts is that it is there.
    const alive = setInterval(() => {}, 2 ** 31 - 1);
  });
}
