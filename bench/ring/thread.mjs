/** What is lost while JavaScript is busy with something else: by the event loop alone, with a thread that reads, with a larger ring. */
import { threads } from "./build.mjs";
import { load } from "./rig.mjs";

const KIB = 1024;
/** JavaScript is busy so long, again and again, and free for a moment in between. */
const BUSY_MS = 50;
const FREE_MS = 10;
/** The producer sends 32 records and rests so long. */
const GAP_NS = 100_000;

function spin(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

async function row(name, { ringBytes, reader, runs }) {
  const object = await load(ringBytes, {}, (opened) => {
    opened.ring("records").reader = reader;
  });
  try {
    const ring = object.ringBuffer("records");
    let delivered = 0;
    ring.on("event", () => delivered++);
    const thread = threads();
    const began = performance.now();
    const producer = thread.pace(object.program("send_records").fd, runs, GAP_NS);
    while (!thread.isDone(producer)) {
      spin(BUSY_MS);
      await new Promise((resolve) => setTimeout(resolve, FREE_MS));
    }
    const seconds = (performance.now() - began) / 1000;
    const { error } = thread.stop(producer);
    if (error < 0) throw new Error(`the producer failed: ${error}`);
    ring.flush();
    const { produced, lost } = ring.totals;
    if (produced !== delivered + lost) throw new Error(`${produced} != ${delivered} + ${lost}`);
    return { name, produced, rate: produced / seconds, lost, share: (100 * lost) / produced };
  } finally {
    object.close();
  }
}

export async function readingThread({ runs }) {
  return [
    await row("the event loop, ring of 256 KiB", { ringBytes: 256 * KIB, reader: "loop", runs }),
    await row("a thread, ring of 256 KiB", { ringBytes: 256 * KIB, reader: "thread", runs }),
    await row("the event loop, ring of 8 MiB", { ringBytes: 8192 * KIB, reader: "loop", runs }),
  ];
}
