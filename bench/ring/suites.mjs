/** The benches of streams, and what they are to reach. */
import { bpftrace, flood, tracedCalls } from "./flat_out.mjs";
import { latency } from "./latency.mjs";
import { longRun } from "./long_run.mjs";
import { loopDelay } from "./loop_delay.mjs";
import { payloads } from "./payloads.mjs";
import { perfRecords } from "./perf_records.mjs";
import { smallRecords } from "./small_records.mjs";
import { readingThread } from "./thread.mjs";
import { tracedSide } from "./traced_side.mjs";

const MIB = 1 << 20;

export function suites(which) {
  return SUITES.filter(({ partOf }) => partOf.includes(which));
}

const columns = [
  { heading: "consumer", key: "name" },
  { heading: "ns, fastest round", key: "fastest" },
  { heading: "median", key: "ns" },
  { heading: "x C count", key: "timesC" },
  { heading: "naive / it", key: "fasterThanNaive" },
];

/** Adds the ratios to a list of cases: of the fastest rounds, which are those that other work on the machine disturbed least. */
function compared(rows, reference, naive) {
  const find = (name) => rows.find((row) => row.name === name)?.fastest;
  return rows.map((row) => ({
    ...row,
    timesC: row.fastest / find(reference),
    fasterThanNaive: find(naive) / row.fastest,
  }));
}

function atMost(heading, value, limit) {
  return { heading, value: `${value.toFixed(1)} x`, reach: `at most ${limit} x`, met: value <= limit };
}

function atLeast(heading, value, limit) {
  return { heading, value: `${value.toFixed(1)} x`, reach: `at least ${limit} x`, met: value >= limit };
}

