/** `produced = delivered + lost (+ pending)`, while several processes produce and at rest, under every kind of load. */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { LoadedObject, LostRecords, ReaderChoice, RecordStream, RingBuffers, Wakeup } from "ebpf";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Child } from "../support/run.js";
import { until } from "../support/until.js";
import { type Blob, type Loaded, loadFixture, READERS, type Rec } from "./streams.js";

const PRODUCE = fileURLToPath(new URL("children/produce.mjs", import.meta.url));
const ROUNDS = 10;
const RUNS = 2000;

/** A listener that looks into each record, and counts. */
class Reading {
  seen = 0;
  wrong = 0;
  /** Of blobs' data. */
  readonly lengths = new Set<number>();
  readonly lost: LostRecords[] = [];

  take = (record: Rec | Blob): void => {
    this.seen++;
    if (!("data" in record ? this.#isBlob(record) : isRecord(record))) this.wrong++;
  };

  #isBlob({ seq, length, data }: Blob): boolean {
    this.lengths.add(data.length);
    const first = Number(seq & 0xffn);
    return length === data.length && data.every((byte, i) => byte === ((first + i) & 0xff));
  }
}

function isRecord({ seq, pid, value }: Rec): boolean {
  const number = Number(seq);
  return pid === (number * 7) >>> 0 && value === (number ^ 0x5a5a5a5a) >>> 0;
}

/** What the BPF side counts of a ring, as bpf/include/ebpf/events.h declares it. */
interface Counters {
  readonly cpu: readonly {
    readonly produced: bigint;
    readonly lost: bigint;
    readonly lost_bytes: bigint;
    readonly last_lost_ns: bigint;
  }[];
}

describe("nothing is unaccounted for", () => {
  let object: Loaded;
  afterEach(() => object?.close());

  const producers: Child[] = [];
  beforeAll(async () => {
    // Pinned, so that what a CPU lost is told by that CPU.
    for (const cpu of [0, availableParallelism() - 1])
      producers.push(new Child("taskset", ["-c", String(cpu), process.execPath, PRODUCE]));
    await until("producers", () => producers.every(({ stdout }) => stdout.startsWith("ready\n")), 120_000);
  }, 150_000);
  afterAll(async () => {
    for (const producer of producers) producer.process.stdin?.end();
    await Promise.all(producers.map((producer) => producer.output()));
  });

  /** Two processes on two CPUs produce at once. `watch` is asked again and again meanwhile. */
  async function produce(program: string, watch: () => void, rounds = ROUNDS, runs = RUNS): Promise<void> {
    const { id } = object.program(program).info();
    const told = producers.map(({ stdout }) => stdout.length);
    for (const producer of producers) producer.process.stdin?.write(`${id} ${rounds} ${runs}\n`);
    const done = () => producers.every(({ stdout }, i) => stdout.slice(told[i]) === "done\n");
    while (!done()) {
      for (const { process, stderr } of producers) if (process.exitCode !== null) expect.fail(stderr);
      watch();
      await new Promise(setImmediate);
    }
  }

  /** More was produced than is accounted for otherwise only by what is on its way. */
  function inBounds({ totals }: RecordStream<Rec | Blob>): void {
    const { produced = 0, delivered, lost = 0 } = totals;
    if (produced < delivered + lost) expect.fail(`${produced} < ${delivered} + ${lost}`);
  }

  /** The reports of losses: each loss once, in spans that follow each other. */
  function checkReports(reports: readonly LostRecords[], lost: number | undefined): void {
    let sum = 0;
    let since = 0n;
    for (const report of reports) {
      sum += report.count;
      expect(report.total).toBe(sum);
      expect(report.sinceNs).toBeGreaterThanOrEqual(since);
      expect(report.untilNs).toBeGreaterThanOrEqual(report.sinceNs);
      since = report.untilNs;
    }
    expect(sum).toBe(lost);
  }

  interface Load {
    /** Sends blobs of so many lengths, in place of records of one. */
    readonly lengths?: number;
    readonly ringBytes?: number;
    readonly wakeup?: Wakeup;
    readonly reader?: ReaderChoice;
    /** Reads in its way, until told to end. */
    readonly read: (ring: RecordStream<Rec | Blob>, reading: Reading) => (() => Promise<void> | void) | undefined;
    /** Whether it must lose. */
    readonly loses?: true;
  }

  const listen: Load["read"] = (ring, { take }) => {
    ring.on("event", take);
    return undefined;
  };

  const slowly: Load["read"] = (ring, { take }) => {
    ring.budget = { milliseconds: 1 };
    ring.on("event", (record) => {
      take(record);
      const end = performance.now() + 0.05;
      while (performance.now() < end);
    });
    return undefined;
  };

  const pausing: Load["read"] = (ring, { take }) => {
    let count = 0;
    ring.on("event", (record) => {
      take(record);
      if (++count % 50 > 0) return;
      ring.pause();
      setTimeout(() => ring.resume(), 1);
    });
    return undefined;
  };

  const iterate: Load["read"] = (ring, { take }) => {
    const loop = (async () => {
      let count = 0;
      for await (const record of ring) {
        take(record);
        if (++count % 100 === 0) await new Promise(setImmediate);
      }
    })();
    return () => loop;
  };

  const batches: Load["read"] = (ring, { take }) => {
    ring.on("batch", (batch) => {
      for (const record of batch.views()) take(record);
    });
    return undefined;
  };

  const webStream: Load["read"] = (ring, { take }) => {
    const loop = (async () => {
      for await (const record of ring.toWebStream({ highWaterMark: 16 })) take(record);
    })();
    return () => loop;
  };

  const loads: Record<string, Load> = {
    "an event listener": { read: listen },
    "a tiny ring": { ringBytes: 4096, loses: true, read: listen },
    "a slow handler": { loses: true, read: slowly },
    "pause and resume": { ringBytes: 16384, loses: true, read: pausing },
    batches: { ringBytes: 65536, read: batches },
    "an iterator with pauses": { ringBytes: 16384, loses: true, read: iterate },
    "a Node stream": {
      ringBytes: 65536,
      read: (ring, { take }) => {
        const readable = ring.toReadable({ highWaterMark: 16 }).on("data", take);
        const ended = new Promise<void>((resolve) => readable.once("end", () => resolve()));
        return () => ended;
      },
    },
    "a web stream": { ringBytes: 16384, read: webStream },
    "a timed wake-up": { ringBytes: 16384, wakeup: { milliseconds: 1 }, read: listen },
    "a wake-up by bytes": { ringBytes: 65536, wakeup: { bytes: 8192, milliseconds: 2 }, read: listen },
    "a wake-up by records": { ringBytes: 65536, wakeup: { records: 200, milliseconds: 2 }, read: listen },
    "mixed lengths": { lengths: 97, read: listen },
    "mixed lengths, a tiny ring": { lengths: 97, ringBytes: 4096, loses: true, read: listen },
    "mixed lengths, batches": { lengths: 97, ringBytes: 65536, read: batches },
    "mixed lengths, a web stream": { lengths: 97, ringBytes: 65536, read: webStream },
    "mixed lengths, a wake-up by records": {
      lengths: 97,
      ringBytes: 65536,
      wakeup: { records: 200, milliseconds: 2 },
      read: listen,
    },
    "a thread": { ringBytes: 65536, reader: "thread", read: listen },
    "a thread with little memory, and a slow handler": {
      ringBytes: 4096,
      reader: { thread: { bytes: 65536 } },
      loses: true,
      read: slowly,
    },
    "a thread, and an iterator with pauses": { ringBytes: 16384, reader: "thread", read: iterate },
    "a thread, and pause and resume": { ringBytes: 16384, reader: "thread", loses: true, read: pausing },
    "a thread that looks by time": { ringBytes: 16384, wakeup: { milliseconds: 1 }, reader: "thread", read: listen },
    "a thread that is woken by bytes": {
      ringBytes: 65536,
      wakeup: { bytes: 8192, milliseconds: 2 },
      reader: "thread",
      read: listen,
    },
    "a thread that is woken by records": {
      ringBytes: 65536,
      wakeup: { records: 200, milliseconds: 2 },
      reader: "thread",
      read: listen,
    },
    "a thread, and a web stream": { ringBytes: 16384, reader: "thread", read: webStream },
    "a thread, and mixed lengths": { lengths: 97, ringBytes: 65536, reader: "thread", read: listen },
    "a thread, and batches of mixed lengths": { lengths: 97, ringBytes: 16384, reader: "thread", read: batches },
    "an adaptive wake-up": { ringBytes: 65536, wakeup: "adaptive", read: listen },
  };

  test.each(Object.entries(loads))("%s", async (_, load) => {
    const { lengths } = load;
    const name = lengths === undefined ? "records" : "blobs";
    object = await loadFixture("ring", (opened) => {
      if (load.ringBytes !== undefined) opened.ring(name).maxEntries = load.ringBytes;
      if (load.reader !== undefined) opened.ring(name).reader = load.reader;
      if (load.wakeup !== undefined) opened.ring(name).wakeup = load.wakeup;
      // From one that is copied out of a batch to one that is not.
      if (lengths !== undefined) Object.assign(opened.rodata, { blob_length: 20, blob_spread: lengths });
    });
    const ring = object.ringBuffer(name);
    const reading = new Reading();
    ring.on("lost", (report) => reading.lost.push(report));
    const end = load.read(ring, reading);
    await produce(lengths === undefined ? "generate" : "generate_blob", () => inBounds(ring));
    await until("an empty ring", () => ring.totals.pending === 0);
    const { totals } = ring;
    const { attempted, submitted, refused } = object.bss;
    ring.close();
    await end?.();
    expect(totals.produced).toBe(2 * ROUNDS * RUNS);
    expect(totals.produced).toBe(Number(attempted));
    expect(totals.delivered).toBe(Number(submitted));
    expect(totals.lost).toBe(Number(refused));
    expect(totals.delivered + (totals.lost as number)).toBe(totals.produced);
    expect(reading).toMatchObject({ seen: totals.delivered, wrong: 0 });
    // Of a ring that is full at once, the first of each burst come.
    if (lengths !== undefined) expect(reading.lengths.size).toBeGreaterThan(lengths / 4);
    if (load.loses) expect(totals.lost).toBeGreaterThan(0);
    checkReports(reading.lost, totals.lost);
  });

  test("each CPU counts in a slot of its own", async ({ skip }) => {
    const last = availableParallelism() - 1;
    if (last === 0) skip("needs two CPUs");
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").maxEntries = 4096;
    });
    const ring = object.ringBuffer("records");
    const reading = new Reading();
    ring.on("event", reading.take);
    await produce("generate", () => inBounds(ring));
    await until("an empty ring", () => ring.totals.pending === 0);
    // A skeleton leaves the section out: its streams read it.
    const { cpu: slots } = (object as unknown as LoadedObject).section(".data.ebpf")["ebpf_ring__records"] as Counters;
    const sum = { produced: 0, lost: 0, bytes: 0 };
    for (const [cpu, { produced, lost, lost_bytes, last_lost_ns }] of slots.entries()) {
      const produces = cpu === 0 || cpu === last;
      expect([cpu, Number(produced)]).toEqual([cpu, produces ? ROUNDS * RUNS : 0]);
      if (produces) expect(Number(lost)).toBeGreaterThan(0);
      expect([cpu, last_lost_ns > 0n]).toEqual([cpu, lost > 0n]);
      sum.produced += Number(produced);
      sum.lost += Number(lost);
      sum.bytes += Number(lost_bytes);
    }
    const { produced, lost = 0 } = ring.totals;
    expect(sum).toEqual({ produced, lost, bytes: lost * 32 });
    expect(reading.seen).toBe(sum.produced - sum.lost);
  });

