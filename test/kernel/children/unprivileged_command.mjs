// Runs ebpf commands as a user who may nothing, and prints what each wrote and its status, as JSON.
import { runCommand } from "../../../dist/cli/command.js";
import { native } from "../../../dist/native.js";

async function run(args) {
  const result = { status: 0, stdout: "", stderr: "" };
  const stream = (name) => ({ write: (text) => (result[name] += text) });
  result.status = await runCommand(args, { stdout: stream("stdout"), stderr: stream("stderr") });
  return result;
}

// The addon is loaded before the rights are gone: it is the kernel that is to refuse.
native();
process.setgroups([]);
process.setgid(65534);
process.setuid(65534);
const results = [];
for (const line of process.argv.slice(2)) results.push(await run(line.split(" ")));
console.log(JSON.stringify(results));
