/** A thread that empties the ring while JavaScript is busy: nothing runs on this thread then, not even what would read. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ReaderChoice, Wakeup } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { Ring } from "../../fixtures/ring.bpf.js";
import { until } from "../support/until.js";
import { expected, type Loaded, loadFixture, READERS, type Rec, send } from "./streams.js";

const PRODUCER = fileURLToPath(new URL("children/produce_meanwhile.mjs", import.meta.url));
const RING_BYTES = 256 * 1024;
/** What the ring holds of the records, each with its header. */
const CAPACITY = RING_BYTES / 40;

describe("a thread that reads", () => {
  let object: Loaded<"ring">;
  afterEach(() => object?.close());

  const load = async (reader: ReaderChoice, wakeup: Wakeup = "event") => {
    object = await loadFixture("ring", (opened) => {
      opened.maps.records.wakeup = wakeup;
      opened.maps.records.reader = reader;
    });
    return object.maps.records;
  };
  const unread = () => object.programs.unread.testRun({ data: new Uint8Array(64) }).returnValue;
  /** Kept as they are at this moment: nothing else runs on this thread. */
  const totalsNow = () => ({ ...object.maps.records.totals });
  const inOrder = (count: number) => Array.from({ length: count }, (_, seq) => BigInt(seq));
  const readerThreads = () =>
    readdirSync("/proc/self/task").filter(
      (task) => readFileSync(`/proc/self/task/${task}/comm`, "utf8") === "ebpf-reader\n",
    );

  /**
   * Blocks this thread until another one has sent so many bursts, each of `runs` records, and calls `then` before anything else can run.
   * `awaits`: each burst until the ring is empty.
   */
  async function busyWhile<T>(bursts: number, runs: number, awaits: boolean, then: () => T): Promise<T> {
    const done = new Int32Array(new SharedArrayBuffer(4));
    const { generate, unread } = object.programs;
    const producer = new Worker(PRODUCER, {
      workerData: { generate: generate.info().id, unread: unread.info().id, bursts, runs, awaits, done },
    });
    const exited = new Promise((resolve) => producer.once("exit", resolve));
    const failed = new Promise<never>((_, reject) => producer.once("error", reject));
    await Promise.race([new Promise((resolve) => producer.once("online", resolve)), failed]);
    try {
      expect(Atomics.wait(done, 0, 0, 60_000)).not.toBe("timed-out");
      return then();
    } finally {
      await Promise.race([producer.terminate(), failed]);
      await exited;
    }
  }

  test("loses nothing of what comes while JavaScript is busy, where the event loop loses all that the ring does not hold", async () => {
    const bursts = 20;
    const runs = Math.floor(CAPACITY / 2);
    const sent = bursts * runs;
    for (const reader of READERS) {
      const ring = await load(reader);
      const seqs: bigint[] = [];
      ring.on("event", ({ seq }) => seqs.push(seq));
      expect(ring.available).toBe(0);
      const busy = await busyWhile(bursts, runs, reader === "thread", totalsNow);
      const held = reader === "thread" ? sent : Math.floor(CAPACITY);
      expect(busy).toEqual({ produced: sent, delivered: 0, lost: sent - held, pending: held });
      await until("all that was held", () => seqs.length === held);
      expect(seqs).toEqual(inOrder(held));
      expect(ring.totals).toEqual({ produced: sent, delivered: held, lost: sent - held, pending: 0 });
      object.close();
    }
  });

  test("reads on while a loop over the records is busy with one", async () => {
    const ring = await load("thread");
    send(object, "generate", 1);
    const seqs: bigint[] = [];
    for await (const { seq } of ring) {
      seqs.push(seq);
      if (seqs.length === 1) {
        const busy = await busyWhile(10, 5000, true, totalsNow);
        expect(busy).toEqual({ produced: 50_001, delivered: 1, lost: 0, pending: 50_000 });
      }
      if (seqs.length === 50_001) break;
    }
    expect(seqs).toEqual(inOrder(50_001));
  });

  test("takes no more memory than it may: then the ring fills, and what it has no room for is counted", async () => {
    const bytes = 1 << 16;
    const ring = await load({ thread: { bytes } });
    expect(ring.reader).toEqual({ thread: { bytes } });
    let last = -1n;
    let count = 0;
    let disorder = 0;
    ring.on("event", ({ seq }) => {
      if (seq <= last) disorder++;
      last = seq;
      count++;
    });
    expect(ring.available).toBe(0);
    const { produced, delivered, lost, pending } = await busyWhile(10, 5000, false, totalsNow);
    expect(produced).toBe(50_000);
    expect(delivered).toBe(0);
    // The ring is full; so is the thread's memory, which holds the records without their headers.
    expect(pending).toBeGreaterThanOrEqual(Math.floor(CAPACITY));
    expect(pending).toBeLessThanOrEqual(CAPACITY + bytes / 32);
    expect((lost as number) + (pending as number)).toBe(50_000);
    await until("all of them", () => ring.totals.pending === 0);
    expect(count).toBe(ring.totals.delivered);
    expect(count + (ring.totals.lost as number)).toBe(50_000);
    expect(disorder).toBe(0);
  });

  test("rests while the stream is paused, or nobody reads: what comes then stays in the ring", async () => {
    const ring = await load("thread");
    let count = 0;
    const listener = () => count++;
    const turns = async () => {
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    expect(ring.available).toBe(0);
    send(object, "generate", 10);
    await turns();
    expect(unread()).toBe(400);
    ring.on("event", listener);
    await until("ten", () => count === 10);
    expect(unread()).toBe(0);
    ring.pause();
    send(object, "generate", 10);
    await turns();
    expect(unread()).toBe(400);
    expect(ring.available).toBe(400);
    expect(ring.totals.pending).toBe(10);
    ring.resume();
    await until("ten more", () => count === 20);
    ring.off("event", listener);
    send(object, "generate", 10);
    await turns();
    expect(unread()).toBe(400);
    expect((await ring.next())?.seq).toBe(20n);
  });

  test("flush() hands out what waits in the ring and in the thread's memory, whatever the wake-up", async () => {
    const ring = await load("thread", { milliseconds: 0x7fffffff });
    let count = 0;
    ring.on("event", () => count++);
    expect(ring.flush()).toBe(0);
    send(object, "generate", 1000);
    expect(ring.available).toBe(40_000);
    expect(ring.flush()).toBe(1000);
    expect(count).toBe(1000);
    expect(ring.available).toBe(0);
    const waiting = await busyWhile(5, 1000, false, () => [ring.flush(), ring.flush()]);
    expect(waiting).toEqual([5000, 0]);
  });

  test("what the thread has read and nobody was given goes when the stream is closed, and stays told as pending", async () => {
    const ring = await load("thread");
    ring.on("event", () => ring.close());
    await busyWhile(2, 5000, true, () => expect(unread()).toBe(0));
    await until("the first record", () => ring.closed);
    expect(ring.totals).toEqual({ produced: 10_000, delivered: 1, lost: 0, pending: 9_999 });
    expect(readerThreads()).toEqual([]);
  });

  test("there is one thread for each stream that is read, asleep while nothing comes", async () => {
    const before = readerThreads().length;
    const ring = await load("thread");
    expect(readerThreads().length).toBe(before);
    let count = 0;
    ring.on("event", () => count++);
    send(object, "generate", 1);
    await until("a record", () => count === 1);
    const threads = readerThreads();
    expect(threads.length).toBe(before + 1);
    const switches = () =>
      threads.map((task) =>
        /^voluntary_ctxt_switches:\t(\d+)$/m.exec(readFileSync(`/proc/self/task/${task}/status`, "utf8")),
      );
    await until("a thread at rest", async () => {
      const then = switches();
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
      return JSON.stringify(switches()) === JSON.stringify(then);
    });
    object.close();
    expect(readerThreads().length).toBe(before);
  });

  test("perf event arrays and maps of rings are read by threads too", async () => {
    const streams = await loadFixture("events_streams");
    const stream = streams.perfBuffer("plain", { type: "struct record", reader: { thread: { bytes: 1 << 20 } } });
    expect(stream.reader).toEqual({ thread: { bytes: 1 << 20 } });
    const got: Rec[] = [];
    stream.on("event", (record) => got.push(record));
    expect(stream.available).toBe(0);
    send(streams, "send_plain", 100);
    await until("a hundred", () => got.length === 100);
    expect(got).toEqual(Array.from({ length: 100 }, (_, seq) => expected(seq, "streams")));
    streams.close();
    const maps = await loadFixture("events_ring_maps");
    const slots = maps.ringBuffers("slots", { reader: "thread" });
    const seqs: bigint[] = [];
    slots.add(0).on("event", ({ seq }) => seqs.push(seq));
    expect(slots.get(0)?.reader).toBe("thread");
    send(maps, "send_slots", 10);
    await until("all of them", () => seqs.length === slots.get(0)?.totals.produced && seqs.length > 0);
    expect(readerThreads().length).toBe(1);
    maps.close();
  });

  test("what is chosen is held against what there is", async () => {
    using opened = Ring.open();
    const ring = opened.maps.records;
    expect(ring.reader).toBe("loop");
    for (const [wrong, message] of [
      ["threads", /records\.reader must be "loop", "thread" or \{ thread: \{ bytes \} \}, got "threads"/],
      [{}, /"thread" is missing/],
      [{ thraed: {} }, /unknown option "thraed" \(did you mean "thread"\?\)/],
      [{ thread: { byte: 1 } }, /unknown option "byte"/],
      [{ thread: { bytes: 100 } }, /"bytes" must be a whole number from 65536/],
    ] as const) {
      expect(() => {
        ring.reader = wrong as never;
      }).toThrow(message);
    }
    ring.reader = { thread: {} };
    expect(ring.reader).toEqual({ thread: { bytes: 8 << 20 } });
    expect(() => {
      ring.wakeup = "adaptive";
    }).toThrow(/has no use for a thread; choose "event"/);
    ring.reader = "loop";
    ring.wakeup = "adaptive";
    expect(() => {
      ring.reader = "thread";
    }).toThrow(/has no use for a thread/);
    expect(ring.reader).toBe("loop");
    object = await opened.load();
    expect(() => {
      ring.reader = "thread";
    }).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
    expect(() => object.ringBuffer("blobs", { reader: "process" as never })).toThrow(/blobs\.reader must be/);
    expect(object.ringBuffer("blobs", { reader: "thread" }).reader).toBe("thread");
  });
});
