import { execFileSync } from "node:child_process";

let comm: string | undefined;

/** What the kernel calls the main thread of a node process: `node`, and `MainThread` from Node 24 on. */
export function nodeComm(): string {
  const program = `process.stdout.write(require("fs").readFileSync("/proc/self/comm", "utf8").trim())`;
  comm ??= execFileSync(process.execPath, ["-e", program], { encoding: "utf8" });
  return comm;
}
