import { type LostRecords, PerfBuffer, PerfEventArrayMap, type RecordStream } from "ebpf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { MapType } from "../../../lib/kernel/abi.js";
import { type NativeAddon, native } from "../../../lib/native.js";
import { type sample, sample_kind } from "../../fixtures/events_streams.bpf.js";
import { pinnedToOneCpu, usableCpus } from "../support/cpu.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { until } from "../support/until.js";
import { expected, type Loaded, loadFixture, PACKET, type Rec, send } from "./streams.js";

const BPF_F_MMAPABLE = 1 << 10;

describe("perf buffer", () => {
  let object: Loaded<"events_streams">;
  afterEach(() => object?.close());

  /** A perf buffer is there from its first listener on: what is sent before is lost. */
  async function collect<T>(stream: RecordStream<T>): Promise<T[]> {
    const got: T[] = [];
    stream.on("event", (record) => got.push(record));
    expect(stream.available).toBe(0);
    return got;
  }

  test("one program, declared with EBPF_EVENTS, runs with a ring and with a perf event array, and reads alike", async () => {
    for (const kind of ["ring", "perf"] as const) {
      object = await loadFixture("events_streams", (opened) => {
        opened.ring("either").buffer = kind;
        expect(opened.ring("either").buffer).toBe(kind);
        opened.rodata["per_run"] = 10;
      });
      const stream = object.ringBuffer("either");
      const got = await collect(stream);
      for (let round = 0; round < 10; round++) {
        send(object, "send_either", 10);
        await until("this round", () => got.length === (round + 1) * 100);
      }
      got.sort((a, b) => Number(a.seq - b.seq));
      expect(got).toEqual(Array.from({ length: 1000 }, (_, seq) => expected(seq, "streams")));
      expect(stream.totals).toEqual({ produced: 1000, delivered: 1000, lost: 0, pending: 0 });
      object.close();
    }
  });

  test("where the kernel has no rings, a program declared with EBPF_EVENTS gets a perf event array by itself", async () => {
    const addon = native();
    const probe = addon.probeMapType.bind(addon);
    const without = vi.spyOn(addon, "probeMapType");
    without.mockImplementation((type) => (type === MapType.ringbuf ? 0 : probe(type)));
    try {
      object = await loadFixture("events_streams", (opened) => expect(opened.ring("either").buffer).toBe("ring"));
    } finally {
      without.mockRestore();
    }
    expect(object.rodata).toMatchObject({ ebpf_perf__either: 1 });
    const stream = object.ringBuffer("either");
    const cpus: unknown[] = [];
    stream.on("event", (_, raw) => cpus.push(raw.cpu));
    const got = await collect(stream);
    send(object, "send_either", 20);
    await until("twenty", () => got.length === 20);
    expect(got).toEqual(Array.from({ length: 20 }, (_, seq) => expected(seq, "streams")));
    // A ring would not say.
    expect(cpus.every((cpu) => typeof cpu === "number")).toBe(true);
    expect(stream.totals).toEqual({ produced: 20, delivered: 20, lost: 0, pending: 0 });
  });

  test("its counters are read where the kernel cannot map an array (before 5.5)", async () => {
    const addon = native() as { Object: NativeAddon["Object"] };
    const { Object: NativeObject } = addon;
    let cleared = 0;
    // As libbpf does there: it clears the flag before it makes the map.
    addon.Object = class extends NativeObject {
      override load() {
        for (const map of this.maps.filter(({ name }) => name.endsWith(".data.ebpf"))) {
          map.flags &= ~BPF_F_MMAPABLE;
          cleared++;
        }
        return super.load();
      }
    };
    try {
      object = await loadFixture("events_streams", (opened) => {
        opened.ring("either").buffer = "perf";
        opened.rodata["per_run"] = 64;
      });
    } finally {
      addon.Object = NativeObject;
    }
    expect(cleared).toBe(1);
    const stream = object.ringBuffer("either");
    const got = await collect(stream);
    send(object, "send_either", 2);
    await until("all of them", () => got.length === 128);
    expect(stream.totals).toEqual({ produced: 128, delivered: 128, lost: 0, pending: 0 });
  });

  test("each record says the CPU that it came from", async () => {
    object = await loadFixture("events_streams");
    const stream = object.perfBuffer("plain", { type: "struct record" });
    const cpus: (number | undefined)[] = [];
    const ofBatches = new Set<number | undefined>();
    stream.on("event", (_, { cpu }) => cpus.push(cpu));
    stream.on("batch", ({ cpu }) => ofBatches.add(cpu));
    expect(stream.available).toBe(0);
    const usable = usableCpus();
    const wanted: number[] = [];
    for (const cpu of [...usable, ...usable]) {
      using _pinned = pinnedToOneCpu(cpu);
      send(object, "send_plain", 3);
      wanted.push(cpu, cpu, cpu);
      await until(`what CPU ${cpu} sent`, () => cpus.length === wanted.length);
    }
    expect(cpus).toEqual(wanted);
    expect([...ofBatches].sort()).toEqual(usable.sort());
  });

  test("what a perf event array had no room for is counted by the program, and told", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.ring("either").buffer = "perf";
      opened.rodata["per_run"] = 64;
    });
    const stream = object.ringBuffer("either");
    const lost: LostRecords[] = [];
    stream.on("lost", (report) => lost.push(report));
    const got = await collect(stream);
    for (let round = 0; round < 5; round++) {
      send(object, "send_either", 200);
      await until("an empty buffer", () => stream.totals.pending === 0);
    }
    const { totals } = stream;
    expect(totals.produced).toBe(5 * 200 * 64);
    expect(totals.delivered).toBe(got.length);
    expect(totals.lost).toBeGreaterThan(0);
    expect(totals.delivered + (totals.lost as number)).toBe(totals.produced);
    stream.close();
    expect(lost.reduce((sum, { count }) => sum + count, 0)).toBe(totals.lost);
  });

  test("a plain perf event array: typed by name, with the packet's bytes behind the record and the CPU", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["packet_bytes"] = 20;
    });
    const stream = object.perfBuffer("plain", { type: "struct record", pages: 8 });
    const got: { record: Rec; tail: Uint8Array; cpu: number | undefined; size: number }[] = [];
    stream.on("event", (record, raw) => got.push({ record, tail: raw.tail, cpu: raw.cpu, size: raw.bytes.length }));
    expect(stream.available).toBe(0);
    // The array itself is a map like others.
    expect(object.map("plain")).toBeInstanceOf(PerfEventArrayMap);
    expect(object.perfBuffer("plain")).toBe(stream);
    send(object, "send_plain", 5);
    await until("five records", () => got.length === 5);
    expect(got.map(({ record }) => record)).toEqual(Array.from({ length: 5 }, (_, seq) => expected(seq, "streams")));
    // 32 and 20 bytes, padded so that they and their length of 4 bytes are a multiple of 8.
    expect(got.map(({ size }) => size)).toEqual(Array(5).fill(52));
    expect(got[0]?.tail).toEqual(PACKET.subarray(0, 20));
    expect(got[0]?.cpu).toBeGreaterThanOrEqual(0);
    expect(stream.totals).toEqual({ produced: undefined, delivered: 5, lost: undefined, pending: undefined });
  });

  test("a perf event array declared with EBPF_PERFBUF: typed by its declaration, of several records, each with its packet", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata.packet_bytes = 20;
      opened.rodata.per_run = 8;
    });
    const stream = object.maps.samples;
    expect(stream).toBeInstanceOf(PerfBuffer);
    expect(object.map("samples")).toBe(stream);
    expect(object.perfBuffer("samples")).toBe(stream);
    expect(object.maps.plain).toBeInstanceOf(PerfEventArrayMap);
    const got: sample[] = [];
    const tails: Uint8Array[] = [];
    stream.on("event", (record, raw) => {
      got.push(record);
      if (record.kind === sample_kind.SAMPLE_PACKET) tails.push(raw.bytes.slice(8, 28));
    });
    // What nobody reads yet is lost, and counted.
    send(object, "send_samples", 1);
    expect(stream.totals).toEqual({ produced: 10, delivered: 0, lost: 10, pending: 0 });
    expect(object.bss.refused).toBe(10n);
    expect(stream.available).toBe(0);
    send(object, "send_samples", 2);
    await until("twenty records", () => got.length === 20);
    expect(got).toEqual(
      Array.from({ length: 16 }, (_, i) => i + 8).flatMap((seq): sample[] => [
        { kind: sample_kind.SAMPLE_TICK, count: seq * 7, seq: BigInt(seq) },
        ...(seq % 4 === 3 ? [{ kind: sample_kind.SAMPLE_PACKET, length: PACKET.length }] : []),
      ]),
    );
    expect(tails).toEqual(Array(4).fill(PACKET.slice(0, 20)));
    expect(object.bss.sent).toBe(20n);
    expect(stream.totals).toEqual({ produced: 30, delivered: 20, lost: 10, pending: 0 });
  });

  test("its options are those of any perf buffer, and its records a recorder's too", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.maps.samples.wakeup = { records: 2, milliseconds: 5 };
    });
    const stream = object.perfBuffer("samples", { pages: 2, convert: ({ kind }) => kind });
    expect(stream.wakeup).toEqual({ records: 2, milliseconds: 5 });
    expect(object.maps.samples).toBe(stream);
    expect(stream.available).toBe(0);
    send(object, "send_samples", 1);
    expect(await stream.next()).toBe(sample_kind.SAMPLE_TICK);
    stream.close();
    const recorder = object.perfRecorder("samples", { pages: 1 });
    send(object, "send_samples", 3);
    expect(recorder.snapshot().map(({ record }) => record)).toEqual([
      { kind: sample_kind.SAMPLE_TICK, count: 7, seq: 1n },
      { kind: sample_kind.SAMPLE_TICK, count: 14, seq: 2n },
      { kind: sample_kind.SAMPLE_TICK, count: 21, seq: 3n },
      { kind: sample_kind.SAMPLE_PACKET, length: PACKET.length },
    ]);
  });

  test("the kernel's own count of what was lost: delivered + lost = what the program sent", async () => {
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["per_run"] = 64;
    });
    const stream = object.perfBuffer("plain", { type: "struct record", pages: 1 });
    const lost: LostRecords[] = [];
    stream.on("lost", (report) => lost.push(report));
    const got = await collect(stream);
    send(object, "send_plain", 100);
    await until("an empty buffer", () => got.length > 0 && stream.available === 0);
    // One page for each CPU, of which a record takes 48 bytes.
    expect(got.length).toBeLessThanOrEqual(usableCpus().length * Math.floor(4096 / 48));
    // The kernel tells of a loss with the next record that has room, on the CPU that lost: which one sends is not ours to say.
    let runs = 100;
    await until("word of all that was lost", () => {
      if (got.length + (stream.totals.lost ?? 0) === runs * 64) return true;
      send(object, "send_plain", 1);
      runs++;
      return false;
    });
    expect(got.length).toBe(Number(object.bss["sent"]));
    expect(stream.totals.lost).toBe(Number(object.bss["refused"]));
    expect(lost.every(({ cpu, bytes }) => cpu !== undefined && cpu >= 0 && bytes === undefined)).toBe(true);
    expect(lost.at(-1)?.total).toBe(stream.totals.lost);
  });

  test("wakes at a watermark, or on a timer, and nothing stays behind", async () => {
    for (const wakeup of [
      { records: 16 },
      { bytes: 1024, milliseconds: 5 },
      { milliseconds: 2 },
      "adaptive",
    ] as const) {
      object = await loadFixture("events_streams");
      const stream = object.perfBuffer("plain", { type: "struct record", wakeup });
      expect(stream.wakeup).toEqual(wakeup === "adaptive" ? { bytes: (256 * 1024) / 8, milliseconds: 5 } : wakeup);
      const got = await collect(stream);
      for (const runs of [1, 15, 16, 100, 3]) send(object, "send_plain", runs);
      await until(`135 records with ${JSON.stringify(wakeup)}`, () => got.length === 135);
      object.close();
    }
  });

  test("what is sent when the loop was told to watch, and has not begun to, is read", async () => {
    object = await loadFixture("events_streams");
    const stream = object.perfBuffer("plain", { type: "struct record" });
    const got = await collect(stream);
    await new Promise<void>((resolve) => {
      // Due in the same turn of the loop as the reader's own first look, and after it.
      setTimeout(() => {
        send(object, "send_plain", 3);
        resolve();
      }, 1);
      for (const end = performance.now() + 20; performance.now() < end; );
    });
    await until("three records", () => got.length === 3);
  });

  test("batches are of one CPU each", async () => {
    object = await loadFixture("events_streams");
    const stream = object.perfBuffer("plain", { type: "struct record" });
    let sum = 0;
    const cpus = new Set<number | undefined>();
    stream.on("batch", (batch) => {
      cpus.add(batch.cpu);
      for (const seq of batch.column("seq")) sum += Number(seq);
    });
    expect(stream.available).toBe(0);
    send(object, "send_plain", 100);
    await until("a hundred", () => sum === (99 * 100) / 2);
    expect([...cpus].every((cpu) => cpu !== undefined)).toBe(true);
  });

  test("buffers that overwrite: the newest records are there, whole, however many came before", async () => {
    // How many of them one CPU's buffer has is known only when all come from that CPU.
    using _pinned = pinnedToOneCpu();
    object = await loadFixture("events_streams", (opened) => {
      opened.rodata["packet_bytes"] = 20;
    });
    const before = bpfDescriptors();
    const recorder = object.perfRecorder("plain", { type: "struct record", pages: 1 });
    expect(object.perfRecorder("plain")).toBe(recorder);
    expect(recorder.snapshot()).toEqual([]);
    send(object, "send_plain", 10);
    const first = recorder.snapshot();
    expect(first.map(({ record }) => record)).toEqual(Array.from({ length: 10 }, (_, seq) => expected(seq, "streams")));
    expect(first[0]?.bytes.subarray(32)).toEqual(PACKET.subarray(0, 20));
    expect(first.every(({ cpu }) => cpu >= 0)).toBe(true);
    // A record takes 64 bytes of the 4,096; none is refused, as there is always room.
    for (let round = 0; round < 20; round++) {
      send(object, "send_plain", 100);
      const newest = Number(object.bss["sequence"]) - 1;
      const events = recorder.snapshot();
      const byCpu = new Map(events.map(({ cpu }) => [cpu, events.filter((event) => event.cpu === cpu)]));
      const last = [...byCpu.values()].find((of) => of.at(-1)?.record.seq === BigInt(newest));
      expect(last?.length).toBeGreaterThanOrEqual(60);
      for (const of of byCpu.values()) {
        expect(of.length).toBeLessThanOrEqual(64);
        for (const { record } of of) expect(record).toEqual(expected(Number(record.seq), "streams"));
        const seqs = of.map(({ record }) => Number(record.seq));
        expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
      }
    }
    expect(object.bss["refused"]).toBe(0n);
    await expect(object.perfBuffer("plain").next()).rejects.toMatchObject({ code: "BUSY" });
    recorder.close();
    expect(() => recorder.snapshot()).toThrow(expect.objectContaining({ code: "CLOSED" }));
    expect(bpfDescriptors().filter((name) => name.includes("perf_event"))).toEqual(
      before.filter((name) => name.includes("perf_event")),
    );
    expect(() => object.perfRecorder("odd" as never)).toThrow(/not a perf event array/);
  });

  test("options are held against what there is", async () => {
    object = await loadFixture("events_streams");
    expect(() => object.perfBuffer("plain", { pages: 3 })).toThrow(/a power of two/);
    expect(() => object.perfBuffer("plain", { page: 4 } as never)).toThrow(/unknown option "page"/);
    expect(() => object.perfBuffer("plain", { wakeup: "never" as never })).toThrow(/wakeup must be/);
    expect(() => object.perfBuffer("odd" as never)).toThrow(/is a ringbuf, not a perf event array/);
    expect(() => object.perfBuffer("plain", { type: "struct recrd" as never })).toThrow(/no struct "recrd".*record/);
    expect(() => object.perfBuffer("plain", { type: "struct sample_kind" as never })).toThrow(
      /no struct "sample_kind"/,
    );
    expect(() => object.perfBuffer("samplse" as never)).toThrow(
      /no map .* named "samplse" \(did you mean "samples"\?\)/,
    );
    object.close();
    object = await loadFixture("events_streams", (opened) => {
      opened.ring("either").buffer = "perf";
    });
    const byItsRing = /either is declared with EBPF_EVENTS, and read by ringBuffer/;
    expect(() => object.perfBuffer("either" as never)).toThrow(byItsRing);
    expect(() => object.perfRecorder("either" as never)).toThrow(byItsRing);
  });
});
