// One of several producers. Usage: produce.mjs <program id> <rounds> <runs per round>. Says "ready", and begins when its input says so.
import { once } from "node:events";
import { ProgramHandle } from "ebpf";

const [id, rounds, runs] = process.argv.slice(2).map(Number);
const program = ProgramHandle.fromId(id);
const options = { data: new Uint8Array(64), repeat: runs };
console.log("ready");
await once(process.stdin, "data");
for (let round = 0; round < rounds; round++) {
  program.testRun(options);
  await new Promise(setImmediate);
}
program.close();
process.exit();
