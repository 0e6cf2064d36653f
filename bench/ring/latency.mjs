/** How old a record is when its handler runs, on a machine that does nothing else: this library, and C with epoll. */
import { availableParallelism } from "node:os";
import { quantile } from "../statistics.mjs";
import { threads } from "./build.mjs";
import { load } from "./rig.mjs";

/** Both sides sleep between records. */
const GAP_NS = 1_000_000;
const WARM_UP = 20_000;
/**
 * Where the producer and the readers run. To be woken on another core takes three times as long as on the same, and the scheduler keeps a
 * reader wherever it happens to be: left to it, one run is not like the next.
 */
const PLACES = [
  { where: "wherever", producer: -1, reader: -1 },
  ...(availableParallelism() > 1
    ? [
        { where: "on the same core", producer: 1, reader: 1 },
        { where: "on another core", producer: 0, reader: 1 },
      ]
    : []),
];

/** Pairs of rows: C, and this library. */
export async function latency(plan) {
  const rows = [];
  for (const place of PLACES) rows.push(...(await latencyAt(place, plan)));
  return rows;
}

async function latencyAt({ where, producer: sender, reader: receiver }, { rounds, events }) {
  const thread = threads();
  const object = await load(1 << 20);
  const inC = [];
  const ours = [];
  try {
    thread.runOn(receiver);
    const ring = object.ringBuffer("records");
    const { fd } = object.program("send_stamped");
    const send = async (gap = GAP_NS, count = events) => {
      const producer = thread.pace(fd, count, gap, sender);
      while (!thread.isDone(producer)) await new Promise((resolve) => setTimeout(resolve, 50));
      const { error } = thread.stop(producer);
      if (error < 0) throw new Error(`the producer failed: ${error}`);
    };
    // In turns; the first of each warms up.
    for (let round = -1; round < rounds; round++) {
      const reader = thread.await(ring.fd, events, undefined, receiver);
      await send();
      while (!thread.isDone(reader)) await new Promise((resolve) => setTimeout(resolve, 10));
      const { samples, error } = thread.stop(reader);
      if (error < 0) throw new Error(`the reader in C failed: ${error}`);
      if (round >= 0) inC.push(...samples);

      const seen = [];
      const listener = (record) => seen.push(Number(process.hrtime.bigint() - record.time));
      ring.on("event", listener);
      // So many calls until V8 has compiled all of the way.
      if (round < 0) await send(20_000, WARM_UP);
      await send();
      while (seen.length < (round < 0 ? WARM_UP : 0) + events) await new Promise((resolve) => setTimeout(resolve, 10));
      ring.off("event", listener);
      if (round >= 0) ours.push(...seen);
    }
  } finally {
    thread.runOn(-1);
    object.close();
  }
  const row = (name, samples) => ({
    name,
    median: quantile(samples, 0.5) / 1000,
    low: quantile(samples, 0.1) / 1000,
    p99: quantile(samples, 0.99) / 1000,
  });
  return [row(`libbpf in C with epoll, ${where}`, inC), row(`on("event"), ${where}`, ours)];
}
