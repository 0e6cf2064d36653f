import { join } from "node:path";
import {
  ArrayOfMaps,
  type BpfError,
  type BpfMap,
  createMap,
  HashMap,
  type HashOfMaps,
  type LostRecords,
  openMap,
  type RingBuffer,
  RingBuffers,
  type Wakeup,
} from "ebpf";
import { afterEach, expect, test } from "vitest";
import { EventsRingMaps, type OpenedEventsRingMaps } from "../../fixtures/events_ring_maps.bpf.js";
import { BpfFs } from "../support/bpffs.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";
import { expected, type Rec, send } from "./streams.js";

interface Tenant {
  id: number;
  zone: number;
  pad: number;
}

requires({ mapType: ["ringbuf", "hashOfMaps"] }).describe("maps of rings", () => {
  let object: EventsRingMaps;
  afterEach(() => object?.close());

  const load = async (configure: (opened: OpenedEventsRingMaps) => void = () => {}) => {
    const opened = EventsRingMaps.open();
    configure(opened);
    object = await opened.load();
    return object.ringBuffers("tenants");
  };
  const tenant = (id: number): Tenant => ({ id, zone: 7, pad: 0 });
  /** A stream that begins, or was woken, looks once more: after these turns of the event loop it has. */
  const looked = async () => {
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  };
  /** Those of `count` records that go to a key. */
  const ofKey = (count: number, key: number, keys: number) =>
    Array.from({ length: count }, (_, seq) => seq)
      .filter((seq) => seq % keys === key)
      .map((seq) => expected(seq, "rings"));

  test("each ring brings its own records, whole and in order, and its own counters", async () => {
    const tenants = await load((opened) => {
      opened.rodata["keys"] = 4;
      opened.rodata["per_run"] = 8;
    });
    const got = [0, 1, 2, 3].map((id) => {
      const records: Rec[] = [];
      tenants.add(tenant(id)).on("event", (record) => records.push(record));
      return records;
    });
    expect(object.map("tenants")).toBe(tenants);
    expect(tenants).toBeInstanceOf(RingBuffers);
    expect([...tenants.keys()].map(({ id }) => id).sort()).toEqual([0, 1, 2, 3]);
    for (let round = 1; round <= 5; round++) {
      send(object, "send_tenants", 100);
      await until("this round", () => got.every((records) => records.length === round * 200));
    }
    got.forEach((records, id) => {
      expect(records).toEqual(ofKey(4000, id, 4));
      expect(tenants.get(tenant(id))?.totals).toEqual({ produced: 1000, delivered: 1000, lost: 0, pending: 0 });
    });
    expect(tenants.unrouted).toBe(0);
    expect(object.bss["sent"]).toBe(4000n);
  });

  test("a ring too small loses its records and nobody else's: produced = delivered + lost for each", async () => {
    const tenants = await load((opened) => {
      opened.rodata["per_run"] = 64;
    });
    const small = tenants.add(tenant(0), { bytes: 4096 });
    const large = tenants.add(tenant(1), { bytes: 1 << 20 });
    const lost: LostRecords[] = [];
    small.on("lost", (report) => lost.push(report));
    large.on("lost", (report) => expect.fail(`lost ${report.count}`));
    const seen = { small: 0, large: 0 };
    small.on("event", () => seen.small++);
    large.on("event", () => seen.large++);
    for (let round = 0; round < 5; round++) {
      send(object, "send_tenants", 100);
      await until("empty rings", () => small.totals.pending === 0 && large.totals.pending === 0);
    }
    expect(large.totals).toEqual({ produced: 16_000, delivered: 16_000, lost: 0, pending: 0 });
    const { produced, delivered, lost: missing } = small.totals;
    expect(produced).toBe(16_000);
    expect(missing).toBeGreaterThan(0);
    expect(delivered + (missing as number)).toBe(produced);
    expect(seen).toEqual({ small: delivered, large: 16_000 });
    expect(BigInt(missing as number)).toBe(object.bss["refused"]);
    small.close();
    expect(lost.reduce((sum, { count }) => sum + count, 0)).toBe(missing);
    expect(lost.every(({ count, bytes }) => bytes === count * 32)).toBe(true);
  });

  test("what is sent to a key without a ring is counted; a ring is taken away with what is left in it, and a new one begins at zero", async () => {
    const tenants = await load();
    expect(tenants.get(tenant(0))).toBeUndefined();
    expect(tenants.delete(tenant(0))).toBe(false);
    send(object, "send_tenants", 10);
    expect(tenants.unrouted).toBe(10);
    const first = tenants.add(tenant(0));
    expect(() => tenants.add(tenant(0))).toThrow(expect.objectContaining({ code: "EXISTS" }));
    send(object, "send_tenants", 10);
    expect(tenants.unrouted).toBe(15);
    expect(tenants.delete(tenant(0))).toBe(true);
    expect(tenants.has(tenant(0))).toBe(false);
    const second = tenants.add(tenant(0));
    expect(second).not.toBe(first);
    send(object, "send_tenants", 4);
    const seqs: bigint[] = [];
    first.on("event", ({ seq }) => seqs.push(seq));
    await until("what was left", () => seqs.length === 5);
    expect(seqs).toEqual([10n, 12n, 14n, 16n, 18n]);
    expect(first.totals).toEqual({ produced: 5, delivered: 5, lost: 0, pending: 0 });
    expect(second.totals).toEqual({ produced: 2, delivered: 0, lost: 0, pending: 2 });
    expect((await second.next())?.seq).toBe(20n);
    first.close();
    expect(tenants.get(tenant(0))).toBe(second);
  });

  test("a stream that comes after another of the same ring counts from where that one ended, and tells of no loss again", async () => {
    const tenants = await load((opened) => {
      opened.rodata["keys"] = 1;
    });
    const first = tenants.add(tenant(0), { bytes: 4096 });
    send(object, "send_tenants", 200);
    const told: LostRecords[] = [];
    first.on("lost", (lost) => told.push(lost));
    first.budget = { records: 50 };
    for (let n = 0; n < 75; n++) await first.next();
    const { lost = 0 } = first.totals;
    expect(first.totals).toEqual({ produced: 200, delivered: 75, lost, pending: 125 - lost });
    first.close();
    expect(told.map(({ count }) => count)).toEqual([lost]);
    const second = tenants.get(tenant(0)) as RingBuffer<Rec>;
    expect(second).not.toBe(first);
    // The rest of a batch goes with the stream that has read it.
    const pending = 100 - lost;
    expect(second.totals).toEqual({ produced: pending, delivered: 0, lost: 0, pending });
    const again: LostRecords[] = [];
    second.on("lost", (lost) => again.push(lost));
    second.on("event", () => {});
    send(object, "send_tenants", 1);
    await until("what is in the ring", () => second.totals.pending === 0);
    expect(second.totals).toEqual({ produced: pending + 1, delivered: pending + 1, lost: 0, pending: 0 });
    second.pause();
    send(object, "send_tenants", 200);
    await until("the loss", () => again.length > 0);
    const { delivered, lost: more = 0 } = second.totals;
    expect(second.totals).toEqual({ produced: delivered + 200, delivered, lost: more, pending: 200 - more });
    expect(again.map(({ count, total }) => [count, total])).toEqual([[more, more]]);
    // What went before goes with the ring.
    tenants.delete(tenant(0));
    second.close();
    const third = tenants.add(tenant(0));
    expect(third.totals).toEqual({ produced: 0, delivered: 0, lost: 0, pending: 0 });
  });

  test("a ring that somebody else takes away keeps its counters, whoever has its key then", async () => {
    using bpffs = new BpfFs();
    const path = join(bpffs.path, "tenants");
    const tenants = await load((opened) => {
      opened.rodata["keys"] = 1;
      opened.maps.tenants.pinPath = path;
    });
    const first = tenants.add(tenant(0), { bytes: 4096 });
    const told: number[] = [];
    first.on("lost", ({ count }) => told.push(count));
    first.on("event", () => {});
    send(object, "send_tenants", 200);
    await until("the loss", () => told.length > 0);
    const { totals } = first;
    expect(totals).toMatchObject({ produced: 200, pending: 0 });
    using others = openMap(path) as HashOfMaps<Uint8Array>;
    for (const key of [...others.keys()]) others.delete(key);
    const second = tenants.add(tenant(0));
    expect(first.totals).toEqual(totals);
    send(object, "send_tenants", 3);
    expect(first.totals).toEqual(totals);
    expect(second.totals).toMatchObject({ produced: 3, lost: 0 });
    first.close();
    expect(told).toEqual([totals.lost]);
    object.close();
  });

  test("a ring for which there is no room, or no such place, is refused by the name of its map", async () => {
    const tenants = await load((opened) => {
      opened.maps.tenants.maxEntries = 1;
    });
    tenants.add(tenant(0));
    const full = { code: "FULL", message: expect.stringMatching(/map tenants: .* all the 1 entries/) };
    expect(() => tenants.add(tenant(1))).toThrow(expect.objectContaining(full));
    const outside = { code: "INVALID_ARGUMENT", message: expect.stringMatching(/map slots: .* there are 4/) };
    expect(() => object.ringBuffers("slots").add(4)).toThrow(expect.objectContaining(outside));
  });

  test("an array of rings", async () => {
    await load((opened) => {
      opened.rodata["keys"] = 3;
    });
    const slots = object.ringBuffers("slots");
    const got: Rec[][] = [[], [], []];
    for (const i of [0, 1]) slots.add(i).on("event", (record) => got[i]?.push(record));
    expect(object.map("slots")).toBe(slots);
    expect(slots.get(2)).toBeUndefined();
    expect([...slots].map(([key]) => key)).toEqual([0, 1]);
    send(object, "send_slots", 300);
    await until("two thirds", () => got[0]?.length === 100 && got[1]?.length === 100);
    expect(got[0]).toEqual(ofKey(300, 0, 3));
    expect(got[1]).toEqual(ofKey(300, 1, 3));
    expect(slots.unrouted).toBe(100);
    expect(() => slots.add(4)).toThrow(/out of range/);
  });

  test("records with flags of their own, and of a length of their own", async () => {
    const NO_WAKEUP = 1n;
    const FORCE_WAKEUP = 2n;
    await load();
    const ring = object.ringBuffers("slots").add(0);
    const seqs: bigint[] = [];
    ring.on("event", ({ seq }) => seqs.push(seq));
    // The reader waits by now: what wakes it would be seen in the turns that follow.
    await looked();
    object.bss.output_flags = NO_WAKEUP;
    send(object, "send_flagged", 3);
    await looked();
    expect(seqs).toEqual([]);
    expect(ring.totals).toMatchObject({ produced: 3, delivered: 0, pending: 3 });
    object.bss.output_flags = FORCE_WAKEUP;
    const errors: (BpfError & { bytes?: Uint8Array })[] = [];
    ring.on("error", (error) => errors.push(error));
    send(object, "send_longer", 1);
    await until("all four", () => ring.totals.pending === 0);
    expect(seqs).toEqual([0n, 1n, 2n]);
    expect(errors.map(({ code, bytes }) => [code, bytes?.length])).toEqual([["SIZE_MISMATCH", 40]]);
    expect(errors[0]?.bytes?.subarray(32)).toEqual(Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1));
    expect(object.ringBuffers("slots").unrouted).toBe(0);
  });

  test("a map of rings declared without the header: the record's type by name, no counters", async () => {
    await load();
    expect(object.map("plain")).toBeInstanceOf(ArrayOfMaps);
    const plain = object.ringBuffers("plain", { type: "struct record" });
    // Put there by way of the map itself.
    using ring = createMap({ type: "ringbuf", maxEntries: 8192 });
    (object.map("plain") as ArrayOfMaps).set(1, ring);
    const stream = plain.get(1);
    expect(plain.get(1)).toBe(stream);
    const got: Rec[] = [];
    stream?.on("event", (record) => got.push(record));
    send(object, "send_plain", 10);
    await until("ten", () => got.length === 10);
    expect(got).toEqual(Array.from({ length: 10 }, (_, seq) => expected(seq, "rings")));
    expect(stream?.totals).toEqual({ produced: undefined, delivered: 10, lost: undefined, pending: undefined });
    expect(plain.unrouted).toBeUndefined();
    // @ts-expect-error the compiler knows it, too
    expect(() => object.ringBuffers("ebpf_counters__slots")).toThrow(/not a map of ring buffers/);
    // @ts-expect-error the compiler knows it, too
    expect(() => object.ringBuffers("tenant")).toThrow(/tenants/);
  });

  /** What programs share with the readers of tenants' rings. */
  const controls = () => object.map("ebpf_control__tenants", HashMap<Tenant, { wakeup: bigint; armed: bigint }>);
  const NONE = 0xffffffffffffffffn;
  const NEVER = 0x7fffffff;

  test("each ring has a threshold of its own, and one that is taken away leaves nothing to the next", async () => {
    const tenants = await load((opened) => {
      opened.maps.tenants.wakeup = { records: 10, milliseconds: NEVER };
    });
    expect(tenants.wakeup).toEqual({ records: 10, milliseconds: NEVER });
    const got = [0, 0];
    const begin = (id: number) => {
      const ring = tenants.add(tenant(id));
      expect(controls().get(tenant(id))).toEqual({ wakeup: 0n, armed: 0n });
      ring.on("event", () => {
        got[id] = (got[id] ?? 0) + 1;
      });
      return ring;
    };
    const zero = begin(0);
    const one = begin(1);
    await looked();
    // 9 and 9: together they are more than a threshold.
    send(object, "send_tenants", 18);
    expect([zero.available, one.available]).toEqual([360, 360]);
    expect([0, 1].map((id) => controls().get(tenant(id))?.armed)).toEqual([1n, 1n]);
    // The next one is ring 0's.
    send(object, "send_tenants", 1);
    await until("ring 0", () => got[0] === 10);
    expect(one.available).toBe(360);
    expect([0, 1].map((id) => controls().get(tenant(id))?.armed)).toEqual([0n, 1n]);
    tenants.delete(tenant(1));
    expect(controls().has(tenant(1))).toBe(false);
    begin(1);
    await looked();
    // The next one is ring 1's: its 10 are complete when ring 0 has had one less.
    send(object, "send_tenants", 19);
    await until("the new ring 1", () => got[1] === 10);
    await looked();
    expect(zero.available).toBe(360);
    expect(got).toEqual([10, 10]);
    expect(one.flush()).toBe(9);
    expect(one.totals).toEqual({ produced: 9, delivered: 9, lost: 0, pending: 0 });
  });

  test("adaptive: each ring goes its own way, and a ring that was taken away has no say in its successor's", async () => {
    const tenants = await load((opened) => {
      opened.maps.tenants.wakeup = "adaptive";
      opened.rodata.keys = 1;
    });
    const busy = tenants.add(tenant(0));
    const quiet = tenants.add(tenant(1));
    busy.on("event", () => {});
    quiet.on("event", () => {});
    busy.budget = { records: 10 };
    const goBusy = async () => {
      send(object, "send_tenants", 1000);
      await until("a ring on its timer", () => controls().get(tenant(0))?.wakeup === NONE);
    };
    await goBusy();
    expect(controls().get(tenant(1))?.wakeup).toBe(0n);
    // It stays as it is, on its timer, and says so when it is closed.
    busy.pause();
    tenants.delete(tenant(0));
    let got = 0;
    const next = tenants.add(tenant(0));
    next.on("event", () => got++);
    next.budget = { records: 10 };
    expect(controls().get(tenant(0))?.wakeup).toBe(0n);
    await goBusy();
    busy.close();
    expect(controls().get(tenant(0))?.wakeup).toBe(NONE);
    await until("all of the next", () => got === 1000);
  });

  /** With a map that somebody else made, and a ring in it. */
  const loadForeign = async (wakeup: Wakeup) => {
    using ring = createMap({ type: "ringbuf", maxEntries: 4096 });
    using rings = createMap({ type: "hash_of_maps", name: "tenants", key: 8, maxEntries: 16, inner: ring });
    rings.set(Uint8Array.of(0, 0, 0, 0, 7, 0, 0, 0) as never, ring);
    return await load((opened) => {
      opened.maps.tenants.reuse(rings);
      opened.maps.tenants.wakeup = wakeup;
      opened.rodata.keys = 1;
    });
  };

  test.each<Wakeup>(["event", "adaptive", { bytes: 400, milliseconds: NEVER }, { milliseconds: 1 }])(
    "a ring that somebody else put there, with %j: the program makes what is beside it",
    async (wakeup) => {
      const tenants = await loadForeign(wakeup);
      send(object, "send_tenants", 5);
      const stream = tenants.get(tenant(0));
      expect(stream?.totals).toMatchObject({ produced: 5, lost: 0, pending: 5 });
      let got = 0;
      stream?.on("event", () => got++);
      send(object, "send_tenants", 5);
      await until("all ten", () => got === 10);
      // Where no wake-up needs it, it is not made.
      const needed = wakeup === "adaptive" || (typeof wakeup === "object" && "bytes" in wakeup);
      expect(controls().has(tenant(0))).toBe(needed);
    },
  );

  test("a second object has the rings of the first, with what is beside them", async () => {
    using ring = createMap({ type: "ringbuf", maxEntries: 64 * 1024 });
    using rings = createMap({ type: "hash_of_maps", name: "tenants", key: 8, maxEntries: 16, inner: ring });
    const configure = (opened: OpenedEventsRingMaps) => {
      opened.maps.tenants.reuse(rings);
      opened.rodata.keys = 1;
    };
    const tenants = await load(configure);
    const stream = tenants.add(tenant(0));
    let got = 0;
    stream.on("event", () => got++);
    const opened = EventsRingMaps.open();
    configure(opened);
    // A skeleton does not have them.
    for (const name of ["ebpf_counters__tenants", "ebpf_control__tenants"])
      opened.map(name).reuse(object.map(name) as BpfMap);
    using second = await opened.load();
    send(second, "send_tenants", 5);
    await until("the records of the second object", () => got === 5);
    expect(stream.totals).toMatchObject({ produced: 5, delivered: 5, lost: 0 });
  });

  test.each<Wakeup>(["adaptive", { bytes: 400, milliseconds: NEVER }])(
    "a ring beside which there is no room, with %j: each record wakes",
    async (wakeup) => {
      const tenants = await loadForeign(wakeup);
      for (let id = 1; id <= 16; id++) controls().set(tenant(id), { wakeup: 0n, armed: 0n });
      const stream = tenants.get(tenant(0)) as RingBuffer<Rec>;
      let got = 0;
      stream.on("event", () => got++);
      stream.budget = { records: 10 };
      for (const count of [1, 1, 100, 1]) {
        const before = got;
        send(object, "send_tenants", count);
        await until("these", () => got === before + count);
      }
    },
  );

  test("a map of rings that is made larger has room beside all of them", async () => {
    const tenants = await load((opened) => {
      opened.maps.tenants.maxEntries = 20;
      opened.rodata.keys = 20;
      opened.maps.tenants.wakeup = { bytes: 400 };
    });
    const rings = Array.from({ length: 20 }, (_, id) => tenants.add(tenant(id)));
    send(object, "send_tenants", 40);
    expect(rings.map(({ totals }) => totals.produced)).toEqual(Array(20).fill(2));
    expect(controls().count()).toBe(20);
  });

  test("what is chosen before load is what all rings have; a plain map of maps has no such choice", async () => {
    const opened = EventsRingMaps.open();
    const constant = () => (opened.rodata as object as Record<string, bigint>)["ebpf_ring_wakeup__tenants"];
    const ring = opened.ring("tenants");
    expect(ring).toBe(opened.maps.tenants);
    expect([ring.wakeup, ring.reader, ring.buffer]).toEqual(["event", "loop", "ring"]);
    expect(constant()).toBe(0n);
    ring.wakeup = { records: 10 };
    expect(constant()).toBe(400n);
    ring.reader = { thread: { bytes: 1 << 20 } };
    for (const [choose, message] of [
      [() => (ring.wakeup = "adaptive"), /tenants: an adaptive wake-up .* has no use for a thread/],
      [() => (ring.wakeup = { byte: 1 } as never), /tenants\.wakeup: unknown option "byte"/],
      [() => (ring.buffer = "perf"), /not declared with EBPF_EVENTS/],
      [
        () => opened.ring("plain"),
        /plain is a array_of_maps, not a ring buffer, .* declared with EBPF_RINGBUF_HASH or EBPF_RINGBUF_ARRAY$/,
      ],
    ] as const)
      expect(choose).toThrow(expect.objectContaining({ message: expect.stringMatching(message) }));
    opened.ring("slots").wakeup = "adaptive";
    object = await opened.load();
    const tenants = object.ringBuffers("tenants");
    expect([tenants.wakeup, tenants.reader]).toEqual([
      { records: 10, milliseconds: undefined },
      { thread: { bytes: 1 << 20 } },
    ]);
    expect(tenants.add(tenant(0)).reader).toEqual({ thread: { bytes: 1 << 20 } });
    // Before there is any ring.
    expect(() => object.ringBuffers("slots", { reader: "thread" })).toThrow(/slots: an adaptive wake-up/);
    expect(() => ring.wakeup).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
  });

  test("opening and closing leaves no descriptor, and ends all streams", async () => {
    const before = bpfDescriptors();
    for (let i = 0; i < 20; i++) {
      const tenants = await load();
      const rings = [0, 1, 2].map((id) => tenants.add(tenant(id)));
      tenants.delete(tenant(2));
      const waiting = rings.map((ring) => ring.next());
      send(object, "send_tenants", 2);
      expect((await Promise.all(waiting.slice(0, 2))).map((record) => record?.seq)).toEqual([0n, 1n]);
      object.close();
      expect(await waiting[2]).toBeUndefined();
      expect(rings.every((ring) => ring.closed)).toBe(true);
      expect(() => tenants.get(tenant(0))).toThrow(expect.objectContaining({ code: "CLOSED" }));
    }
    await until("all descriptors to be closed", () => bpfDescriptors().length <= before.length);
  });
});