const SUITES = [
  {
    name: "ring-32",
    partOf: ["drain", "ring"],
    title: "Draining a full 16 MiB ring of 32-byte records (u64, 2 x u32, char[16])",
    async run({ rounds }) {
      const rows = compared(
        await smallRecords({ ringBytes: 16 * MIB, rounds, warmUp: 5 }),
        "libbpf in C, counting",
        "naive: a call and a Buffer per record",
      );
      const of = (name) => rows.find((row) => row.name === name);
      return {
        columns,
        rows,
        targets: [
          atMost("plain objects, against the C count", of("plain objects").timesC, 8),
          atMost(
            "batches reading two numbers, against the C count",
            of("batches, two numbers of each record").timesC,
            3,
          ),
          atLeast("plain objects, against the naive way", of("plain objects").fasterThanNaive, 20),
          atLeast(
            "batches reading two numbers, against the naive way",
            of("batches, two numbers of each record").fasterThanNaive,
            20,
          ),
        ],
      };
    },
  },
  ...[240, 2032].map((payload) => ({
    name: `ring-${payload + 16}`,
    partOf: ["ring"],
    title: `Draining a full 16 MiB ring of ${payload + 16}-byte records (u64, 2 x u32, ${payload} bytes of payload)`,
    async run({ rounds }) {
      const rows = compared(
        await payloads({ ringBytes: 16 * MIB, payload, rounds, warmUp: 8 }),
        "libbpf in C, copying each record",
        "naive: a call and a Buffer per record",
      );
      const objects = rows.find(({ name }) => name === "plain objects, payload as bytes");
      return {
        columns: columns.map((column) => (column.key === "timesC" ? { ...column, heading: "x C copy" } : column)),
        rows,
        targets: [
          atMost(`${payload + 16}-byte records as plain objects, against the C copy`, objects.timesC, 3),
          atLeast(`${payload + 16}-byte records as plain objects, against the naive way`, objects.fasterThanNaive, 20),
        ],
      };
    },
  })),
  {
    name: "perf-32",
    partOf: ["ring"],
    title: "Draining the same 32-byte records from a perf buffer (4 MiB per CPU)",
    async run({ rounds }) {
      const rows = compared(
        await perfRecords({ pages: 1024, rounds, warmUp: 8 }),
        "libbpf's perf_buffer in C, counting",
        "naive: a call and a Buffer per record",
      );
      const [, objects] = rows;
      return {
        columns,
        rows,
        targets: [
          atMost("perf buffer, plain objects, against libbpf's in C", objects.timesC, 8),
          atLeast("perf buffer, plain objects, against the naive way", objects.fasterThanNaive, 20),
        ],
      };
    },
  },
  {
    name: "flat-out",
    partOf: ["ring"],
    title: "A producer flat out on one core for 10 s, 16 MiB ring, plain objects",
    async run() {
      const plan = { ringBytes: 16 * MIB, seconds: 10 };
      const adaptive = { wakeup: "adaptive", named: "adaptive wake-ups" };
      const ours = [
        await flood({ ...plan, ...adaptive }),
        await flood({ ...plan, wakeup: "event", named: "wake-up per event" }),
        await tracedCalls({ ...plan, ...adaptive }),
        await tracedCalls({ ...plan, wakeup: "event", named: "wake-up per event" }),
      ];
      const theirs = await bpftrace(plan);
      const rows = theirs === undefined ? ours : [...ours, theirs];
      const lost = ours.reduce((sum, row) => sum + row.lost, 0);
      const targets = [{ heading: "records lost, flat out", value: String(lost), reach: "none", met: lost === 0 }];
      if (theirs !== undefined)
        targets.push(atMost("our processor time per record, against bpftrace's", ours[2].cpu / theirs.cpu, 1));
      return {
        columns: [
          { heading: "reader and source", key: "name" },
          { heading: "records", key: "produced" },
          { heading: "per second", key: "rate" },
          { heading: "lost", key: "lost" },
          { heading: "reader's ns per record", key: "cpu" },
        ],
        rows,
        notes: theirs === undefined ? ["bpftrace is not installed"] : [],
        targets,
      };
    },
  },
  {
    name: "thread",
    partOf: ["ring"],
    title: "What is lost while JavaScript is busy for 50 of 60 ms",
    async run() {
      const rows = await readingThread({ runs: 20_000 });
      const [loop, thread] = rows;
      return {
        columns: [
          { heading: "reader", key: "name" },
          { heading: "records", key: "produced" },
          { heading: "per second", key: "rate" },
          { heading: "lost", key: "lost" },
          { heading: "%", key: "share" },
        ],
        rows,
        targets: [
          {
            heading: "records lost with a thread that reads, against the event loop alone",
            value: `${thread.lost} and ${loop.lost}`,
            reach: "fewer",
            met: thread.lost < loop.lost,
          },
        ],
      };
    },
  },
  {
    name: "traced-side",
    partOf: ["ring"],
    title: "What a record costs the side that sends it: single records, 0.2 ms apart",
    async run() {
      return {
        columns: [
          { heading: "who waits", key: "name" },
          { heading: "ns, fastest tenth", key: "low" },
          { heading: "median", key: "median" },
          { heading: "p99", key: "p99" },
          { heading: "more than without", key: "more" },
        ],
        rows: await tracedSide({ events: 5000 }),
        targets: [],
      };
    },
  },
  {
    name: "latency",
    partOf: ["ring"],
    title: "From the event to its handler, single records 1 ms apart",
    async run() {
      const rows = await latency({ rounds: 6, events: 300 });
      return {
        columns: [
          { heading: "reader", key: "name" },
          { heading: "us, fastest tenth", key: "low" },
          { heading: "median", key: "median" },
          { heading: "p99", key: "p99" },
        ],
        rows,
        targets: rows.flatMap(({ name, median }, i) =>
          i % 2 === 0 ? [] : [atMost(`event to handler, median, ${name}, against C`, median / rows[i - 1].median, 1.5)],
        ),
      };
    },
  },
  {
    name: "loop-delay",
    partOf: ["ring"],
    title: "How late timers of 1 ms come while a producer never stops, in ms",
    async run() {
      return {
        columns: [
          { heading: "listener", key: "name" },
          { heading: "median", key: "median" },
          { heading: "p99", key: "p99" },
          { heading: "worst", key: "worst" },
          { heading: "timers", key: "timers" },
        ],
        rows: await loopDelay({ ringBytes: 16 * MIB, seconds: 5 }),
        targets: [],
      };
    },
  },
  {
    name: "long-run",
    partOf: ["ring"],
    title: "50 million records through batch views, after 5 million to warm up",
    async run() {
      const rows = await longRun({ ringBytes: 16 * MIB, events: 50e6, warmUp: 5e6 });
      const views = rows[1];
      const grown = views.most - views.first;
      return {
        columns: [
          { heading: "consumer", key: "name" },
          { heading: "records", key: "events" },
          { heading: "MiB RSS, first", key: "first" },
          { heading: "most", key: "most" },
          { heading: "last", key: "last" },
          { heading: "collections", key: "collections" },
          { heading: "while a handler ran", key: "within" },
        ],
        rows,
        targets: [
          { heading: "resident memory grown", value: `${grown.toFixed(1)} MiB`, reach: "below 4 MiB", met: grown < 4 },
          {
            heading: "collections while a handler ran",
            value: String(views.within),
            reach: "none",
            met: views.within === 0,
          },
        ],
      };
    },
  },
];
