// A process that opens, uses and closes the same thing again and again, and prints what it holds before the last hundred times and
// after. Usage: node --expose-gc reopen.mjs <folder of fixtures> loop|thread|perf|recorder|user|refused
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BpfError, BpfObject } from "ebpf";

const [, , folder, kind] = process.argv;
const fixture = (name) => join(folder, `${name}.bpf.o`);
const PACKET = new Uint8Array(64);
const run = (object, program, repeat) => object.program(program).testRun({ data: PACKET, repeat });

/** Resolves at the tenth record. */
const ten = (stream) =>
  new Promise((resolve) => {
    let seen = 0;
    stream.on("event", () => {
      if (++seen === 10) resolve();
    });
  });

async function ring(reader) {
  const opened = BpfObject.open(fixture("ring"));
  opened.ring("records").reader = reader;
  const object = await opened.load();
  const all = ten(object.ringBuffer("records"));
  run(object, "generate", 10);
  await all;
  object.close();
}

async function perf() {
  const object = await BpfObject.load(fixture("events_streams"));
  const buffer = object.perfBuffer("plain", { type: "struct record" });
  const all = ten(buffer);
  // The buffers are there from here on.
  buffer.available;
  run(object, "send_plain", 10);
  await all;
  object.close();
}

async function recorder() {
  const object = await BpfObject.load(fixture("events_streams"));
  const recorder = object.perfRecorder("plain", { type: "struct record", pages: 1 });
  run(object, "send_plain", 10);
  if ([...recorder.snapshot()].length === 0) throw new Error("nothing was recorded");
  object.close();
}

async function user() {
  const object = await BpfObject.load(fixture("events_user_ring"));
  const commands = object.userRingBuffer("commands");
  for (let id = 0; id < 10; id++) commands.write({ id: BigInt(id), value: 1, flag: 1, name: "x" });
  run(object, "drain_commands", 1);
  object.close();
}

const refusals = [
  () => BpfObject.open("/nowhere.bpf.o"),
  () => BpfObject.open(new Uint8Array(64)),
  () => BpfObject.open(readFileSync(fixture("ring")).subarray(0, 3000)),
  () => BpfObject.load(fixture("no_btf")),
  () => BpfObject.load(fixture("reject")),
  () => BpfObject.load(fixture("unknown_func")),
  () => refuse("maps", (object) => object.map("flows").get({ no: "such" })),
  () => refuse("sockops", (object) => object.attach({ cgroup: "/tmp" })),
];

/** Node 20 has no `using`. */
async function refuse(name, action) {
  const object = await BpfObject.load(fixture(name));
  try {
    action(object);
  } finally {
    object.close();
  }
}

async function refused() {
  for (const [i, refusal] of refusals.entries()) {
    let error;
    try {
      await refusal();
    } catch (caught) {
      error = caught;
    }
    if (!(error instanceof BpfError)) throw new Error(`refusal ${i}: ${error ?? "none"}`);
  }
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
    mappings: mappings.filter((line) => /bpf|perf/.test(line)).length,
    threads: readdirSync("/proc/self/task").length,
    bytes: process.memoryUsage().rss,
  };
}

const kinds = { loop: () => ring("loop"), thread: () => ring("thread"), perf, recorder, user, refused };
const once = kinds[kind];
for (let i = 0; i < 100; i++) await once();
const before = await held();
for (let i = 0; i < 100; i++) await once();
console.log(JSON.stringify({ before, after: await held() }));
