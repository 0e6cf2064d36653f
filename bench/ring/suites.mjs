/** The benches of streams, and what they are to reach. */
import { smallRecords } from "./drain.mjs";

const MIB = 1 << 20;

export function suites(which) {
  return SUITES.filter(({ partOf }) => partOf.includes(which));
}

const columns = [
  { heading: "consumer", key: "name" },
  { heading: "ns/record", key: "ns" },
  { heading: "fastest round", key: "fastest" },
  { heading: "x C count", key: "timesC" },
  { heading: "naive / it", key: "fasterThanNaive" },
];

/** Adds the ratios to a list of cases. */
function compared(rows, reference, naive) {
  const find = (name) => rows.find((row) => row.name === name)?.ns;
  return rows.map((row) => ({ ...row, timesC: row.ns / find(reference), fasterThanNaive: find(naive) / row.ns }));
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
    async run({ rounds, collectGarbage }) {
      const rows = compared(
        await smallRecords({ ringBytes: 16 * MIB, rounds, warmUp: 5, collectGarbage }),
        "libbpf in C, counting",
        "naive: a call and a Buffer per record",
      );
      const of = (name) => rows.find((row) => row.name === name);
      return {
        columns,
        rows,
        targets: [
          atMost("plain objects, against the C count", of("plain objects").timesC, 8),
          atLeast("plain objects, against the naive way", of("plain objects").fasterThanNaive, 20),
        ],
      };
    },
  },
];
