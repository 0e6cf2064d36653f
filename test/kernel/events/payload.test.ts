/** Payloads of every length, up to all that a ring holds: whole, to the byte, in the ring's order. */
import { createHash } from "node:crypto";
import type { Wakeup } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../support/until.js";
import { type Blob, type Loaded, READERS, readBy, send } from "./streams.js";

/** Of struct blob: seq, length. */
const HEAD = 12;
const SLAB = 256 * 1024;

describe.each(READERS)("payloads, read by a %s", (reader) => {
  const loadFixture = readBy(reader);
  let object: Loaded;
  let streams: Loaded<"events_streams">;
  afterEach(() => object?.close());

  const load = async (ringBytes: number, wakeup: Wakeup = "event") => {
    object = streams = await loadFixture("events_streams", (opened) => {
      opened.maps.large.maxEntries = ringBytes;
      opened.maps.large.wakeup = wakeup;
    });
    return object.ringBuffer("large");
  };
  let payloads = 0;
  const digest = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex");

  /** Has the program send a record of so many bytes; returns the digest of what is in its tail. */
  function sendBytes(bytes: number): string {
    const whole = new Uint8Array(1 << 20);
    const record = whole.subarray(0, bytes);
    const seed = ++payloads;
    for (let i = HEAD; i < bytes; i++) record[i] = (i * 31 + (i >> 8) * 7 + seed) & 255;
    const view = new DataView(whole.buffer);
    view.setBigUint64(0, BigInt(seed), true);
    view.setUint32(8, bytes - HEAD, true);
    streams.maps.source.set(0, { bytes: whole });
    streams.bss.source_size = bytes;
    send(object, "send_source", 1);
    return digest(record.subarray(HEAD));
  }

  test("each length around every boundary, alone, as large as the ring allows", async () => {
    const ring = await load(1 << 20);
    const got: string[] = [];
    const errors: Error[] = [];
    ring.on("error", (error) => errors.push(error));
    ring.on("event", ({ length, data }) => got.push(`${length} ${data.length} ${digest(data)}`));
    // The kernel keeps 8 bytes free behind the header of 8 (kernel/bpf/ringbuf.c: __bpf_ringbuf_reserve).
    const largest = (1 << 20) - 16;
    const sizes = [
      16,
      17,
      23,
      24,
      25,
      4095,
      4096,
      4097,
      65536,
      SLAB - 8,
      SLAB - 1,
      SLAB,
      SLAB + 1,
      2 * SLAB,
      3 * SLAB + 5,
    ];
    sizes.push(largest - 1, largest, 16, largest);
    const sent: string[] = [];
    for (const size of sizes) {
      const hash = sendBytes(size);
      sent.push(`${size - HEAD} ${size - HEAD} ${hash}`);
      await until(`the record of ${size} bytes`, () => got.length === sent.length);
    }
    expect(got).toEqual(sent);
    expect(errors).toEqual([]);
    sendBytes(largest + 1);
    expect(ring.totals).toEqual({ produced: sizes.length + 1, delivered: sizes.length, lost: 1, pending: 0 });
    expect(object.bss["refused"]).toBe(1n);
  });

  test("small and huge records that wait together come in the ring's order, to listeners, batches and iterators", async () => {
    const sizes = [100, SLAB + 100, 16, 16, 600_000, 17, SLAB, 900_000, 5000, 16];
    for (const kind of ["event", "batch", "iterator"] as const) {
      const ring = await load(4 << 20);
      const sent = sizes.map((size) => `${size - HEAD} ${sendBytes(size)}`);
      const got: string[] = [];
      const take = ({ data }: Blob) => got.push(`${data.length} ${digest(data)}`);
      if (kind === "event") ring.on("event", take);
      else if (kind === "batch") {
        ring.on("batch", (batch) => {
          for (const blob of batch.views()) take(blob);
        });
      } else {
        for await (const blob of ring) {
          take(blob);
          if (got.length === sizes.length) break;
        }
      }
      await until("all of them", () => got.length === sizes.length);
      expect(got, kind).toEqual(sent);
      expect(ring.totals).toMatchObject({ delivered: sizes.length, lost: 0, pending: 0 });
      object.close();
    }
  });

  test("a record that was read and had no room in its batch comes though nothing wakes for it, and by flush()", async () => {
    const lengths: number[] = [];
    const timed = await load(1 << 20, { milliseconds: 1 });
    for (const size of [200_000, 100_000]) sendBytes(size);
    timed.on("event", ({ length }) => lengths.push(length));
    await until("both", () => lengths.length === 2);
    expect(lengths).toEqual([200_000 - HEAD, 100_000 - HEAD]);
    object.close();
    const never = await load(1 << 20, { milliseconds: 0x7fffffff });
    for (const size of [200_000, 100_000]) sendBytes(size);
    expect((await never.next())?.length).toBe(200_000 - HEAD);
    expect(never.available).toBe(100_008);
    never.on("event", ({ length }) => lengths.push(length));
    expect(never.flush()).toBe(1);
    expect(lengths.at(-1)).toBe(100_000 - HEAD);
    expect(never.totals).toMatchObject({ delivered: 2, pending: 0 });
  });

  test("payloads that are kept stay what they were, whatever is read after them, and after the ring is closed", async () => {
    // Few: copied in pieces. Many: the batch's memory is given away with them. Between: both. Of one size, and of many.
    for (const [bursts, length, spread] of [
      [[1, 3, 2], 700, 0],
      [[300, 300, 300], 900, 0],
      [[150, 290, 1, 260], 600, 300],
    ] as const) {
      object = await loadFixture("ring", (opened) => {
        opened.ring("blobs").maxEntries = 1 << 20;
        opened.rodata["blob_length"] = length;
        opened.rodata["blob_spread"] = spread;
      });
      const ring = object.ringBuffer("blobs");
      const kept: Blob[] = [];
      const bytes: Uint8Array[] = [];
      ring.on("event", (blob, raw) => {
        kept.push(blob);
        if (blob.seq % 7n === 0n) bytes.push(raw.bytes);
      });
      let sent = 0;
      for (const burst of bursts) {
        send(object, "generate_blob", burst);
        sent += burst;
        await until(`${sent} blobs`, () => kept.length === sent);
      }
      object.close();
      for (const [seq, blob] of kept.entries()) {
        const expected = length + (spread > 0 ? seq % spread : 0);
        const data = Uint8Array.from({ length: expected }, (_, i) => seq + i);
        expect(blob.seq).toBe(BigInt(seq));
        expect(Buffer.compare(blob.data, data), `payload ${seq}`).toBe(0);
        if (seq % 7 === 0)
          expect(Buffer.compare(bytes[seq / 7]?.subarray(HEAD, HEAD + expected) ?? data, data)).toBe(0);
        expect(Object.keys(blob)).toEqual(["seq", "length", "data"]);
      }
      expect(kept[0]).toEqual({ seq: 0n, length, data: Uint8Array.from({ length }, (_, i) => i) });
    }
  });

  test("one payload cannot be transferred to a worker from under its neighbours; a slice of its own can", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_length"] = 900;
    });
    const kept: Uint8Array[] = [];
    object.ringBuffer("blobs").on("event", ({ data }) => kept.push(data));
    send(object, "generate_blob", 12);
    await until("twelve blobs", () => kept.length === 12);
    for (const [seq, data] of kept.entries()) {
      const alone = data.slice();
      const { port1, port2 } = new MessageChannel();
      if (kept.some((other) => other !== data && other.buffer === data.buffer)) {
        try {
          // Node 20 copies in place of it, later ones throw.
          port1.postMessage(data, [data.buffer as ArrayBuffer]);
        } catch (error) {
          expect((error as Error).name).toBe("DataCloneError");
        }
      }
      port1.postMessage(alone, [alone.buffer]);
      port1.close();
      port2.close();
      expect(alone.length).toBe(0);
      expect(kept.map(({ length }) => length)).toEqual(kept.map(() => 900));
      expect(data[1]).toBe(seq + 1);
    }
    expect(kept.some(({ buffer }, i) => i > 0 && buffer === kept[i - 1]?.buffer)).toBe(true);
  });

  test("single members of a batch's records give their bytes without the batch's memory going with them", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("blobs").maxEntries = 1 << 20;
      opened.rodata["blob_length"] = 900;
    });
    const kept = new Map<number, Uint8Array>();
    let seen = 0;
    object.ringBuffer("blobs").on("batch", (batch) => {
      for (let i = 0; i < batch.length; i += i % 3 === 0 ? 1 : 40) kept.set(seen + i, batch.view(i).data);
      kept.set(seen + batch.length - 1, batch.at(batch.length - 1).data);
      seen += batch.length;
    });
    for (let round = 1; round <= 3; round++) {
      send(object, "generate_blob", 300);
      await until(`${round} x 300 blobs`, () => seen === 300 * round);
    }
    object.close();
    for (const [seq, data] of kept) {
      expect(
        Buffer.compare(
          data,
          Uint8Array.from({ length: 900 }, (_, i) => seq + i),
        ),
        `payload ${seq}`,
      ).toBe(0);
      expect(data.buffer.byteLength).toBeLessThanOrEqual(16 * 1024);
    }
  });
});
