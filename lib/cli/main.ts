#!/usr/bin/env node
import { runCommand } from "./command.js";

// `ebpf vmlinux | head` closes the pipe: the rest has no reader, which is no mistake of anyone's.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await runCommand(process.argv.slice(2), process);
