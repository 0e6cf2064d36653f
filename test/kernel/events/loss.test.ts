import type { LostRecords } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../support/until.js";
import { type Loaded, READERS, readBy, send } from "./streams.js";

const now = () => process.hrtime.bigint();

describe.each(READERS)("losses are told, read by a %s", (reader) => {
  const loadFixture = readBy(reader);
  let object: Loaded;
  afterEach(() => object?.close());

  const tiny = () =>
    loadFixture("ring", (opened) => {
      opened.ring("records").maxEntries = 4096;
    });

  test("of records larger than the whole ring, though no record comes", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.ring("large").maxEntries = 4096;
      opened.rodata["large_bytes"] = 1 << 20;
    });
    const ring = object.ringBuffer("large");
    const lost: LostRecords[] = [];
    let got = 0;
    ring.on("lost", (report) => lost.push(report)).on("event", () => got++);
    send(object, "send_large", 3);
    await until("word of three", () => lost.at(-1)?.total === 3);
    expect(got).toBe(0);
    expect(ring.totals).toEqual({ produced: 3, delivered: 0, lost: 3, pending: 0 });
    // struct blob has 12 bytes before its data.
    expect(lost.reduce((sum, { bytes = 0 }) => sum + bytes, 0)).toBe(3 * (12 + (1 << 20)));
  });

  test("while the stream is paused, and where nobody reads", async () => {
    object = await tiny();
    const ring = object.ringBuffer("records");
    let told = 0;
    ring.on("lost", ({ count }) => {
      told += count;
    });
    send(object, "generate", 1000);
    const { lost: first = 0 } = ring.totals;
    expect(first).toBeGreaterThan(800);
    await until("word of what was lost while nobody read", () => told === first);
    let got = 0;
    const listener = () => got++;
    ring.on("event", listener);
    await until("what was left in the ring", () => got === 1000 - first);
    ring.pause();
    send(object, "generate", 1000);
    const { lost: second = 0 } = ring.totals;
    expect(second).toBeGreaterThan(first + 800);
    await until("word of what was lost while it was paused", () => told === second);
    expect(got).toBe(1000 - first);
  });

  test("in time: each report's span is that of its losses", async () => {
    const before = now();
    object = await tiny();
    const loaded = now();
    const ring = object.ringBuffer("records");
    const lost: LostRecords[] = [];
    ring.on("lost", (report) => lost.push(report)).on("event", () => {});
    let previous: bigint | undefined;
    for (let burst = 1; burst <= 3; burst++) {
      const told = ring.totals.lost;
      let begins: bigint;
      // On a busy machine a thread may keep up with a burst, of which nothing is lost then.
      do {
        begins = now();
        send(object, "generate", 1000);
      } while (ring.totals.lost === told);
      const ends = now();
      await until(`report ${burst}`, () => lost.length >= burst && lost.at(-1)?.total === ring.totals.lost);
      const first = lost[burst - 1] as LostRecords;
      // A thread reads meanwhile, so one burst may be told in several reports.
      const last = lost.at(-1) as LostRecords;
      if (previous === undefined) {
        expect(first.sinceNs).toBeGreaterThanOrEqual(before);
        expect(first.sinceNs).toBeLessThanOrEqual(loaded);
      } else expect(lost.some(({ sinceNs }) => sinceNs === previous)).toBe(true);
      expect(last.untilNs).toBeGreaterThan(begins);
      expect(last.untilNs).toBeLessThan(ends);
      previous = last.untilNs;
      lost.length = burst;
      lost[burst - 1] = last;
    }
  });
});
