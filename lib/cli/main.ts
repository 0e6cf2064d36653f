#!/usr/bin/env node
import { runCommand } from "./command.js";

// `ebpf vmlinux | head` closes the pipe: the rest has no reader, which is no mistake of anyone's.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  console.error(`ebpf: cannot write the output: ${error.message}`);
  process.exit(1);
});

// Nobody reads why it failed; that it did, the status still says.
process.stderr.on("error", () => {});

process.exitCode = await runCommand(process.argv.slice(2), process);
