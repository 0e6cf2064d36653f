import { readdirSync } from "node:fs";
import type { KeyedMap, OpenedRing, RingBuffer, RingBuffers, Wakeup } from "ebpf";
import { afterEach, describe, expect, test } from "vitest";
import { Ring } from "../../fixtures/ring.bpf.js";
import { until } from "../support/until.js";
import { type Loaded, loadFixture, type Opened, READERS, type Rec, send } from "./streams.js";

const NONE = 0xffffffffffffffffn;
const LIVE = 0xfffffffffffffffen;

/** One ring, of its own or in a map, and the program all of whose records go to it. */
interface OneRing {
  readonly object: Loaded;
  readonly ring: RingBuffer<Rec>;
  generate(runs: number): void;
  /** What the program reads for each record, when it is loaded with EBPF_WAKEUP_LIVE. */
  control: bigint;
}

/** `load` has the program loaded with another constant than what was chosen. */
type Choose = (opened: OpenedRing, load: (constant: bigint) => void) => void;
type LoadOneRing = (choose: Choose, bytes?: number) => Promise<OneRing>;

/** Skeletons leave the macros' own variables out. */
const constantOf = ({ rodata }: Opened, name: string) => ({
  get: () => (rodata as object as Record<string, bigint>)[`ebpf_ring_wakeup__${name}`],
  set: (constant: bigint) => {
    (rodata as object as Record<string, bigint>)[`ebpf_ring_wakeup__${name}`] = constant;
  },
});

const loadRing: LoadOneRing = async (choose, bytes) => {
  const object = await loadFixture("ring", (opened) => {
    if (bytes !== undefined) opened.maps.records.maxEntries = bytes;
    choose(opened.maps.records, constantOf(opened, "records").set);
  });
  const { ebpf_ring__records: shared } = object.section(".data.ebpf" as never) as {
    ebpf_ring__records: { control: { wakeup: bigint } };
  };
  return {
    object,
    ring: object.ringBuffer("records"),
    generate: (runs) => send(object, "generate", runs),
    get control() {
      return shared.control.wakeup;
    },
    set control(wakeup) {
      shared.control.wakeup = wakeup;
    },
  };
};

/** A ring of a map, which has a second one. */
const loadRingOf =
  <K>(name: "tenants" | "slots", keyOf: (n: number) => K): LoadOneRing =>
  async (choose, bytes) => {
    const object = await loadFixture("events_ring_maps", (opened) => {
      opened.rodata.keys = 1;
      choose(opened.maps[name], constantOf(opened, name).set);
    });
    const rings = object.ringBuffers(name) as unknown as RingBuffers<K, Rec>;
    rings.add(keyOf(1));
    const ring = rings.add(keyOf(0), { bytes });
    const controls = object.map(`ebpf_control__${name}`) as KeyedMap<K, { wakeup: bigint; armed: bigint }>;
    return {
      object,
      ring,
      generate: (runs) => send(object, `send_${name}`, runs),
      get control() {
        return controls.get(keyOf(0))?.wakeup as bigint;
      },
      set control(wakeup) {
        controls.set(keyOf(0), { wakeup, armed: 0n });
      },
    };
  };

