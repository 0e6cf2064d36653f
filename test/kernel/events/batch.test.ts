import type { RecordBatch, RingBuffer } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { Uncaught } from "../support/uncaught.js";
import { until } from "../support/until.js";
import { expected, type Loaded, READERS, type Rec, readBy, send } from "./streams.js";

describe.each(READERS)("batches, read by a %s", (reader) => {
  const loadFixture = readBy(reader);
  let object: Loaded;
  afterEach(() => object?.close());

  /** Sends records and gives what `look` made of each batch. */
  async function batches<T, Result>(
    ring: RingBuffer<T>,
    program: string,
    runs: number,
    look: (batch: RecordBatch<T>) => Result,
  ): Promise<Result[]> {
    const results: Result[] = [];
    let seen = 0;
    ring.on("batch", (batch) => {
      seen += batch.length;
      results.push(look(batch));
    });
    send(object, program, runs);
    await until(`${runs} records`, () => seen === runs);
    return results;
  }

  test("iterate, index, view and columns say the same", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const [got] = await batches(ring, "generate", 100, (batch) => ({
      objects: [...batch],
      indexed: Array.from({ length: batch.length }, (_, i) => batch.at(i)),
      viewed: Array.from({ length: batch.length }, (_, i) => ({ ...batch.view(i) })),
      walked: [...batch.views()].length,
      copied: Array.from(batch.views(), (record) => ({ ...record })),
      pids: batch.column("pid"),
      seqs: batch.column("seq"),
      bytes: batch.bytes(3),
    }));
    const all = Array.from({ length: 100 }, (_, seq) => expected(seq));
    expect(got?.objects).toEqual(all);
    expect(got?.indexed).toEqual(all);
    expect(got?.viewed).toEqual(all);
    expect(got?.copied).toEqual(all);
    expect(got?.pids).toEqual(Uint32Array.from(all, ({ pid }) => pid));
    expect(got?.seqs).toEqual(BigUint64Array.from(all, ({ seq }) => seq));
    expect(got?.bytes.length).toBe(32);
    expect(new DataView(got?.bytes.buffer as ArrayBuffer).getBigUint64(0, true)).toBe(3n);
    expect(ring.totals).toEqual({ produced: 100, delivered: 100, lost: 0, pending: 0 });
  });

  test("columns go into an array of the caller's, and not into one that is too short or of another kind", async () => {
    object = await loadFixture("ring");
    const into = new Uint32Array(64);
    await batches(object.ringBuffer("records"), "generate", 10, (batch) => {
      expect(batch.column("value", into)).toBe(into);
      expect(() => batch.column("value", new Uint32Array(9))).toThrow(/Uint32Array/);
      expect(() => batch.column("value", new Int32Array(10))).toThrow(/Uint32Array/);
      expect(() => batch.column("comm" as never)).toThrow(/no typed array holds/);
      expect(() => batch.column("valeu" as never)).toThrow(/did you mean|value/);
    });
    expect([...into.subarray(0, 10)]).toEqual(Array.from({ length: 10 }, (_, seq) => expected(seq).value));
  });

  test("columns of records of many sizes too, and nothing is written behind the array", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_spread"] = 7;
    });
    const memory = new Uint32Array(12);
    const into = memory.subarray(0, 9);
    const [result] = await batches(object.ringBuffer("blobs"), "generate_blob", 10, (batch) => {
      expect(() => batch.column("length", into)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
      expect(() => batch.column("length", new Int32Array(10))).toThrow(/Uint32Array/);
      expect([...memory]).toEqual(Array(12).fill(0));
      return [...batch.column("length", memory)];
    });
    expect(result).toEqual([100, 101, 102, 103, 104, 105, 106, 100, 101, 102, 0, 0]);
  });

  test("a batch stays what it is when its handler changes the budget, or asks for more", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_spread"] = 7;
    });
    const ring = object.ringBuffer("blobs");
    const [lengths] = await batches(ring, "generate_blob", 8, (batch) => {
      ring.budget = { records: 100 };
      const next = ring.next({ timeout: 0 });
      expect([...batch].map(({ seq, data }) => [Number(seq), data.length])).toEqual(
        Array.from({ length: 8 }, (_, seq) => [seq, 100 + (seq % 7)]),
      );
      return [next, ...batch.column("length")];
    });
    expect(await lengths?.[0]).toBeUndefined();
    expect(lengths?.slice(1)).toEqual([100, 101, 102, 103, 104, 105, 106, 100]);
    // It holds from the next one on.
    ring.removeAllListeners();
    const sizes = await batches(ring, "generate_blob", 250, (batch) => batch.length);
    expect(Math.max(...sizes)).toBe(100);
  });

  test("the bytes of the record that a handler has stay what they are when it asks for more", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_length"] = 2000;
    });
    const ring = object.ringBuffer("blobs");
    const before: Uint8Array[] = [];
    const after: Uint8Array[] = [];
    let asked: Promise<unknown> | undefined;
    send(object, "generate_blob", 100);
    // Payloads of more than half the memory that is read into: it goes with them.
    ring.on("event", (_, raw) => {
      before.push(raw.bytes.slice());
      // Of the last one: nothing is held then.
      if (before.length === 100) asked = ring.next({ timeout: 0 });
      after.push(raw.bytes.slice());
    });
    await until("all of them", () => after.length === 100);
    expect(after).toEqual(before);
    expect(await asked).toBeUndefined();
  });

  test("records of many sizes: views, columns and bytes find each by its place", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_length"] = 0;
      opened.rodata["blob_spread"] = 50;
    });
    const got = await batches(object.ringBuffer("blobs"), "generate_blob", 100, (batch) => ({
      lengths: [...batch.column("length")],
      tails: Array.from(batch.views(), (blob) => blob.data.length),
      whole: Array.from(batch, (blob) => [Number(blob.seq), blob.data.length, blob.data[0] ?? -1]),
    }));
    const lengths = Array.from({ length: 100 }, (_, seq) => seq % 50);
    expect(got.flatMap(({ lengths }) => lengths)).toEqual(lengths);
    expect(got.flatMap(({ tails }) => tails)).toEqual(lengths);
    expect(got.flatMap(({ whole }) => whole)).toEqual(
      lengths.map((length, seq) => [seq, length, length === 0 ? -1 : seq]),
    );
  });

  test("a batch is one object, and over when its handler returns", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const kept: RecordBatch<Rec>[] = [];
    let walk: IterableIterator<unknown> | undefined;
    let late: unknown;
    ring.on("batch", (batch) => {
      kept.push(batch);
      try {
        walk?.next();
      } catch (error) {
        late = error;
      }
      walk = batch.views();
      walk.next();
    });
    send(object, "generate", 10);
    await until("the first batch", () => kept.length === 1);
    for (const use of [
      () => kept[0]?.length,
      () => kept[0]?.at(0),
      () => kept[0]?.view(0),
      () => kept[0]?.column("pid"),
      () => kept[0]?.bytes(0),
      () => walk?.next(),
    ]) {
      expect(use).toThrow(/valid only until its handler returns/);
    }
    send(object, "generate", 10);
    await until("the second batch", () => kept.length === 2);
    expect(kept[0]).toBe(kept[1]);
    // An iterator does not go over to the next batch, although that is the same object.
    expect(String(late)).toMatch(/valid only until its handler returns/);
  });

  test("records that do not fit their type are told as errors, with their bytes, and are not in the batch", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["odd_every"] = 4;
    });
    const ring = object.ringBuffer("odd");
    const errors: Error[] = [];
    const seqs: bigint[] = [];
    ring.on("error", (error) => errors.push(error));
    ring.on("batch", (batch) => {
      for (const record of batch) seqs.push(record.seq);
    });
    send(object, "send_odd", 20);
    await until("all of them", () => seqs.length + errors.length === 20);
    expect(seqs).toEqual([0n, 1n, 2n, 4n, 5n, 6n, 8n, 9n, 10n, 12n, 13n, 14n, 16n, 17n, 18n]);
    expect(errors[0]).toMatchObject({
      code: "SIZE_MISMATCH",
      message: /a record of 40 bytes came, and struct record has 32/,
    });
    expect((errors[0] as Error & { bytes: Uint8Array }).bytes.subarray(32)).toEqual(
      Uint8Array.of(0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11),
    );
    expect(ring.totals).toEqual({ produced: 20, delivered: 20, lost: 0, pending: 0 });
  });

  test("a batch handler that comes in the middle of a batch sees what is left of it", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    send(object, "generate", 10);
    for (let seq = 0; seq < 4; seq++) expect((await ring.next())?.seq).toBe(BigInt(seq));
    const seen: bigint[] = [];
    ring.on("batch", (batch) => seen.push(...batch.column("seq")));
    await until("the rest", () => seen.length === 6);
    expect(seen).toEqual([4n, 5n, 6n, 7n, 8n, 9n]);
    expect(ring.totals.delivered).toBe(10);
  });

  test("listeners of both kinds see every record, and what a batch handler throws loses none", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    using uncaught = new Uncaught();
    let events = 0;
    let inBatches = 0;
    ring.on("batch", (batch) => {
      inBatches += batch.length;
      throw new Error("batch handler failed");
    });
    ring.on("event", () => events++);
    send(object, "generate", 100);
    await until("all records, and the error", () => events === 100 && uncaught.errors.length > 0);
    expect(inBatches).toBe(100);
  });
});
