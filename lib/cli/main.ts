#!/usr/bin/env node
import { runCommand } from "./command.js";

const unread = new AbortController();

// `ebpf vmlinux | head` closes the pipe: the rest has no reader, which is no mistake of anyone's. What writes files, or removes links, goes on
// to its end; what has none ends.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return unread.abort();
  console.error(`ebpf: cannot write the output: ${error.message}`);
  process.exit(1);
});

// Nobody reads why it failed; that it did, the status still says.
process.stderr.on("error", () => {});

process.exitCode = await runCommand(process.argv.slice(2), process, { signal: unread.signal });
