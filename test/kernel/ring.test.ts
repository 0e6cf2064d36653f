import type { BpfError, LostRecords } from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenedRing, Ring, type record } from "../fixtures/ring.bpf.js";
import { Uncaught } from "./support/uncaught.js";
import { until } from "./support/until.js";

const PACKET = new Uint8Array(64);

/** Runs the generator `total` times, giving way to the event loop, and to what `rest` waits for, in between. */
async function generate(
  object: Ring,
  total: number,
  perCall = 2000,
  rest: (done: number) => unknown = () => new Promise(setImmediate),
): Promise<void> {
  for (let done = 0; done < total; done += perCall) {
    object.programs.generate.testRun({ data: PACKET, repeat: Math.min(perCall, total - done) });
    await rest(Math.min(done + perCall, total));
  }
}

/** Checks records as they come: a plain comparison per record, for there are a million; the first difference is kept for the end. */
class Sequence {
  next = 0;
  #wrong: { readonly got: record; readonly expected: record } | undefined;

  readonly take = (record: record): void => {
    const seq = this.next++;
    const pid = (seq * 7) >>> 0;
    const value = (seq ^ 0x5a5a5a5a) >>> 0;
    if (record.seq !== BigInt(seq) || record.pid !== pid || record.value !== value || record.comm !== "generator") {
      this.#wrong ??= { got: record, expected: { seq: BigInt(seq), pid, value, comm: "generator" } };
    }
  };