describe.each<[string, LoadOneRing]>([
  ["a ring", loadRing],
  ["a ring of a hash", loadRingOf("tenants", (id) => ({ id, zone: 7, pad: 0 }))],
  ["a ring of an array", loadRingOf("slots", (n) => n)],
])("wake-ups of %s", (_, load) => {
  let object: Loaded | undefined;
  afterEach(() => object?.close());

  const open: LoadOneRing = async (...how) => {
    const loaded = await load(...how);
    object = loaded.object;
    return loaded;
  };

  /** Another ring, woken by each record: what it was sent after the first ring's records has come when those could have. */
  async function barrier(reader: (typeof READERS)[number]) {
    const other = await loadFixture("ring", (opened) => {
      opened.maps.records.reader = reader;
    });
    let passed = 0;
    other.ringBuffer("records").on("event", () => passed++);
    return {
      pass: async () => {
        for (let i = 0; i < 3; i++) {
          const before = passed;
          send(other, "generate", 1);
          await until("the barrier", () => passed > before);
        }
      },
      [Symbol.dispose]: () => other.close(),
    };
  }

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
      const { ring, generate } = await open((opened) => {
        opened.wakeup = mode;
        opened.reader = reader;
      });
      expect(ring.wakeup).toEqual(mode);
      expect(ring.reader).toBe(reader);
      let next = 0;
      let wrong = 0;
      ring.on("event", (record) => {
        if (record.seq !== BigInt(next++)) wrong++;
      });
      let sent = 0;
      for (const runs of [1, 1, 1500, 3, 1, 1000, 1]) {
        generate(runs);
        sent += runs;
        await until(`${sent} records`, () => next === sent);
      }
      expect(wrong).toBe(0);
      expect(ring.totals).toEqual({ produced: sent, delivered: sent, lost: 0, pending: 0 });
    },
  );

  /** 32 bytes and the ring's 8. */
  const PER_RECORD = 40;
  const HALF_OF_4096 = Math.ceil(2048 / PER_RECORD);
  test.each(
    READERS.flatMap((reader) =>
      [
        { mode: { records: 100, milliseconds: 0x7fffffff }, count: 100 },
        { mode: { bytes: 100 * PER_RECORD, milliseconds: 0x7fffffff }, count: 100 },
        // More than the ring ever holds.
        { mode: { bytes: 0x7fffffff, milliseconds: 0x7fffffff }, count: HALF_OF_4096, bytes: 4096 },
      ].map((way) => [JSON.stringify(way.mode), reader, way] as const),
    ),
  )(
    "%s, read by a %s: nothing below the threshold, all that is there at it, and again",
    async (_, reader, { mode, count, bytes }) => {
      const { ring, generate } = await open((opened) => {
        opened.wakeup = mode;
        opened.reader = reader;
      }, bytes);
      let got = 0;
      ring.on("event", () => got++);
      using other = await barrier(reader);
      for (const round of [1, 2]) {
        // The timer looks once at the start; and after a wake-up the loop looks once more, which finds nothing now.
        await other.pass();
        generate(count - 1);
        await other.pass();
        expect(got, `below the threshold, round ${round}`).toBe((round - 1) * count);
        generate(1);
        await until("all of them", () => got === round * count);
      }
      // A ring that was full is read again, down to where nobody is woken.
      if (bytes === undefined) return;
      generate(10_000);
      await until("a ring below the threshold", () => (ring.totals.pending as number) < count);
      if (reader === "loop") expect(ring.totals.lost).toBeGreaterThan(0);
    },
  );

  test.each(READERS)("on a timer, read by a %s: no number of records wakes", async (reader) => {
    const { ring, generate } = await open((opened) => {
      opened.wakeup = { milliseconds: 0x7fffffff };
      opened.reader = reader;
    });
    let got = 0;
    ring.on("event", () => got++);
    using other = await barrier("loop");
    for (let i = 0; i < 3; i++) {
      generate(300);
      await other.pass();
    }
    expect(got).toBe(0);
    expect(ring.flush()).toBe(900);
    expect(got).toBe(900);
  });

  test("a program that is loaded never to wake wakes nobody, not even who waits for it", async () => {
    const { ring, generate } = await open((opened, load) => {
      opened.wakeup = "event";
      load(NONE);
    });
    let got = 0;
    ring.on("event", () => got++);
    using other = await barrier("loop");
    await other.pass();
    generate(300);
    await other.pass();
    expect(got).toBe(0);
    expect(ring.flush()).toBe(300);
  });

  test("a program that is loaded to be told does for each record what it is told", async () => {
    const one = await open((opened, load) => {
      opened.wakeup = "event";
      load(LIVE);
    });
    let got = 0;
    one.ring.on("event", () => got++);
    using other = await barrier("loop");
    await other.pass();
    one.control = NONE;
    one.generate(3);
    await other.pass();
    expect(got).toBe(0);
    expect(one.ring.flush()).toBe(3);
    one.control = 0n;
    one.generate(1);
    await until("one", () => got === 4);
    await other.pass();
    one.control = BigInt(10 * PER_RECORD);
    one.generate(9);
    await other.pass();
    expect(got).toBe(4);
    one.generate(1);
    await until("ten", () => got === 14);
  });

  test("adaptive: no wake-ups while records are many, and back to them when it is quiet", async () => {
    const one = await open((opened) => {
      opened.wakeup = "adaptive";
    });
    const { ring, generate } = one;
    let got = 0;
    ring.on("event", () => got++);
    expect(one.control).toBe(0n);
    // Many small batches at once, as many wake-ups would bring them.
    ring.budget = { records: 10 };
    generate(1500);
    await until("a stream that went over to its timer", () => one.control === NONE);
    await until("these records", () => ring.totals.pending === 0);
    await until("quiet", () => one.control === 0n);
    // And again from there, the first one by a wake-up.
    const before = got;
    generate(1);
    await until("one more", () => got === before + 1);
  });

  test("adaptive: a stream that is closed while records are many leaves wake-ups to whoever reads next", async () => {
    const one = await open((opened) => {
      opened.wakeup = "adaptive";
    });
    const { ring, generate } = one;
    ring.on("event", () => {});
    ring.budget = { records: 10 };
    generate(1500);
    await until("a stream that went over to its timer", () => one.control === NONE);
    ring.close();
    expect(one.control).toBe(0n);
  });
});

describe("wake-ups", () => {
  let object: Loaded;
  afterEach(() => object?.close());

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

  test("a record that is copied in counts as what it takes in the ring, padding and header included", async () => {
    // 13 bytes, which take 24.
    const bytes = 3 * 24;
    object = await loadFixture("ring", (opened) => {
      opened.rodata["blob_length"] = 1;
      opened.maps.blobs.wakeup = { bytes, milliseconds: 0x7fffffff };
    });
    const ring = object.ringBuffer("blobs");
    let got = 0;
    ring.on("event", () => got++);
    send(object, "generate_blob", 2);
    expect(ring.flush()).toBe(2);
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    send(object, "generate_blob", 3);
    expect(ring.available).toBe(bytes);
    await until("three", () => got === 5);
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
    const { get: constant } = constantOf(opened, "records");
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
