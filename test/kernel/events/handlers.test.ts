/** Handlers of every kind that throw, and that close what they are told of; and what none of them may take with it. */
import type { BpfError, LostRecords } from "ebpf";
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
    const ring = object.ringBuffer<Rec>("records");
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
      const ring = object.ringBuffer<Rec>("odd");
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
    const slots = maps.ringBuffers<number, Rec>("slots", { reader });
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
      const ring = object.ringBuffer<Rec>("records");
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

  test("a handler of errors that closes the ring: nothing comes after it, in the same batch either", async () => {
    for (const kind of ["event", "batch"] as const) {
      object = await odd(3);
      const ring = object.ringBuffer<Rec>("odd");
      const order: string[] = [];
      ring.on("error", () => {
        order.push("error");
        ring.close();
      });
      if (kind === "event") ring.on("event", ({ seq }) => order.push(String(seq)));
      else ring.on("batch", (batch) => order.push(...Array.from(batch, ({ seq }) => String(seq))));
      send(object, "send_odd", 7);
      await until("the end", () => ring.closed);
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      // A batch is shown when all of it was looked at.
      expect(order).toEqual(kind === "event" ? ["0", "1", "error"] : ["error"]);
      object.close();
    }
    expect(uncaught.errors).toEqual([]);
  });

  test("a record of the wrong size comes to no reader, and takes none of the next ones with it", async () => {
    type Stream = ReturnType<typeof object.ringBuffer<Rec>>;
    const ways: Record<string, (ring: Stream) => AsyncIterable<Rec>> = {
      "next()": async function* (ring) {
        for (;;) yield (await ring.next()) as Rec;
      },
      "an iterator": (ring) => ring,
      "a Node stream": (ring) => ring.toReadable({ highWaterMark: 2 }),
      "a web stream": (ring) => ring.toWebStream({ highWaterMark: 2 }),
    };
    for (const [way, records] of Object.entries(ways)) {
      object = await odd(3);
      const ring = object.ringBuffer<Rec>("odd");
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
