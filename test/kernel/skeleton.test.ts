/** A skeleton at work: loaded, run, read. test/unit/skeleton has how it is made and opened. */
import { type BpfError, snapshot } from "ebpf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type event, event_kind, Skeleton } from "../fixtures/skeleton.bpf.js";
import { TestCgroup } from "./support/cgroup.js";
import { bpfDescriptors } from "./support/descriptors.js";
import { requires } from "./support/requires.js";
import { until } from "./support/until.js";

const PACKET = new Uint8Array(64);

/** Runs a program of the fixture. */
function generate(skeleton: Skeleton, repeat = 1): void {
  skeleton.programs.generate.testRun({ data: PACKET, repeat });
}

requires({ mapType: "ringbuf" }).describe("a skeleton", () => {
  let before: string[];
  beforeEach(() => {
    before = bpfDescriptors();
  });
  afterEach(() => {
    expect(bpfDescriptors()).toEqual(before);
  });

  test("opens, is set, loads, runs and is read: all by name, typed", async () => {
    const opened = Skeleton.open();
    opened.rodata.limits.packets = 30;
    opened.rodata.limits.bytes[1] = 12n;
    opened.rodata.greeting = "grüß dich";
    opened.data.scale = 5;
    opened.section(".data.config").threshold = 1n;
    opened.maps.events.maxEntries = 1 << 17;
    using skeleton = await opened.load();
    expect(skeleton).toBeInstanceOf(Skeleton);
    expect(snapshot(skeleton.rodata.limits)).toEqual({ packets: 30, bytes: [0n, 12n] });

    const events: event[] = [];
    skeleton.maps.events.on("event", (record) => events.push(record));
    generate(skeleton, 2);
    await until("four events", () => events.length === 4);
    expect(events).toEqual([
      { kind: event_kind.EVENT_SMALL, number: 42 },
      { kind: event_kind.EVENT_LARGE, port: 443, flag: false, numbers: [0n, 0n, 0n, 0n], small: 1, text: "grüß dich" },
      { kind: event_kind.EVENT_SMALL, number: 42 },
      { kind: event_kind.EVENT_LARGE, port: 443, flag: true, numbers: [0n, 0n, 0n, 1n], small: 2, text: "grüß dich" },
    ]);
    expect(skeleton.maps.events.totals).toMatchObject({ produced: 4, delivered: 4, lost: 0 });
    expect(skeleton.maps.table.get({ id: 7, name: "entry" })?.numbers[3]).toBe(1n);
    expect([...skeleton.maps.table.keys()]).toEqual([{ id: 7, name: "entry" }]);
    expect(skeleton.bss.stats.below).toBe(1);
    expect(skeleton.bss.packets).toBe(2);
    expect(snapshot(skeleton.bss.stats.per_mark).map(({ count }) => count)).toEqual([5n, 5n, 0n, 0n]);
  });

  test("variables are live, both ways, by member and by element", async () => {
    using skeleton = await Skeleton.load();
    const { stats } = skeleton.bss;
    generate(skeleton);
    expect(stats.runs).toBe(1n);
    expect(stats.per_mark[0]).toMatchObject({ count: 3n, last: 0 });
    generate(skeleton, 3);
    // The same object, read again.
    expect(stats.runs).toBe(4n);
    expect(snapshot(skeleton.bss.counts)).toEqual([1n, 1n, 1n, 1n]);

    stats.runs = 100n;
    skeleton.data.scale = 1000;
    skeleton.bss.counts[0] = 50n;
    generate(skeleton);
    expect(stats.runs).toBe(101n);
    expect(stats.per_mark[0]).toMatchObject({ count: 1003n, last: -100 });
    expect(snapshot(skeleton.bss.counts)).toEqual([51n, 1n, 1n, 1n]);
    expect(stats.below).toBe(4);

    skeleton.bss.counts = [0n, 0n, 0n, 7n];
    skeleton.bss.stats = { runs: 0n, below: 0, per_mark: Array.from({ length: 4 }, () => ({ count: 0n, last: 0 })) };
    generate(skeleton);
    expect(snapshot(skeleton.bss)).toMatchObject({ counts: [1n, 0n, 0n, 7n], stats: { runs: 1n, below: 1 } });
  });

  test("after close every access to a variable is an error, also through what was kept", async () => {
    const skeleton = await Skeleton.load();
    const { bss } = skeleton;
    const { stats, counts } = bss;
    const first = stats.per_mark[0];
    expect(first?.count).toBe(0n);
    skeleton.close();
    for (const use of [
      () => bss.unknown_record,
      () => stats.runs,
      () => (stats.runs = 1n),
      () => counts[0],
      () => first?.count,
      () => skeleton.bss,
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: "CLOSED" }));
    }
  });

  test("what was opened cannot be used once it is loaded, and constants stay", async () => {
    const opened = Skeleton.open();
    const { limits } = opened.rodata;
    using skeleton = await opened.load();
    expect(() => (limits.packets = 1)).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
    expect(() => (opened.maps.table.maxEntries = 1)).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
    // Not even past the compiler.
    const constants = skeleton.rodata as { greeting: string };
    expect(() => (constants.greeting = "no")).toThrow(/constant from load\(\) on/);
    expect(skeleton.rodata.greeting).toBe("hello");
  });

  test("a record that is none of a ring's is an error, and the next one arrives", async () => {
    using skeleton = await Skeleton.load();
    const events: event[] = [];
    const errors: BpfError[] = [];
    skeleton.maps.events.on("event", (record) => events.push(record)).on("error", (error) => errors.push(error));
    skeleton.bss.unknown_record = true;
    generate(skeleton);
    await until("the second record", () => events.length === 1);
    expect(events[0]?.kind).toBe(event_kind.EVENT_LARGE);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining("events: a record's kind is 77, which is none of EVENT_SMALL, EVENT_LARGE"),
    ]);
  });

  test("a union is written by one of its members, and read by all", async () => {
    using skeleton = await Skeleton.load();
    const { endpoints } = skeleton.maps;
    const ipv4 = { port: 443, family: 2, v4: 0x7f000001 };
    const ipv6 = { port: 443, family: 10, v6: Uint8Array.from({ length: 16 }, (_, i) => i + 1) };
    endpoints.set(ipv4, 4).set(ipv6, 6);
    expect([endpoints.get(ipv4), endpoints.get(ipv6), endpoints.has({ ...ipv4, port: 80 })]).toEqual([4, 6, false]);
    const keys = [...endpoints.keys()].sort((a, b) => a.family - b.family);
    expect(keys).toEqual([
      { ...ipv4, v6: Uint8Array.of(127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
      { ...ipv6, v4: 0x01020304 },
    ]);
    expect(endpoints.delete(ipv4)).toBe(true);
    skeleton.bss.latest = ipv4;
    expect(skeleton.bss.latest.v4).toBe(0x7f000001);
    expect(snapshot(skeleton.bss.latest)).toEqual(keys[0]);
    // A variable's member, and an array of them.
    const { route } = skeleton.bss;
    route.from = ipv6;
    route.to = [ipv4, ipv6];
    route.from.port = 80;
    expect(snapshot(route)).toEqual({ from: { ...keys[1], port: 80 }, to: keys, hops: 0 });
    skeleton.bss.route = { from: ipv4, to: [ipv6, ipv6], hops: 3 };
    expect(snapshot(skeleton.bss.route)).toEqual({ from: keys[0], to: [keys[1], keys[1]], hops: 3 });
    // Maps without keys.
    const { waiting, visited } = skeleton.maps;
    waiting.push(ipv4).push(ipv6);
    visited.push(ipv4).push(ipv6);
    expect([waiting.pop(), waiting.pop(), visited.pop(), visited.pop()]).toEqual([...keys, keys[1], keys[0]]);
  });

  test("a number that C chose is an error past 2^53, and not rounded", async () => {
    using skeleton = await Skeleton.load();
    skeleton.bss.packets = Number.MAX_SAFE_INTEGER;
    expect(skeleton.bss.packets).toBe(2 ** 53 - 1);
    generate(skeleton);
    expect(() => skeleton.bss.packets).toThrow(/past 2\^53/);
    expect(() => skeleton.maps.table.get({ id: 7, name: "entry" })).toThrow(/table value \.small: .*past 2\^53/);
  });

  test("a part that does not fit is refused by its path", async () => {
    const opened = Skeleton.open();
    const limits = opened.rodata.limits as { packets: unknown };
    expect(() => (limits.packets = "many")).toThrow(".rodata limits.packets: expected number, got string");
    expect(() => (opened.rodata.greeting = "much too long for this")).toThrow(/\.rodata greeting: too long/);
    opened.close();
  });
});

requires({ mapType: "ringbuf", cgroup2: true }).describe("a skeleton's programs", () => {
  test("attach with what their section leaves open", async () => {
    await using cgroup = new TestCgroup();
    using skeleton = await Skeleton.load();
    using link = skeleton.programs.on_socket.attach({ cgroup: cgroup.path });
    expect(link).toMatchObject({ kind: "cgroup", target: cgroup.path, program: "on_socket" });
  });
});
