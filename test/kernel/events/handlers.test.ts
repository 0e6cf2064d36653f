/** Handlers of every kind that throw, and that close what they are told of; and what none of them may take with it. */
import type { BpfError, LostRecords, RecordBatch, RingBuffer } from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bpfDescriptors } from "../support/descriptors.js";
import { Uncaught } from "../support/uncaught.js";
import { until } from "../support/until.js";
import { expected, type Loaded, READERS, type Rec, readBy, send } from "./streams.js";

describe.each(READERS)("handlers, of what is read by a %s", (reader) => {
  const loadFixture = readBy(reader);
  let object: Loaded;
  let uncaught: Uncaught;
  beforeEach(() => {
    uncaught = new Uncaught();
  });
  afterEach(() => {
    object?.close();
    uncaught[Symbol.dispose]();
  });

  const tiny = () =>
    loadFixture("ring", (opened) => {
      opened.ring("records").maxEntries = 4096;
    });
  const odd = (every: number) =>
    loadFixture("events_streams", (opened) => {
      opened.rodata["odd_every"] = every;
    });
  const fail = (what: string) => () => {
    throw new Error(what);
  };

  test("a handler of losses that throws: the loss is told once, the records come, and close() closes", async () => {
    object = await tiny();
    const ring = object.ringBuffer("records");
    const reports: LostRecords[] = [];
    let got = 0;
    ring.on("lost", (report) => {
      reports.push(report);
      throw new Error("lost handler failed");
    });
    ring.on("event", () => got++);
    for (let round = 0; round < 3; round++) {
      send(object, "generate", 1000);
      await until("an empty ring", () => ring.totals.pending === 0);
    }
    const { delivered, lost } = ring.totals;
    await until(
      "word of all losses",
      () => reports.at(-1)?.total === lost && uncaught.errors.length === reports.length,
    );
    expect(got).toBe(delivered);
    expect(delivered + (lost as number)).toBe(3000);
    expect(reports.reduce((sum, { count }) => sum + count, 0)).toBe(lost);
    // The last loss is told by close() itself.
    ring.pause();
    send(object, "generate", 1000);
    const before = reports.length;
    ring.close();
    expect(ring.closed).toBe(true);
    expect(reports.length).toBe(before + 1);
    await until("its error", () => uncaught.errors.length === reports.length);
    expect(new Set(uncaught.messages)).toEqual(new Set(["lost handler failed"]));
  });

  test("a handler of errors that throws, and none at all: the process sees it, and the next records come", async () => {
    for (const listens of [true, false]) {
      object = await odd(3);
      const ring = object.ringBuffer("odd");
      if (listens) ring.on("error", fail("error handler failed"));
      const seqs: bigint[] = [];
      ring.on("event", ({ seq }) => seqs.push(seq));
      send(object, "send_odd", 7);
      await until("five records and two errors", () => seqs.length === 5 && uncaught.errors.length === 2);
      expect(seqs).toEqual([0n, 1n, 3n, 4n, 6n]);
      const message = listens ? /^error handler failed$/ : /a record of 40 bytes came, and struct record has 32/;
      for (const error of uncaught.errors.splice(0)) expect(error.message).toMatch(message);
      expect(ring.totals).toEqual({ produced: 7, delivered: 7, lost: 0, pending: 0 });
      object.close();
    }
  });

  test("a handler of the end that throws: what is closed is closed, and the others with it", async () => {
    const before = bpfDescriptors();
    const maps = await loadFixture("events_ring_maps");
    object = maps;
    const slots = maps.ringBuffers("slots", { reader });
    const rings = [0, 1, 2].map((key) => slots.add(key));
    const waiting = rings.map((ring) => ring.next());
    for (const ring of rings) ring.on("close", fail("close handler failed"));
    maps.close();
    expect(rings.map(({ closed }) => closed)).toEqual([true, true, true]);
    expect(await Promise.all(waiting)).toEqual([undefined, undefined, undefined]);
    await until("three errors", () => uncaught.errors.length === 3);
    await until("all descriptors to be closed", () => bpfDescriptors().length <= before.length);
  });

  test("a handler of losses that closes the ring, when it is told by reading and when it is told by close()", async () => {
    for (const by of ["reading", "closing"] as const) {
      object = await tiny();
      const ring = object.ringBuffer("records");
      const told: number[] = [];
      let ends = 0;
      ring.on("close", () => ends++);
      ring.on("lost", ({ total }) => {
        told.push(total);
        ring.close();
      });
      send(object, "generate", 1000);
      const { lost } = ring.totals;
      expect(lost).toBeGreaterThan(800);
      if (by === "reading") ring.on("event", () => {});
      else ring.close();
      await until("the end", () => ring.closed);
      expect([by, told, ends]).toEqual([by, [lost], 1]);
      expect(ring.totals.lost).toBe(lost);
      object.close();
    }
    expect(uncaught.errors).toEqual([]);
  });

  type Stream = RingBuffer<Rec>;
  /** Has all of a ring's records told, in one way or another, until it is closed. */
  const ways: Record<string, (ring: Stream, tell: (record: Rec) => void) => Promise<void> | undefined> = {
    "an event listener": (ring, tell) => {
      ring.on("event", tell);
      return undefined;
    },
    "two event listeners": (ring, tell) => {
      ring.on("event", tell).on("event", () => {});
      return undefined;
    },
    "a batch listener": (ring, tell) => {
      ring.on("batch", (batch) => {
        for (const record of batch) tell(record);
      });
      return undefined;
    },
    "an event listener, of batches that somebody else looks into": (ring, tell) => {
      ring.on("batch", () => {}).on("event", tell);
      return undefined;
    },
    "next()": async (ring, tell) => {
      for (let record = await ring.next(); record !== undefined; record = ring.closed ? undefined : await ring.next())
        tell(record);
    },
    "an iterator": async (ring, tell) => {
      for await (const record of ring) tell(record);
    },
    "an iterator, of batches that somebody else looks into": async (ring, tell) => {
      ring.on("batch", () => {});
      for await (const record of ring) tell(record);
    },
  };
  // Where there are batch listeners, all of a batch was looked at when it is shown, and nothing of it is told before.
  const byBatch = (way: string) => way.includes("batch");
  const seqOf = (error: BpfError) => (error as BpfError & { bytes: Uint8Array }).bytes[0];

  test.each(Object.entries(ways))(
    "a handler of errors that closes the ring: nothing comes after it: %s",
    async (way, read) => {
      object = await odd(3);
      const ring = object.ringBuffer("odd");
      const order: string[] = [];
      ring.on("error", (error) => {
        order.push(`error ${seqOf(error)}`);
        ring.close();
      });
      send(object, "send_odd", 7);
      const end = read(ring, ({ seq }) => order.push(String(seq)));
      await until("the end", () => ring.closed);
      await end;
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      expect(order).toEqual(byBatch(way) ? ["error 2"] : ["0", "1", "error 2"]);
      expect(ring.totals).toEqual({ produced: 7, delivered: order.length, lost: 0, pending: 7 - order.length });
      expect(uncaught.errors).toEqual([]);
    },
  );

  test.each(Object.entries(ways))(
    "a handler of errors that pauses: neither records nor errors until resume(), then all of them, once: %s",
    async (way, read) => {
      object = await odd(3);
      const ring = object.ringBuffer("odd");
      const order: (number | string)[] = [];
      const wrong: string[] = [];
      const tell = (what: number | string) => {
        if (ring.paused) wrong.push(`${what} while paused`);
        order.push(what);
      };
      ring.on("error", (error) => {
        tell(`error ${seqOf(error)}`);
        // Each is accounted for when it is told.
        if (ring.totals.delivered !== order.length) wrong.push(`${ring.totals.delivered} of ${order.length}`);
        ring.pause();
      });
      send(object, "send_odd", 30);
      const end = read(ring, ({ seq }) => tell(Number(seq)));
      for (let errors = 1; errors <= 10; errors++) {
        await until("an error", () => ring.paused);
        const told = order.length;
        expect(order.filter((what) => typeof what === "string").length).toBe(errors);
        for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        expect(ring.flush()).toBe(0);
        expect(order.length).toBe(told);
        expect(ring.totals).toEqual({ produced: 30, delivered: told, lost: 0, pending: 30 - told });
        ring.resume();
      }
      await until("all of them", () => order.length === 30);
      ring.close();
      await end;
      expect(wrong).toEqual([]);
      const all = Array.from({ length: 30 }, (_, seq) => (seq % 3 === 2 ? `error ${seq}` : seq));
      const isError = (what: number | string) => typeof what === "string";
      if (byBatch(way)) all.sort((a, b) => Number(isError(b)) - Number(isError(a)));
      expect(order).toEqual(all);
      expect(uncaught.errors).toEqual([]);
    },
  );

  test("a handler of errors that takes itself away, or the listener that the batch was for", async () => {
    for (const gone of ["error", "batch"] as const) {
      object = await odd(3);
      const ring = object.ringBuffer("odd");
      const seqs: number[] = [];
      const told: unknown[] = [];
      const onBatch = (batch: RecordBatch<Rec>) => {
        for (const { seq } of batch) seqs.push(Number(seq));
      };
      const onError = (error: BpfError) => {
        told.push(seqOf(error));
        if (told.length > 1) return;
        if (gone === "error") ring.off("error", onError);
        else ring.off("batch", onBatch);
      };
      ring.on("error", onError).on("batch", onBatch);
      send(object, "send_odd", 9);
      if (gone === "error") {
        // Nobody else listens: the others are the process's to see.
        await until("the batch, and two errors", () => seqs.length === 6 && uncaught.errors.length === 2);
        expect(told).toEqual([2]);
        expect(uncaught.errors.splice(0).map((error) => seqOf(error as BpfError))).toEqual([5, 8]);
      } else {
        await until("the first error", () => told.length > 0);
        for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        expect([told, seqs]).toEqual([[2], []]);
        expect(ring.totals).toEqual({ produced: 9, delivered: 1, lost: 0, pending: 8 });
        ring.on("event", ({ seq }) => seqs.push(Number(seq)));
        await until("the others", () => seqs.length === 6);
        expect(told).toEqual([2, 5, 8]);
        expect(uncaught.errors).toEqual([]);
      }
      expect(seqs).toEqual([0, 1, 3, 4, 6, 7]);
      expect(ring.totals).toEqual({ produced: 9, delivered: 9, lost: 0, pending: 0 });
      object.close();
    }
  });

  test("a record of the wrong size comes to no reader, and takes none of the next ones with it", async () => {
    const readers: Record<string, (ring: Stream) => AsyncIterable<Rec>> = {
      "next()": async function* (ring) {
        for (;;) yield (await ring.next()) as Rec;
      },
      "an iterator": (ring) => ring,
      "a Node stream": (ring) => ring.toReadable({ highWaterMark: 2 }),
      "a web stream": (ring) => ring.toWebStream({ highWaterMark: 2 }),
    };
    for (const [way, records] of Object.entries(readers)) {
      object = await odd(3);
      const ring = object.ringBuffer("odd");
      const errors: BpfError[] = [];
      ring.on("error", (error) => errors.push(error));
      send(object, "send_odd", 30);
      const got: Rec[] = [];
      for await (const record of records(ring)) {
        got.push(record);
        if (got.length === 20) break;
      }
      const fits = Array.from({ length: 30 }, (_, seq) => seq).filter((seq) => seq % 3 < 2);
      expect(got, way).toEqual(fits.map((seq) => expected(seq, "streams")));
      expect(errors.length, way).toBeGreaterThanOrEqual(9);
      for (const [i, error] of errors.entries()) {
        expect(error).toMatchObject({ code: "SIZE_MISMATCH" });
        const { bytes } = error as BpfError & { bytes: Uint8Array };
        // Its sequence number, and the eight bytes too many.
        expect([bytes[0], bytes[32], bytes.length], way).toEqual([3 * i + 2, 0x88, 40]);
      }
      object.close();
    }
    expect(uncaught.errors).toEqual([]);
  });
});
