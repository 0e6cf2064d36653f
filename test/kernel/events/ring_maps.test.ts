import { ArrayOfMaps, createMap, type LostRecords, RingBuffers } from "ebpf";
import { afterEach, expect, test } from "vitest";
import { EventsRingMaps, type OpenedEventsRingMaps } from "../../fixtures/events_ring_maps.bpf.js";
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
