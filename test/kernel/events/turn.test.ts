/** What a turn of the event loop takes: batch after batch, as far as the budget goes. */
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../support/until.js";
import { type Loaded, loadFixture, send } from "./streams.js";

/** Of 1,000 bytes: the ring holds many times what fits into one batch. */
const RECORDS = 3000;

describe("a turn of the event loop", () => {
  let object: Loaded;
  afterEach(() => object?.close());

  /** A ring with RECORDS in it. */
  async function filled() {
    object = await loadFixture("ring", (opened) => {
      opened.ring("blobs").maxEntries = 4 << 20;
      opened.rodata["blob_length"] = 1000;
    });
    send(object, "generate_blob", RECORDS);
    return object.ringBuffer("blobs");
  }

  /** Reads all; for each batch, how many records, and the turn in which they came. */
  async function read(ring: Awaited<ReturnType<typeof filled>>, handle: (turn: number) => void = () => {}) {
    const batches: { turn: number; length: number }[] = [];
    let turn = 0;
    let immediate = setImmediate(function next() {
      turn++;
      immediate = setImmediate(next);
    });
    let count = 0;
    ring.on("batch", (batch) => {
      for (const { seq } of batch.views()) expect(Number(seq)).toBe(count++);
      batches.push({ turn, length: batch.length });
      handle(turn);
    });
    await until("all records", () => count === RECORDS);
    clearImmediate(immediate);
    const perTurn = new Map<number, number>();
    for (const { turn, length } of batches) perTurn.set(turn, (perTurn.get(turn) ?? 0) + length);
    return { batches: batches.map(({ length }) => length), turns: [...perTurn.values()] };
  }

  test("reads batch after batch", async () => {
    const ring = await filled();
    ring.budget = { milliseconds: 60_000 };
    const { batches, turns } = await read(ring);
    expect(batches.length).toBeGreaterThan(1);
    expect(turns).toEqual([RECORDS]);
  });

  test("takes no more records than its budget", async () => {
    const ring = await filled();
    ring.budget = { records: 700, milliseconds: 60_000 };
    const { batches, turns } = await read(ring);
    expect(batches.length).toBeGreaterThan(turns.length);
    for (const records of turns) expect(records).toBeLessThanOrEqual(700);
  });

  test("reads no further batch when its time is over", async () => {
    const ring = await filled();
    ring.budget = { milliseconds: 5 };
    const { batches, turns } = await read(ring, () => {
      const end = performance.now() + 6;
      while (performance.now() < end);
    });
    expect(turns).toEqual(batches);
  });

  test("reads no further batch when a handler pauses the stream, closes it or takes its listener away", async () => {
    for (const stop of ["pause", "close", "off"] as const) {
      const ring = await filled();
      ring.budget = { milliseconds: 60_000 };
      let batches = 0;
      let available = 0;
      const listener = () => {
        batches++;
        available = ring.available;
        if (stop === "off") ring.off("batch", listener);
        else ring[stop]();
      };
      ring.on("batch", listener);
      await until("a batch", () => batches > 0);
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(batches, stop).toBe(1);
      if (stop !== "close") {
        // All that was not handed out is where it was.
        expect(available).toBeGreaterThan(0);
        expect(ring.available).toBe(available);
        const { delivered, pending } = ring.totals;
        expect(delivered + (pending ?? 0)).toBe(RECORDS);
      }
      object.close();
    }
  });
});
