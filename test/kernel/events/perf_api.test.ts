/** What a ring offers, a perf event array offers: pace, pause, streams, flush and errors, by the same methods. */
import type { BpfError, PerfBuffer, Wakeup } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { sample_kind } from "../../fixtures/events_streams.bpf.js";
import { pinnedToOneCpu } from "../support/cpu.js";
import { until } from "../support/until.js";
import { expected, type Loaded, loadFixture, otherReader, PACKET, READERS, type Rec, send } from "./streams.js";

/** What a record of 32 bytes takes: header, length, data and padding. */
const PER_RECORD = 48;

describe.each(READERS)("a perf event array read as a ring is, by a %s", (reader) => {
  let object: Loaded<"events_streams">;
  let pinned: Disposable | undefined;
  afterEach(() => {
    object?.close();
    pinned?.[Symbol.dispose]();
    pinned = undefined;
  });

  /** All that is sent comes from one CPU: its buffer has an order. */
  async function open(options: { pages?: number; wakeup?: Wakeup } = {}) {
    pinned ??= pinnedToOneCpu();
    object = await loadFixture("events_streams");
    const stream = object.perfBuffer("plain", { type: "struct record", reader, ...options });
    // The buffers are there from here on.
    expect(stream.available).toBe(0);
    return stream;
  }
  const inOrder = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => expected(from + i, "streams"));

  test("next() with a time limit and a signal; available bytes; nobody reading leaves records where they are", async () => {
    const stream = await open();
    expect(await stream.next({ timeout: 1 })).toBeUndefined();
    send(object, "send_plain", 10);
    expect(stream.available).toBe(10 * PER_RECORD);
    for (const record of inOrder(0, 10)) expect(await stream.next()).toEqual(record);
    expect(stream.available).toBe(0);
    const controller = new AbortController();
    const waiting = stream.next({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    send(object, "send_plain", 1);
    expect((await stream.next())?.seq).toBe(10n);
  });

  test("an iterator sets the pace, and what it leaves is there for a Node stream and a web stream", async () => {
    const stream = await open({ pages: 128 });
    send(object, "send_plain", 3000);
    const got: Rec[] = [];
    const take = async (records: AsyncIterable<Rec>, upTo: number) => {
      for await (const record of records) {
        got.push(record);
        if (got.length >= upTo) break;
      }
    };
    await take(stream, 100);
    expect(stream.totals.delivered).toBe(100);
    await take(stream.toReadable({ highWaterMark: 16 }), 1000);
    const afterReadable = stream.totals.delivered;
    expect(afterReadable).toBeLessThanOrEqual(1000 + 17);
    expect(got).toEqual(inOrder(0, 1000));
    got.length = 0;
    await take(stream.toWebStream({ highWaterMark: 16 }), 500);
    expect(got).toEqual(inOrder(afterReadable, afterReadable + 500));
    expect(stream.totals.delivered).toBeLessThanOrEqual(afterReadable + 500 + 17);
  });

  test("pause() holds back the rest of a batch, resume() goes on, and removing the last listener ends reading", async () => {
    const stream = await open();
    const seqs: bigint[] = [];
    const listener = ({ seq }: Rec) => {
      seqs.push(seq);
      if (seqs.length === 7) stream.pause();
    };
    stream.on("event", listener);
    send(object, "send_plain", 20);
    await until("seven", () => seqs.length === 7);
    send(object, "send_plain", 20);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(seqs.length).toBe(7);
    stream.resume();
    await until("all", () => seqs.length === 40);
    expect(seqs).toEqual(Array.from({ length: 40 }, (_, seq) => BigInt(seq)));
    stream.off("event", listener);
    send(object, "send_plain", 10);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect([stream.available, seqs.length]).toEqual([10 * PER_RECORD, 40]);
    expect((await stream.next())?.seq).toBe(40n);
  });

  test("flush() hands out what no wake-up has told of; nothing below a watermark, all that is there at it", async () => {
    const never = 0x7fffffff;
    for (const wakeup of [
      { records: 100, milliseconds: never },
      // The kernel wakes at more than so many (kernel/events/ring_buffer.c: __perf_output_begin).
      { bytes: 100 * PER_RECORD - 1, milliseconds: never },
    ]) {
      const stream = await open({ wakeup });
      let got = 0;
      stream.on("event", () => got++);
      using barrier = await loadFixture("ring", (opened) => {
        opened.maps.records.reader = reader;
      });
      let passed = 0;
      barrier.maps.records.on("event", () => passed++);
      // Another ring, woken by each record: what it was sent after has come when what was sent before could have.
      const barriers = async () => {
        for (let i = 0; i < 3; i++) {
          const before = passed;
          send(barrier, "generate", 1);
          await until("the barrier", () => passed > before);
        }
      };
      await barriers();
      send(object, "send_plain", 99);
      await barriers();
      expect(got, JSON.stringify(wakeup)).toBe(0);
      send(object, "send_plain", 1);
      await until("a hundred", () => got === 100);
      await barriers();
      send(object, "send_plain", 50);
      await barriers();
      expect(got).toBe(100);
      expect(stream.flush()).toBe(50);
      expect([got, stream.flush(), stream.available]).toEqual([150, 0, 0]);
      object.close();
    }
  });

  test("a record that is smaller than its type is an error with its bytes, and the next ones come", async () => {
    pinned = pinnedToOneCpu();
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata.per_run = 8;
    });
    // Behind every fourth tick, of 16 bytes, comes a packet, of 8. What comes is padded by 4.
    const ticks = object.perfBuffer("samples" as never, { type: "struct tick", reader }) as PerfBuffer<{ seq: bigint }>;
    const errors: BpfError[] = [];
    const order: string[] = [];
    ticks.on("error", (error) => {
      errors.push(error);
      order.push("error");
    });
    ticks.on("event", ({ seq }) => order.push(String(seq)));
    expect(ticks.available).toBe(0);
    send(object, "send_samples", 1);
    await until("all of them", () => order.length === 10);
    expect(order).toEqual(["0", "1", "2", "3", "error", "4", "5", "6", "7", "error"]);
    const packet = Uint8Array.of(sample_kind.SAMPLE_PACKET, 0, 0, 0, PACKET.length, 0, 0, 0);
    for (const error of errors) {
      expect(error).toMatchObject({
        code: "SIZE_MISMATCH",
        message: expect.stringMatching(/struct tick has at least 16/),
      });
      expect((error as BpfError & { bytes: Uint8Array }).bytes.subarray(0, 8)).toEqual(packet);
    }
    expect(ticks.totals).toEqual({ produced: 10, delivered: 10, lost: 0, pending: 0 });
  });

  test("a second reader is refused until the first is closed, and a handler may close it in the middle of a batch", async () => {
    const stream = await open();
    using second = otherReader(stream.fd, { pages: 1, wakeupEvents: 1, wakeupBytes: 0 });
    await expect(second.next()).rejects.toMatchObject({ code: "BUSY" });
    let seen = 0;
    stream.on("event", () => {
      if (++seen === 3) stream.close();
    });
    send(object, "send_plain", 10);
    await until("the end", () => stream.closed);
    expect(seen).toBe(3);
    await expect(stream.next()).rejects.toMatchObject({ code: "CLOSED" });
    // The buffers of the first went with it.
    expect(second.available).toBe(0);
    send(object, "send_plain", 1);
    expect((await second.next())?.length).toBe(36);
  });
});
