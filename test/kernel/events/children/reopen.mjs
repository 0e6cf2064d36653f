// A process that opens, reads and closes the same ring again and again, and prints what it holds before the last hundred times and
// after. Usage: node --expose-gc reopen.mjs <ring.bpf.o> loop|thread
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { BpfObject } from "ebpf";

const [, , path, reader] = process.argv;

async function once() {
  const opened = BpfObject.open(path);
  opened.ring("records").reader = reader;
  const object = await opened.load();
  let seen = 0;
  const all = new Promise((resolve) => {
    object.ringBuffer("records").on("event", () => {
      if (++seen === 10) resolve();
    });
  });
  object.program("generate").testRun({ data: new Uint8Array(64), repeat: 10 });
  await all;
  object.close();
}

async function held() {
  // Handles close in a later turn of the event loop, and what they belonged to is garbage only then.
  for (let i = 0; i < 3; i++) {
    await delay(1);
    globalThis.gc();
  }
  const mappings = readFileSync("/proc/self/maps", "utf8").split("\n");
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: mappings.filter((line) => line.includes("bpf")).length,
    threads: readdirSync("/proc/self/task").length,
    bytes: process.memoryUsage().rss,
  };
}

for (let i = 0; i < 20; i++) await once();
const before = await held();
for (let i = 0; i < 100; i++) await once();
console.log(JSON.stringify({ before, after: await held() }));
