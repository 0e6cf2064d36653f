/** The benches of streams, and what they are to reach. */
import { payloads, perfRecords, smallRecords } from "./drain.mjs";

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
        ],
      };
    },
  },
  ...[240, 2032].map((payload) => ({
    name: `ring-${payload + 16}`,
    partOf: ["ring"],
    title: `Draining a full 16 MiB ring of ${payload + 16}-byte records (u64, 2 x u32, ${payload} bytes of payload)`,
    async run({ rounds }) {
      const results = await payloads({ ringBytes: 16 * MIB, payload, rounds, warmUp: 8 });
      const [copied] = results;
      const rows = results.map((row) => ({ ...row, timesC: row.fastest / copied.fastest }));
      return {
        columns: columns
          .slice(0, 4)
          .map((column) => (column.key === "timesC" ? { ...column, heading: "x C copy" } : column)),
        rows,
        targets: [atMost(`${payload + 16}-byte records as plain objects, against the C copy`, rows[1].timesC, 3)],
      };
    },
  })),
  {
    name: "perf-32",
    partOf: ["ring"],
    title: "Draining the same 32-byte records from a perf buffer (4 MiB per CPU)",
    async run({ rounds }) {
      const results = await perfRecords({ pages: 1024, rounds, warmUp: 8 });
      const rows = results.map((row) => ({ ...row, timesC: row.fastest / results[0].fastest }));
      return {
        columns: columns.slice(0, 4),
        rows,
        targets: [atMost("perf buffer, plain objects, against libbpf's in C", rows[1].timesC, 8)],
      };
    },
  },
];
