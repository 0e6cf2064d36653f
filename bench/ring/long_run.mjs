/** Many records through batch views: memory that stays what it was, and no garbage to collect. */
import { PerformanceObserver } from "node:perf_hooks";
import { threads } from "./build.mjs";
import { load, sink } from "./rig.mjs";

const RUNS_PER_CALL = 4096;
const MIB = 1 << 20;

/** Room for the times at which handlers began and ended. */
const TURNS = 1 << 20;

/** Reads by `handle`, which returns how many records a batch had, until there were so many; what the memory and the collector did. */
async function run(name, { ringBytes, events, warmUp }, handle) {
  const thread = threads();
  const object = await load(ringBytes, {}, (opened) => {
    opened.ring("records").wakeup = "adaptive";
  });
  // When the collector ran, and when the handler did: what it runs for within a handler is the handler's doing.
  const collected = [];
  const began = new Float64Array(TURNS);
  const ended = new Float64Array(TURNS);
  let batches = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) collected.push(startTime);
  });
  try {
    const ring = object.ringBuffer("records");
    const rss = [];
    let count = 0;
    let next = warmUp;
    let heap = 0;
    let started = 0;
    const done = new Promise((resolve) => {
      ring.on("batch", (batch) => {
        began[batches] = performance.now();
        count += handle(batch);
        ended[batches] = performance.now();
        batches = (batches + 1) % TURNS;
        if (count < next) return;
        if (rss.length === 0) {
          observer.observe({ entryTypes: ["gc"] });
          heap = process.memoryUsage().heapUsed;
          started = count;
        }
        rss.push(process.memoryUsage.rss());
        next += events / 50;
        if (count >= warmUp + events) resolve();
      });
    });
    const producer = thread.flood(object.program("send_records").fd, RUNS_PER_CALL);
    await done;
    thread.stop(producer);
    const made = process.memoryUsage().heapUsed - heap;
    // The observer is told in a turn of its own.
    await new Promise((resolve) => setTimeout(resolve, 20));
    ring.flush();
    ring.removeAllListeners();
    const { produced, delivered, lost, pending } = ring.totals;
    if (delivered !== count || produced !== delivered + lost + pending)
      throw new Error(`${produced} produced, ${count} seen, ${delivered} delivered, ${lost} lost, ${pending} pending`);
    let within = 0;
    for (const time of collected) {
      if (began.some((start, i) => start <= time && time < (ended[i] ?? 0))) within++;
    }
    return {
      name,
      events: count - started,
      collections: collected.length,
      within,
      heap: made / MIB,
      first: rss[0] / MIB,
      last: rss.at(-1) / MIB,
      most: Math.max(...rss) / MIB,
    };
  } finally {
    observer.disconnect();
    object.close();
  }
}

export async function longRun(plan) {
  return [
    await run("batches, not looked into", plan, (batch) => batch.length),
    await run("batches, two numbers of each record", plan, (batch) => {
      let mixed = 0;
      for (let i = 0; i < batch.length; i++) {
        const record = batch.view(i);
        mixed ^= record.pid ^ record.value;
      }
      sink.mixed ^= mixed;
      return batch.length;
    }),
  ];
}