  test.each(READERS)("a perf event array in a ring's place, counted by the program, read by a %s", async (reader) => {
    object = await loadFixture("events_streams", (opened) => {
      opened.ring("either").buffer = "perf";
      opened.ring("either").reader = reader;
    });
    const stream = object.ringBuffer("either");
    const reading = new Reading();
    stream.on("lost", (report) => reading.lost.push(report));
    stream.on("event", reading.take);
    expect(stream.available).toBe(0);
    await produce("send_either", () => inBounds(stream));
    await until("empty buffers", () => stream.totals.pending === 0);
    const { totals } = stream;
    stream.close();
    expect(totals.produced).toBe(2 * ROUNDS * RUNS);
    expect(totals.delivered + (totals.lost as number)).toBe(totals.produced);
    expect(reading).toMatchObject({ seen: totals.delivered, wrong: 0 });
    checkReports(reading.lost, totals.lost);
  });

  test.each(READERS)("a plain perf event array, counted by the kernel, read by a %s", async (reader) => {
    const streams = await loadFixture("events_streams");
    object = streams;
    const stream = object.perfBuffer("plain", { type: "struct record", pages: 1, reader });
    const reading = new Reading();
    stream.on("lost", (report) => reading.lost.push(report));
    stream.on("event", reading.take);
    expect(stream.available).toBe(0);
    await produce("send_plain", () => {});
    // The kernel tells of a loss with the next record that has room on that CPU.
    const accounted = () => stream.totals.delivered + (stream.totals.lost ?? 0);
    const sent = () => Number(streams.bss.sent) + Number(streams.bss.refused);
    await until("the last losses to be told", async () => {
      await produce("send_plain", () => {}, 1, 1);
      return stream.available === 0 && accounted() === sent();
    });
    expect(stream.totals.delivered).toBe(Number(object.bss["sent"]));
    expect(reading).toMatchObject({ seen: stream.totals.delivered, wrong: 0 });
    checkReports(reading.lost, stream.totals.lost ?? 0);
  });