  /** Waits for so many, and says whether all of them were right. */
  async complete(count: number): Promise<void> {
    await until(`${count} records`, () => this.next >= count);
    expect(this.next).toBe(count);
    expect(this.#wrong?.got).toEqual(this.#wrong?.expected);
  }
}

describe("ring buffer", () => {
  let object: Ring;
  const load = async (configure: (opened: OpenedRing) => void = () => {}) => {
    const opened = Ring.open();
    configure(opened);
    object = await opened.load();
    return object;
  };
  afterEach(() => object?.close());

  test("a million records arrive, in order, each with its content, and none is unaccounted for", async () => {
    await load((opened) => {
      opened.maps.records.maxEntries = 1 << 20;
    });
    const total = 1_000_000;
    const ring = object.maps.records;
    const sequence = new Sequence();
    ring.on("event", sequence.take);
    // Each round fits the ring; the next begins while this one is still being read.
    await generate(object, total, 10_000, (done) => until("room in the ring", () => sequence.next >= done - 10_000));
    await sequence.complete(total);
    expect(ring.totals).toEqual({ produced: total, delivered: total, lost: 0, pending: 0 });
    expect(object.bss.submitted).toBe(BigInt(total));
  });

  test("loading does not hold the event loop up", async () => {
    using opened = Ring.open();
    let turns = 0;
    let loading = true;
    const turn = () => {
      turns++;
      if (loading) setImmediate(turn);
    };
    setImmediate(turn);
    object = await opened.load();
    loading = false;
    // The verifier has thousands of instructions to look at, a turn is some microseconds.
    expect(turns).toBeGreaterThan(10);
  });

  test("a ring far too small loses records, and every loss is counted and told", async () => {
    await load((opened) => {
      opened.maps.records.maxEntries = 4096;
    });
    const total = 1_000_000;
    const ring = object.maps.records;
    const lost: LostRecords[] = [];
    let delivered = 0;
    let last = -1n;
    let outOfOrder = 0;
    let wrong: record | undefined;
    ring.on("lost", (report) => lost.push(report));
    ring.on("event", (record) => {
      if (record.seq <= last) outOfOrder++;
      last = record.seq;
      delivered++;
      const seq = Number(record.seq);
      if (record.pid !== (seq * 7) >>> 0 || record.value !== (seq ^ 0x5a5a5a5a) >>> 0 || record.comm !== "generator")
        wrong ??= { ...record };
    });
    await generate(object, total, 10_000);
    await until("the ring to be empty", () => ring.totals.pending === 0);
    const totals = ring.totals;
    expect(totals.produced).toBe(total);
    expect(totals.delivered).toBe(delivered);
    expect(outOfOrder).toBe(0);
    expect(wrong).toBeUndefined();
    expect(totals.lost).toBeGreaterThan(total / 2);
    expect(delivered + (totals.lost as number)).toBe(total);
    // The programs' own count, which owes nothing to the header's.
    expect(object.bss.refused).toBe(BigInt(totals.lost as number));
    ring.close();
    expect(lost.reduce((sum, report) => sum + report.count, 0)).toBe(totals.lost);
    expect(lost.at(-1)?.total).toBe(totals.lost);
    expect(lost.every((report) => report.bytes === report.count * 32)).toBe(true);
  });

  test("what is discarded is neither produced nor lost", async () => {
    await load((opened) => {
      opened.rodata.per_run = 10;
      opened.rodata.discard_every = 5;
    });
    const ring = object.maps.records;
    let count = 0;
    ring.on("event", () => count++);
    await generate(object, 100);
    await until("800 records", () => count === 800);
    expect(ring.totals).toEqual({ produced: 800, delivered: 800, lost: 0, pending: 0 });
  });

  test("constants set before load reach the program", async () => {
    await load((opened) => {
      opened.rodata.first_seq = 1_000_000n;
      opened.rodata.comm = "ünïcode";
    });
    const ring = object.maps.records;
    const pending = ring.next();
    await generate(object, 1);
    expect(await pending).toEqual({ seq: 1_000_000n, pid: 7_000_000, value: 1_000_000 ^ 0x5a5a5a5a, comm: "ünïcode" });
    expect(object.rodata.first_seq).toBe(1_000_000n);
    expect(() => {
      (object.rodata as { first_seq: bigint }).first_seq = 1n; // past the compiler
    }).toThrow(/constant from load\(\) on/);
  });

  test("records of many lengths arrive whole, up to the largest", async () => {
    await load((opened) => {
      opened.rodata.blob_length = 0;
      opened.rodata.blob_spread = 4097;
    });
    const ring = object.maps.blobs;
    const total = 5000;
    let next = 0;
    const wrong: string[] = [];
    ring.on("error", (error) => wrong.push(error.message));
    ring.on("event", (blob) => {
      const seq = next++;
      if (blob.length !== seq % 4097 || blob.data.length !== blob.length || blob.seq !== BigInt(seq))
        wrong.push(`blob ${seq}: ${blob.seq}, ${blob.length}, ${blob.data.length}`);
      for (let i = 0; i < blob.data.length; i += 97)
        if (blob.data[i] !== ((seq + i) & 255)) wrong.push(`byte ${i} of blob ${seq}`);
    });
    for (let i = 0; i < total; i += 20) {
      object.programs.generate_blob.testRun({ data: PACKET, repeat: 20 });
      await until("the blobs of this round", () => next === i + 20);
    }
    expect(wrong).toEqual([]);
    expect(ring.totals.delivered).toBe(total);
  });

  test("an async iterator sets the pace, and what it leaves is there for the next", async () => {
    await load();
    const ring = object.maps.records;
    await generate(object, 100);
    const sequence = new Sequence();
    for await (const record of ring) {
      sequence.take(record);
      if (sequence.next === 40) break;
    }
    for await (const record of ring) {
      sequence.take(record);
      if (sequence.next === 100) break;
    }
    await sequence.complete(100);
    expect(ring.totals.delivered).toBe(100);
  });

  test("nobody reading leaves records in the ring; next() with a time limit gives up", async () => {
    await load();
    const ring = object.maps.records;
    expect(await ring.next({ timeout: 1 })).toBeUndefined();
    await generate(object, 10);
    expect(ring.totals).toEqual({ produced: 10, delivered: 0, lost: 0, pending: 10 });
    expect(ring.available).toBe(10 * 40);
    expect((await ring.next())?.seq).toBe(0n);
    const aborted = AbortSignal.abort(new Error("enough"));
    await expect(ring.next({ signal: aborted })).rejects.toThrow("enough");
    const controller = new AbortController();
    for (let i = 1; i < 10; i++) expect((await ring.next())?.seq).toBe(BigInt(i));
    const waiting = ring.next({ signal: controller.signal });
    controller.abort(new Error("stop waiting"));
    await expect(waiting).rejects.toThrow("stop waiting");
    await generate(object, 1);
    expect((await ring.next())?.seq).toBe(10n);
  });

  test("pause() holds back the rest of a batch too, and resume() goes on where it was", async () => {
    await load();
    const ring = object.maps.records;
    const sequence = new Sequence();
    ring.on("event", (record) => {
      sequence.take(record);
      if (sequence.next === 7) ring.pause();
    });
    await generate(object, 20);
    await sequence.complete(7);
    await generate(object, 20);
    expect(sequence.next).toBe(7);
    ring.resume();
    await sequence.complete(40);
  });

  test("closing inside a handler, in the middle of a batch, ends the stream there", async () => {
    await load();
    const ring = object.maps.records;
    let seen = 0;
    const closed = new Promise<void>((resolve) => ring.once("close", resolve));
    ring.on("event", () => {
      if (++seen === 3) ring.close();
    });
    await generate(object, 10);
    await closed;
    expect(seen).toBe(3);
    await expect(ring.next()).rejects.toThrow(/closed/);
  });

  test("closing the object ends iterators and waiting readers", async () => {
    await load();
    const ring = object.maps.records;
    const waiting = ring.next();
    const loop = (async () => {
      for await (const record of ring) expect.fail(`unexpected ${record.seq}`);
    })();
    object.close();
    expect(await waiting).toBeUndefined();
    await loop;
    expect(() => object.maps.records).toThrow(expect.objectContaining<Partial<BpfError>>({ code: "CLOSED" }));
  });

  describe("handlers that throw", () => {
    let uncaught: Uncaught;
    beforeEach(() => {
      uncaught = new Uncaught();
    });
    afterEach(() => uncaught[Symbol.dispose]());

    test("lose no other record, and keep none from other listeners", async () => {
      await load();
      const ring = object.maps.records;
      const first: bigint[] = [];
      const second: bigint[] = [];
      ring.on("event", (record) => {
        first.push(record.seq);
        if (record.seq % 10n === 3n) throw new Error(`handler failed at ${record.seq}`);
      });
      ring.on("event", (record) => second.push(record.seq));
      await generate(object, 100);
      await until("all records, and the errors", () => first.length === 100 && uncaught.errors.length === 10);
      expect(second).toEqual(first);
      expect(uncaught.messages).toEqual(Array.from({ length: 10 }, (_, i) => `handler failed at ${i * 10 + 3}`));
    });

    test("alone too", async () => {
      await load();
      const ring = object.maps.records;
      let seen = 0;
      ring.on("event", () => {
        seen++;
        throw new Error("always");
      });
      await generate(object, 50);
      await until("all records, and the errors", () => seen === 50 && uncaught.errors.length === 50);
    });
  });
});
