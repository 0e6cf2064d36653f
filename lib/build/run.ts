import { spawn } from "node:child_process";

export interface RunResult {
  /** Undefined when it did not start or a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly error: Error | undefined;
}

export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a command to its end; never rejects, but for the signal's abort. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, signal: options.signal, stdio: ["ignore", "pipe", "pipe"] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString("utf8");
    child.on("error", (error) => {
      if (options.signal?.aborted) reject(options.signal.reason);
      else resolve({ status: undefined, stdout: text(out), stderr: text(err), error });
    });
    child.on("close", (status) =>
      resolve({ status: status ?? undefined, stdout: text(out), stderr: text(err), error: undefined }),
    );
  });
}
