import { readdirSync } from "node:fs";
import type { Wakeup } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { Ring } from "../../fixtures/ring.bpf.js";
import { until } from "../support/until.js";
import { type Loaded, loadFixture, READERS, send } from "./streams.js";

const NONE = 0xffffffffffffffffn;
const LIVE = 0xfffffffffffffffen;

describe("wake-ups", () => {
  let object: Loaded;
  afterEach(() => object?.close());

  /** The word that programs read for each record of a ring loaded as adaptive. */
  const control = () =>
    // Skeletons leave the macros' own variables out.
    (object.section(".data.ebpf" as never) as Record<string, { control: { wakeup: bigint } }>)["ebpf_ring__records"]
      ?.control.wakeup;

  const modes: Wakeup[] = [
    "event",
    "adaptive",
    { milliseconds: 1 },
    { bytes: 4096, milliseconds: 2 },
    { records: 100, milliseconds: 2 },
  ];
  const ways = READERS.flatMap((reader) =>
    modes.filter((mode) => reader === "loop" || mode !== "adaptive").map((mode) => ({ reader, mode })),
  );
  test.each(ways.map(({ reader, mode }) => [JSON.stringify(mode), reader, mode] as const))(
    "%s, read by a %s: every record arrives, the last ones too, and after a rest",
    async (_, reader, mode) => {
      object = await loadFixture("ring", (opened) => {
        opened.ring("records").wakeup = mode;
        opened.ring("records").reader = reader;
      });
      const ring = object.ringBuffer("records");
      expect(ring.wakeup).toEqual(mode);
      let next = 0;
      let wrong = 0;
      ring.on("event", (record) => {
        if (record.seq !== BigInt(next++)) wrong++;
      });
      let sent = 0;
      for (const runs of [1, 1, 5000, 3, 1, 2000, 1]) {
        send(object, "generate", runs);
        sent += runs;
        await until(`${sent} records`, () => next === sent);
      }
      expect(wrong).toBe(0);
      expect(ring.totals).toEqual({ produced: sent, delivered: sent, lost: 0, pending: 0 });
    },
  );

  /** 32 bytes and the ring's 8. */
  const PER_RECORD = 40;
  test.each(
    READERS.flatMap((reader) =>
      [
        { records: 100, milliseconds: 0x7fffffff },
        { bytes: 100 * PER_RECORD, milliseconds: 0x7fffffff },
      ].map((mode) => [JSON.stringify(mode), reader, mode] as const),
    ),
  )("%s, read by a %s: nothing below the threshold, all that is there at it, and again", async (_, reader, mode) => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").wakeup = mode;
      opened.ring("records").reader = reader;
    });
    const ring = object.ringBuffer("records");
    let got = 0;
    ring.on("event", () => got++);
    // Another ring, woken by each record: what it was sent after the first ring's records has come when those could have.
    using barrier = await loadFixture("ring", (opened) => {
      opened.ring("records").reader = reader;
    });
    let passed = 0;
    barrier.ringBuffer("records").on("event", () => passed++);
    const barriers = async () => {
      for (let i = 0; i < 3; i++) {
        const before = passed;
        send(barrier, "generate", 1);
        await until("the barrier", () => passed > before);
      }
    };
    for (const round of [1, 2]) {
      // The timer looks once at the start; and after a wake-up the loop looks once more, which finds nothing now.
      await barriers();
      send(object, "generate", 99);
      await barriers();
      expect(got, `below the threshold, round ${round}`).toBe((round - 1) * 100);
      send(object, "generate", 1);
      await until("a hundred", () => got === round * 100);
    }
  });

  test.each(READERS)("on a timer, read by a %s: no number of records wakes", async (reader) => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").wakeup = { milliseconds: 0x7fffffff };
      opened.ring("records").reader = reader;
    });
    const ring = object.ringBuffer("records");
    let got = 0;
    ring.on("event", () => got++);
    using barrier = await loadFixture("ring");
    for (let i = 0; i < 3; i++) {
      send(object, "generate", 300);
      send(barrier, "generate", 1);
      await barrier.ringBuffer("records").next();
    }
    expect(got).toBe(0);
    expect(ring.flush()).toBe(900);
    expect(got).toBe(900);
  });

  test("adaptive: no wake-ups while records are many, and back to them when it is quiet", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").wakeup = "adaptive";
    });
    const ring = object.ringBuffer("records");
    let got = 0;
    ring.on("event", () => got++);
    expect(control()).toBe(0n);
    // Many small batches at once, as many wake-ups would bring them.
    ring.budget = { records: 10 };
    send(object, "generate", 2000);
    await until("a stream that went over to its timer", () => control() === NONE);
    await until("these records", () => ring.totals.pending === 0);
    await until("quiet", () => control() === 0n);
    // And again from there, the first one by a wake-up.
    const before = got;
    send(object, "generate", 1);
    await until("one more", () => got === before + 1);
  });

  test("a timed stream that nobody reads keeps no timer, and goes on where it was", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").wakeup = { milliseconds: 1 };
    });
    const ring = object.ringBuffer("records");
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    let got = 0;
    const listener = () => got++;
    ring.on("event", listener);
    send(object, "generate", 10);
    await until("ten", () => got === 10);
    // In one turn of the event loop, as the test runner has timers of its own.
    const reading = timers();
    ring.off("event", listener);
    expect(timers()).toBe(reading - 1);
    send(object, "generate", 10);
    ring.on("event", listener);
    await until("ten more", () => got === 20);
  });

  test.each(["event", "adaptive"] as const)(
    "%s: a stream that is read keeps no timer while nothing comes",
    async (mode) => {
      object = await loadFixture("ring", (opened) => {
        opened.ring("records").wakeup = mode;
      });
      const ring = object.ringBuffer("records");
      const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
      let got = 0;
      const before = timers();
      ring.on("event", () => got++);
      ring.flush();
      expect(timers()).toBe(before);
      send(object, "generate", 10);
      await until("ten", () => got === 10);
      const reading = timers();
      ring.close();
      expect(timers()).toBe(reading);
    },
  );

  test("many rings share the event loop's poller: no thread for any of them", async () => {
    const threads = () => readdirSync("/proc/self/task").length;
    object = await loadFixture("ring");
    object.ringBuffer("records").on("event", () => {});
    object.ringBuffer("records").flush();
    const before = threads();
    const others: Loaded[] = [];
    const got: number[] = [];
    for (let i = 0; i < 25; i++) {
      const other = await loadFixture("ring");
      others.push(other);
      got.push(0);
      other.ringBuffer("records").on("event", () => {
        got[i] = (got[i] ?? 0) + 1;
      });
      other.ringBuffer("records").flush();
    }
    try {
      expect(threads()).toBe(before);
      for (const [i, other] of others.entries()) send(other, "generate", i + 1);
      await until("each ring's records", () => got.every((count, i) => count === i + 1));
    } finally {
      for (const other of others) other.close();
    }
  });

  test("flush() hands out what no wake-up has told of yet", async () => {
    object = await loadFixture("ring", (opened) => {
      opened.ring("records").wakeup = { bytes: 100_000, milliseconds: 0x7fffffff };
    });
    const ring = object.ringBuffer("records");
    let got = 0;
    expect(ring.flush()).toBe(0);
    ring.on("event", () => got++);
    send(object, "generate", 1000);
    expect(ring.flush()).toBe(1000);
    expect(got).toBe(1000);
    expect(ring.flush()).toBe(0);
  });

  test("what is chosen is what the program is loaded with", () => {
    using opened = Ring.open();
    const ring = opened.ring("records");
    const constant = () => (opened.rodata as object as Record<string, bigint>)["ebpf_ring_wakeup__records"];
    expect(ring.wakeup).toBe("event");
    expect(constant()).toBe(0n);
    ring.wakeup = "adaptive";
    expect(constant()).toBe(LIVE);
    ring.wakeup = { milliseconds: 3 };
    expect(constant()).toBe(NONE);
    ring.wakeup = { bytes: 4096 };
    expect(constant()).toBe(4096n);
    ring.wakeup = { records: 10 };
    expect(constant()).toBe(400n);
    expect(ring.wakeup).toEqual({ records: 10, milliseconds: undefined });
    for (const wrong of ["never", {}, { bytes: 1, records: 1 }, { milliseconds: -1 }, { byte: 1 }, 5]) {
      expect(() => {
        ring.wakeup = wrong as never;
      }, JSON.stringify(wrong)).toThrow(/wakeup/);
    }
    expect(() => opened.ring("scratch")).toThrow(/is a percpu_array, not a ring buffer/);
    expect(() => {
      ring.buffer = "perf";
    }).toThrow(/not declared with EBPF_EVENTS/);
  });
});
