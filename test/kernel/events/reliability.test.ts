import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { dirname } from "node:path";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { WritableStream } from "node:stream/web";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { native, REPORT_LENGTH } from "../../../lib/native.js";
import { fixture } from "../support/fixture.js";
import { requires } from "../support/requires.js";
import { Child, run } from "../support/run.js";
import { until } from "../support/until.js";
import { expected, type Loaded, otherReader, READERS, type Rec, readBy, send } from "./streams.js";

/**
 * A hundred slabs are 25 MiB, a hundred perf buffers 50 MiB, and eight hundred objects that were refused 32 MiB and more. V8's heap and malloc's
 * grow by some MiB too, until they have seen everything.
 */
const LEAK_BYTES = 24 * 1024 * 1024;

async function forEach<T>(stream: AsyncIterable<T>, handle: (record: T) => void): Promise<void> {
  for await (const record of stream) handle(record);
}

const child = (name: string) => fileURLToPath(new URL(`children/${name}`, import.meta.url));

function mapId({ fd }: { readonly fd: number }): string {
  const [, id = ""] = /^map_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")) ?? [];
  return id;
}

describe.each(READERS)("streams can be trusted, read by a %s", (reader) => {
  const loadFixture = readBy(reader);
  let object: Loaded;
  afterEach(() => object?.close());

  test("a slow handler gives way: timers run between the records of one batch", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    ring.budget = { milliseconds: 1 };
    expect(ring.budget).toEqual({ records: 8192, milliseconds: 1 });
    let handled = 0;
    const atTick: number[] = [];
    const tick = setInterval(() => atTick.push(handled), 1);
    try {
      ring.on("event", () => {
        handled++;
        const end = performance.now() + 0.5;
        while (performance.now() < end);
      });
      send(object, "generate", 200);
      await until("all records", () => handled === 200);
    } finally {
      clearInterval(tick);
    }
    expect(atTick.filter((count) => count > 0 && count < 200).length).toBeGreaterThan(3);
    expect(ring.totals).toEqual({ produced: 200, delivered: 200, lost: 0, pending: 0 });
  });

  test("no batch is larger than the budget's records", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    ring.budget = { records: 10 };
    const lengths: number[] = [];
    ring.on("batch", (batch) => lengths.push(batch.length));
    send(object, "generate", 95);
    await until("all records", () => lengths.reduce((sum, length) => sum + length, 0) === 95);
    expect(Math.max(...lengths)).toBe(10);
    for (const wrong of [{ records: 0 }, { milliseconds: 0 }, { records: 1.5 }]) {
      expect(() => {
        ring.budget = wrong;
      }).toThrow(/budget/);
    }
  });

  test("a handler that awaits for ever holds nothing up", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    let seen = 0;
    ring.on("event", async () => {
      seen++;
      await new Promise(() => {});
    });
    send(object, "generate", 500);
    await until("all records", () => seen === 500);
  });

  test("two readers of one ring: the second is refused, however it reads, until the first is gone", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    expect(ring.available).toBe(0);
    const other = otherReader(ring.fd);
    await expect(other.next()).rejects.toMatchObject({ code: "BUSY" });
    const errors: unknown[] = [];
    other.on("error", (error) => errors.push(error));
    other.on("event", () => {});
    await until("the error", () => errors.length > 0);
    expect(errors[0]).toMatchObject({ code: "BUSY" });
    other.removeAllListeners();
    ring.close();
    send(object, "generate", 1);
    expect((await other.next())?.length).toBe(32);
    other.close();
  });

  test("another process that reads the ring is seen, and another user who only says so is not", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    // The name of the lock, held by whoever this is.
    const holder = new Child("perl", [child("hold_lock.pl"), mapId(ring), reader === "loop" ? "0" : "65534"]);
    try {
      await until("the holder", () => holder.stdout === "held\n" || (holder.process.exitCode ?? undefined));
      expect(holder.stderr).toBe("");
      if (reader === "loop") await expect(ring.next({ timeout: 0 })).rejects.toMatchObject({ code: "BUSY" });
      else expect(await ring.next({ timeout: 0 })).toBeUndefined();
    } finally {
      holder.process.kill("SIGKILL");
      await holder.finished;
    }
    send(object, "generate", 1);
    expect(await ring.next()).toMatchObject({ seq: 0n });
  });

  test("a stream that could not begin leaves the others what they had", async () => {
    object = await loadFixture("events_streams");
    const ring = object.ringBuffer("either");
    expect(() => ring.toReadable({ highWaterMark: 0 })).toThrow(/highWaterMark/);
    expect(() => ring.toWebStream({ highWaterMark: 0 })).toThrow(/highWaterMark/);
    // A reader of the same ring, so that whoever begins to read is refused.
    const holder = new (native().RingReader)({
      mapFd: ring.fd,
      exclusive: true,
      slab: new ArrayBuffer(4096),
      index: new Int32Array(2),
      report: new Float64Array(REPORT_LENGTH),
      onReady: () => {},
    });
    try {
      await expect(ring.next()).rejects.toMatchObject({ code: "BUSY" });
      await expect(ring[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "BUSY" });
      await expect(ring.toWebStream().getReader().read()).rejects.toMatchObject({ code: "BUSY" });
      const readable = ring.toReadable();
      const [failure] = await Promise.all([once(readable, "error"), readable.read()]);
      expect(failure).toMatchObject([{ code: "BUSY" }]);
    } finally {
      holder.close();
    }
    let got = 0;
    ring.on("event", () => got++);
    send(object, "send_either", 10);
    await until("ten", () => got === 10);
  });

  test("a record larger than the slab arrives whole, between small ones", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["large_bytes"] = 1 << 20;
    });
    const ring = object.ringBuffer("large");
    const got: { seq: bigint; length: number; first: number | undefined; last: number | undefined }[] = [];
    ring.on("event", ({ seq, data }) => got.push({ seq, length: data.length, first: data[0], last: data.at(-1) }));
    for (let round = 0; round < 3; round++) {
      send(object, "send_large", 3);
      await until("three blobs", () => got.length === (round + 1) * 3);
    }
    expect(got).toEqual(
      Array.from({ length: 9 }, (_, seq) => ({ seq: BigInt(seq), length: 1 << 20, first: 0xa5, last: 0x5a })),
    );
    expect(ring.totals).toEqual({ produced: 9, delivered: 9, lost: 0, pending: 0 });
  });

  test("a record of the wrong size is an error with its bytes, and the next ones come", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["odd_every"] = 3;
    });
    const ring = object.ringBuffer("odd");
    const errors: Error[] = [];
    const order: string[] = [];
    ring.on("error", (error) => {
      errors.push(error);
      order.push("error");
    });
    ring.on("event", ({ seq }) => order.push(String(seq)));
    send(object, "send_odd", 7);
    await until("all of them", () => order.length === 7);
    expect(order).toEqual(["0", "1", "error", "3", "4", "error", "6"]);
    expect(errors[0]).toMatchObject({ code: "SIZE_MISMATCH", bytes: expect.objectContaining({ length: 40 }) });
  });

  test("a listener that is not there any more gets nothing, in the middle of a batch too; removeAllListeners() ends reading", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    let seen = 0;
    ring.on("event", () => {
      if (++seen === 5) ring.removeAllListeners();
    });
    send(object, "generate", 20);
    await until("five", () => seen === 5);
    let later = 0;
    ring.on("event", () => later++);
    await until("the other fifteen", () => later === 15);
    expect(seen).toBe(5);
  });

  test("who listens is known at each record, whatever was taken away or is about to come", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const seen = { first: 0, second: 0, batches: 0 };
    const first = () => {
      if (++seen.first === 5) ring.on("event", () => seen.second++);
      if (seen.first === 10) ring.off("event", first);
      if (seen.first === 7)
        ring.once("batch", (batch) => {
          seen.batches += batch.length;
        });
    };
    ring.on("event", first);
    // Somebody looks before the listener is there that was told of.
    ring.on("newListener" as "event", () => ring.flush());
    send(object, "generate", 20);
    await until("all by the second", () => seen.second === 15);
    expect(seen).toEqual({ first: 10, second: 15, batches: 13 });
    // All that an emitter tells of its listeners is taken away, the stream's own watch over them too.
    ring
      .removeAllListeners("newListener" as "event")
      .removeAllListeners("removeListener" as "event")
      .removeAllListeners();
    send(object, "generate", 5);
    let later = 0;
    ring.on("event", () => later++);
    await until("the five", () => later === 5);
    expect(seen.second).toBe(15);
  });

  test("closing the object inside a batch handler, and inside an event handler", async () => {
    for (const kind of ["event", "batch"] as const) {
      object = await loadFixture("ring");
      const ring = object.ringBuffer("records");
      let calls = 0;
      ring.on(kind, () => {
        calls++;
        object.close();
      });
      const closed = new Promise<void>((resolve) => ring.once("close", resolve));
      send(object, "generate", 10);
      await closed;
      expect(calls).toBe(1);
      expect(ring.totals.produced).toBe(10);
    }
  });

  test("a Node stream: every record in order, with back-pressure; what is destroyed takes no record with it", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    send(object, "generate", 3000);
    const readable = ring.toReadable({ highWaterMark: 16 });
    const got: Rec[] = [];
    for await (const record of readable) {
      got.push(record as Rec);
      if (got.length === 1000) break;
    }
    expect(got).toEqual(Array.from({ length: 1000 }, (_, seq) => expected(seq)));
    expect(ring.totals.delivered).toBeLessThanOrEqual(1000 + 17);
    const next = ring.totals.delivered;
    expect((await ring.next())?.seq).toBe(BigInt(next));
  });

  test("pipelines: into a slow sink every record in order, and one that fails leaves the ring to others", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    send(object, "generate", 2000);
    const got: bigint[] = [];
    const aborting = new AbortController();
    const slow = new Writable({
      objectMode: true,
      highWaterMark: 2,
      write({ seq }: Rec, _encoding, done) {
        got.push(seq);
        if (got.length === 2000) aborting.abort();
        setImmediate(done);
      },
    });
    await expect(pipeline(ring.toReadable(), slow, { signal: aborting.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(got).toEqual(Array.from({ length: 2000 }, (_, seq) => BigInt(seq)));
    send(object, "generate", 100);
    const failing = new Writable({
      objectMode: true,
      write(_record, _encoding, done) {
        done(new Error("no more"));
      },
    });
    await expect(pipeline(ring.toReadable({ highWaterMark: 1 }), failing)).rejects.toThrow("no more");
    const web = new WritableStream<Rec>({
      write() {
        throw new Error("not here either");
      },
    });
    await expect(ring.toWebStream({ highWaterMark: 1 }).pipeTo(web)).rejects.toThrow("not here either");
    const left = (await ring.next())?.seq ?? 0n;
    // Each of the two had a few at most.
    expect(left).toBeGreaterThanOrEqual(2000n);
    expect(left).toBeLessThan(2010n);
  });

  test("a Node stream keeps the order of records that come one by one while it is being read", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const total = 200;
    let sent = 0;
    const more = (count: number) => {
      send(object, "generate", Math.min(count, total - sent));
      sent = Math.min(total, sent + count);
    };
    const got: Rec[] = [];
    more(1);
    for await (const record of ring.toReadable({ highWaterMark: 16 })) {
      got.push(record as Rec);
      if (got.length === total) break;
      if (sent < total) more(1 + (got.length % 3));
      if (got.length % 7 === 0) await new Promise(setImmediate);
    }
    expect(got).toEqual(Array.from({ length: total }, (_, seq) => expected(seq)));
  });

  test("a destroyed stream that was waiting leaves the next record to others", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const readable = ring.toReadable();
    readable.on("data", () => {});
    await new Promise(setImmediate);
    readable.destroy();
    await new Promise((resolve) => readable.once("close", resolve));
    send(object, "generate", 1);
    expect((await ring.next())?.seq).toBe(0n);
  });

  test("an iterator that is left while it waits takes no record with it", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    const iterator = ring[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next()];
    // Node leaves it so.
    const readable = Readable.from(ring);
    readable.resume();
    await new Promise(setImmediate);
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    readable.destroy();
    for (const next of waiting) expect(await next).toEqual({ done: true, value: undefined });
    await once(readable, "close");
    send(object, "generate", 2);
    expect(await ring.next()).toMatchObject({ seq: 0n });
    const seqs: bigint[] = [];
    ring.on("event", ({ seq }) => seqs.push(seq));
    await until("the listener's", () => seqs.length === 1);
    expect(ring.totals).toEqual({ produced: 2, delivered: 2, lost: 0, pending: 0 });
  });

  test("a ring whose position somebody else wrote is an error that says so, to whoever reads, and ends nothing else", async () => {
    for (const how of ["listener", "iterator", "flush"] as const) {
      object = await loadFixture("ring", (opened) => {
        // What will be taken for a record's length.
        opened.rodata["first_seq"] = 1_000_000n;
      });
      const ring = object.ringBuffer("records");
      send(object, "generate", 10);
      run("perl", child("move_position.pl"), mapId(ring), "8");
      const wanted = { code: "SYSTEM", message: expect.stringMatching(/ring records.*no record.*EBADMSG/) };
      const errors: unknown[] = [];
      if (how === "iterator") await expect(ring[Symbol.asyncIterator]().next()).rejects.toMatchObject(wanted);
      else {
        ring.on("error", (error) => errors.push(error));
        ring.on("event", () => {});
        if (how === "flush") expect(() => ring.flush()).toThrow(expect.objectContaining(wanted));
        else await until("the error", () => errors.length > 0);
      }
      if (how === "listener") expect(errors).toEqual([expect.objectContaining(wanted)]);
      // It goes on, with whatever is there then.
      expect(await ring.next({ timeout: 0 })).toBeUndefined();
      object.close();
    }
  });

  test("a web stream: every record in order, with back-pressure; what is cancelled takes no record with it", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    send(object, "generate", 3000);
    const got: Rec[] = [];
    for await (const record of ring.toWebStream({ highWaterMark: 16 })) {
      got.push(record);
      if (got.length === 1000) break;
    }
    expect(got).toEqual(Array.from({ length: 1000 }, (_, seq) => expected(seq)));
    const { delivered } = ring.totals;
    expect(delivered).toBeLessThanOrEqual(1000 + 17);
    expect((await ring.next())?.seq).toBe(BigInt(delivered));
  });

  test("a web stream ends when the ring is closed", async () => {
    object = await loadFixture("ring");
    const ring = object.ringBuffer("records");
    send(object, "generate", 50);
    const reader = ring.toWebStream().getReader();
    for (let seq = 0; seq < 50; seq++) expect((await reader.read()).value).toEqual(expected(seq));
    const last = reader.read();
    ring.close();
    expect((await last).done).toBe(true);
  });

  test.each(["by a listener", "by an iterator"])(
    "a producer that never stops keeps neither timers nor sockets from their turn, read %s",
    async (how) => {
      object = await loadFixture("ring");
      const ring = object.ringBuffer("records");
      // Destroyed at the end with bytes on their way.
      const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
      const producer = new Child(process.execPath, [child("produce.mjs")]);
      let iterated: Promise<void> | undefined;
      let ticks = 0;
      let echoes = 0;
      const timer = setInterval(() => ticks++, 1);
      try {
        let count = 0;
        const handle = () => {
          count++;
          // Slower than the producer: the ring is never empty.
          const end = performance.now() + 0.01;
          while (performance.now() < end);
        };
        if (how === "by a listener") ring.on("event", handle);
        else iterated = forEach(ring, handle);
        await until("a producer", () => producer.stdout.startsWith("ready\n"), 120_000);
        producer.process.stdin?.write(`${object.program("generate").info().id} 1000000000 5000\n`);
        await until("the ring to run over", () => (ring.totals.lost ?? 0) > 0);
        const began = { ticks, count, lost: ring.totals.lost ?? 0 };
        client.on("data", () => {
          echoes++;
          client.write("again");
        });
        client.write("first");
        await until("timers, sockets and records", () => {
          const { lost, delivered } = ring.totals;
          return (
            ticks > began.ticks + 50 &&
            echoes > 50 &&
            count > began.count + 1000 &&
            delivered > began.count &&
            (lost ?? 0) > began.lost &&
            // The producer is ahead now, too: it is another process, and may have to wait for its turn.
            ring.available > 0
          );
        });
      } finally {
        clearInterval(timer);
        client.destroy();
        server.close();
        producer.process.kill("SIGKILL");
        await producer.finished;
      }
      await until("an empty ring", () => ring.totals.pending === 0);
      const { produced, delivered, lost } = ring.totals;
      expect(delivered + (lost as number)).toBe(produced);
      ring.close();
      await iterated;
    },
  );

  // What keeps Node's loop alive and awake is no matter of the kernel, and each of these is a process.
  const loop = requires({ notInVm: true });
  for (const wakeup of ["event", "timed"])
    loop.test(
      `ref() and unref() say whether a stream keeps the process alive, and without listeners it does not: wake-up ${wakeup}`,
      async () => {
        const ways = ["ref", "unref", "off"].map((way) =>
          new Child(process.execPath, [child("stream.mjs"), way, fixture("ring"), reader, wakeup]).output(),
        );
        expect(await Promise.all(ways)).toEqual(["kept alive\n", "", ""]);
      },
    );

  // A thread looks by time or is woken, and does not adapt.
  for (const wakeup of reader === "loop" ? ["event", "adaptive"] : ["event"])
    loop.test(`idle, with wake-ups ${wakeup}: the event loop rests, and so does the thread`, async () => {
      const run = new Child(process.execPath, [child("stream.mjs"), "idle", fixture("ring"), reader, wakeup]);
      const rests = (await run.output()).trim().split("\n");
      const { turns, woken } = JSON.parse(rests.at(-1) ?? "") as { turns: number; woken: number };
      // The timer by which the rest was measured is a turn, and V8 may have left something to do; one of 5 ms would be eighty.
      expect(turns).toBeLessThanOrEqual(5);
      expect(woken).toBe(0);
    });

  for (const [name, code, output] of [
    ["exit", 7, /^handled 3\n$/],
    ["worker", 0, /^terminated after some, main goes on\n$/],
    ["fork", 0, /^child ended, all 100 here\n$/],
  ] as const)
    (name === "exit" ? requires({}) : loop).test(`process: ${name} in the middle of a stream`, async () => {
      const run = new Child(process.execPath, [child("stream.mjs"), name, fixture("ring"), reader]);
      const finished = await run.finished;
      expect(finished.stderr).toBe("");
      expect(finished.stdout).toMatch(output);
      expect(finished.code).toBe(code);
    });
});

describe("a hundred times", () => {
  for (const kind of ["loop", "thread", "perf", "recorder", "user", "refused"])
    requires({ notInVm: true, ...(kind === "user" ? { mapType: "userRingbuf" } : {}) }).test(
      `descriptors, mappings, threads and memory are as before: ${kind}`,
      async () => {
        // One arena of malloc(): each thread that loads has its own otherwise, which grows until it has seen everything.
        const args = ["--expose-gc", child("reopen.mjs"), dirname(fixture("ring")), kind];
        const run = new Child(process.execPath, args, { MALLOC_ARENA_MAX: "1" });
        const { before, after } = JSON.parse(await run.output());
        expect({ ...after, bytes: 0 }).toEqual({ ...before, bytes: 0 });
        // AddressSanitizer keeps what was freed, to tell who uses it.
        if (process.env["EBPF_ADDON"] !== undefined) return;
        expect(after.bytes - before.bytes).toBeLessThan(LEAK_BYTES);
      },
      300_000,
    );
});
