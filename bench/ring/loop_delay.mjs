/** How late the event loop's timers are while a producer never stops. */
import { quantile } from "../statistics.mjs";
import { threads } from "./build.mjs";
import { load, sink } from "./rig.mjs";

const RUNS_PER_CALL = 4096;

/** Milliseconds that timers of 1 ms came late, for so many seconds. */
function delays(seconds) {
  return new Promise((resolve) => {
    const late = [];
    const end = performance.now() + seconds * 1000;
    let due = performance.now() + 1;
    const tick = () => {
      const now = performance.now();
      late.push(now - due);
      if (now >= end) resolve(late);
      else {
        due = performance.now() + 1;
        setTimeout(tick, 1);
      }
    };
    setTimeout(tick, 1);
  });
}

export async function loopDelay({ ringBytes, seconds }) {
  const thread = threads();
  const object = await load(ringBytes, {}, (opened) => {
    opened.ring("records").wakeup = "adaptive";
  });
  try {
    const ring = object.ringBuffer("records");
    const { fd } = object.program("send_records");
    const row = (name, late) => ({
      name,
      median: quantile(late, 0.5),
      p99: quantile(late, 0.99),
      worst: Math.max(...late),
      timers: late.length,
    });
    const rows = [row("nothing to read", await delays(seconds))];
    const spin = (microseconds) => {
      const end = performance.now() + microseconds / 1000;
      while (performance.now() < end);
    };
    const listeners = {
      "plain objects, read and dropped": (record) => {
        sink.mixed ^= record.value;
      },
      "a handler of 10 us per record": () => spin(10),
    };
    for (const [name, listener] of Object.entries(listeners)) {
      ring.on("event", listener);
      const producer = thread.flood(fd, RUNS_PER_CALL);
      rows.push(row(name, await delays(seconds)));
      thread.stop(producer);
      ring.off("event", listener);
    }
    const { produced, delivered, lost, pending } = ring.totals;
    if (produced !== delivered + lost + pending) throw new Error(`${produced} != ${delivered} + ${lost} + ${pending}`);
    return rows;
  } finally {
    object.close();
  }
}