  const ringMaps: Record<string, { wakeup?: Wakeup; reader?: ReaderChoice }> = {
    "woken by each record": {},
    "woken by bytes": { wakeup: { bytes: 2048, milliseconds: 2 } },
    "woken by more than a ring holds": { wakeup: { bytes: 1 << 20, milliseconds: 2 } },
    "woken by records": { wakeup: { records: 20, milliseconds: 2 } },
    "looked into by time": { wakeup: { milliseconds: 1 } },
    "with an adaptive wake-up": { wakeup: "adaptive" },
    "each read by a thread": { reader: "thread" },
    "each read by a thread that is woken by bytes": { wakeup: { bytes: 2048, milliseconds: 2 }, reader: "thread" },
  };

  test.each(
    Object.entries(ringMaps).flatMap(([how, choice]) =>
      (["tenants", "slots"] as const).map((name) => [name, how, choice] as const),
    ),
  )("several rings at once: %s, %s", async (name, _, { wakeup = "event", reader = "loop" }) => {
    object = await loadFixture("events_ring_maps", (opened) => {
      opened.rodata.keys = 3;
      opened.maps[name].wakeup = wakeup;
      opened.maps[name].reader = reader;
    });
    const rings = object.ringBuffers(name) as RingBuffers<unknown, Rec>;
    const readings = [4096, 16384, 1 << 20].map((bytes, id) => {
      const reading = new Reading();
      const ring = rings.add(name === "slots" ? id : { id, zone: 7, pad: 0 }, { bytes });
      ring.on("lost", (report) => reading.lost.push(report));
      ring.on("event", reading.take);
      return { ring, reading };
    });
    await produce(`send_${name}`, () => {
      for (const { ring } of readings) inBounds(ring);
    });
    await until("empty rings", () => readings.every(({ ring }) => ring.totals.pending === 0));
    let produced = 0;
    let lost = 0;
    for (const { ring, reading } of readings) {
      const { totals } = ring;
      ring.close();
      expect(totals.delivered + (totals.lost as number)).toBe(totals.produced);
      expect(reading).toMatchObject({ seen: totals.delivered, wrong: 0 });
      checkReports(reading.lost, totals.lost);
      produced += totals.produced as number;
      lost += totals.lost as number;
    }
    expect(produced).toBe(2 * ROUNDS * RUNS);
    expect(lost).toBe(Number(object.bss["refused"]));
  });
});
