// One of several producers. Each line of its input is `<program id> <rounds> <runs per round>`, and answered with "done" when that is done.
import { createInterface } from "node:readline";
import { ProgramHandle } from "ebpf";

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [id, rounds, runs] = line.split(" ").map(Number);
  const program = ProgramHandle.fromId(id);
  for (let round = 0; round < rounds; round++) {
    program.testRun({ data: new Uint8Array(64), repeat: runs });
    await new Promise(setImmediate);
  }
  program.close();
  console.log("done");
}
