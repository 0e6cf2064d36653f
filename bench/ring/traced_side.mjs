/** What a record costs the side that sends it, by who waits for it and when that one is woken. */
import { quantile } from "../statistics.mjs";
import { threads } from "./build.mjs";
import { load } from "./rig.mjs";

/** Long enough for a reader that was woken to have read, and to wait again. */
const GAP_NS = 200_000;

const CASES = [
  { name: "no consumer" },
  { name: `wake-up per event`, wakeup: "event" },
  // By bytes and not by its timer: a record takes 40 bytes and comes each 0.2 ms, so that it is 330 ms to a wake-up.
  { name: "wake-up per 64 KiB", wakeup: { bytes: 64 * 1024, milliseconds: 1000 } },
  { name: "timed, every 10 ms", wakeup: { milliseconds: 10 } },
];

/** Single records with rests between them, as the kernel times the program that sends them. */
export async function tracedSide({ events }) {
  const thread = threads();
  const rows = [];
  for (const { name, wakeup } of CASES) {
    const object = await load(1 << 20, {}, (opened) => {
      if (wakeup !== undefined) opened.ring("records").wakeup = wakeup;
    });
    try {
      const ring = object.ringBuffer("records");
      let count = 0;
      if (wakeup !== undefined) ring.on("event", () => count++);
      const producer = thread.pace(object.program("send_stamped").fd, events, GAP_NS);
      while (!thread.isDone(producer)) await new Promise((resolve) => setTimeout(resolve, 50));
      const { samples, error } = thread.stop(producer);
      if (error < 0) throw new Error(`the producer failed: ${error}`);
      if (wakeup !== undefined) ring.flush();
      const { produced, lost } = ring.totals;
      if (produced !== events || lost !== 0 || (wakeup !== undefined && count !== events))
        throw new Error(`${events} events, ${produced} produced, ${count} delivered, ${lost} lost`);
      rows.push({ name, median: quantile(samples, 0.5), low: quantile(samples, 0.1), p99: quantile(samples, 0.99) });
    } finally {
      object.close();
    }
  }
  return rows.map((row) => ({ ...row, more: row.median - rows[0].median }));
}
