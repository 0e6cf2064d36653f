/**
 * What maps cost from JavaScript, as ratios to the same loops in C over libbpf (loops.c): same map, same keys in the same order, in turns.
 * Values are decoded to objects, numbers and bigints; nothing is left out that a user's loop would do.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { BpfObject } from "ebpf";
import { median } from "../statistics.mjs";
import { bpfObject, cLoops } from "./build.mjs";

const MILLION = 1_000_000;
const PER_CPU_ENTRIES = 100_000;
const OPERATIONS = 200_000;
/** Entries per batch of the loop in C: the best of these is what we compare with. */
const C_BATCHES = [1024, 4096, 16384, 65536];
/** A step through the keys that the cache cannot foresee. */
const STEP = 7919;

/** The program in C, asked one loop at a time. */
class Loops {
  #child = spawn(cLoops(), { stdio: ["pipe", "pipe", "inherit"] });
  #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();

  async run(command, map, entries, operations, batch = 0) {
    this.#child.stdin.write(`${command} ${map.name} ${map.info().id} ${entries} ${operations} ${batch}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the loops in C ended early");
    const [ns, checksum] = value.split(" ");
    return { ns: Number(ns), checksum: BigInt(checksum) };
  }

  async close() {
    this.#child.stdin.end();
    await once(this.#child, "exit");
  }
}

const flow = (i) => ({ saddr: 0x0a000000 + i, daddr: 0xc0a80001, sport: i & 0xffff, dport: 443, protocol: 6 });
const counters = (i) => ({ packets: BigInt(i), bytes: 1500n, last: i, flags: 1 });

function timed(loop) {
  const start = process.hrtime.bigint();
  const checksum = loop();
  return { ns: Number(process.hrtime.bigint() - start), checksum };
}

function getFlows(map, operations) {
  let sum = 0n;
  for (let i = 0; i < operations; i++) sum += map.get(flow((i * STEP) % MILLION)).packets;
  return sum;
}

function getFlowsInto(map, operations) {
  const target = counters(0);
  let sum = 0n;
  for (let i = 0; i < operations; i++) {
    map.getInto(flow((i * STEP) % MILLION), target);
    sum += target.packets;
  }
  return sum;
}

function getManyFlows(map, operations) {
  let sum = 0n;
  const keys = Array.from({ length: operations }, (_, i) => flow((i * STEP) % MILLION));
  for (const value of map.getMany(keys)) sum += value.packets;
  return sum;
}

function setFlows(map, operations) {
  for (let i = 0; i < operations; i++) map.set(flow((i * STEP) % MILLION), counters(i));
  return BigInt(operations);
}

function setManyFlows(map, operations) {
  map.setMany(Array.from({ length: operations }, (_, i) => [flow((i * STEP) % MILLION), counters(i)]));
  return BigInt(operations);
}

function getNumbers(map, operations) {
  let sum = 0n;
  for (let i = 0; i < operations; i++) sum += map.get((i * STEP) % MILLION);
  return sum;
}

function setNumbers(map, operations) {
  for (let i = 0; i < operations; i++) map.set((i * STEP) % MILLION, BigInt(i));
  return BigInt(operations);
}

function getPerCpu(map, operations) {
  let sum = 0n;
  for (let i = 0; i < operations; i++) for (const { packets } of map.get((i * STEP) % PER_CPU_ENTRIES)) sum += packets;
  return sum;
}

function iterateFlows(map) {
  let sum = 0n;
  let odd = 0;
  for (const [{ saddr }, { packets }] of map) {
    sum += packets;
    odd += saddr & 1;
  }
  return sum + BigInt(odd);
}

function forEachFlow(map) {
  let sum = 0n;
  let odd = 0;
  map.forEach(({ packets }, { saddr }) => {
    sum += packets;
    odd += saddr & 1;
  });
  return sum + BigInt(odd);
}

function iterateNumbers(map) {
  let sum = 0n;
  let odd = 0;
  for (const [key, value] of map) {
    sum += value;
    odd += key & 1;
  }
  return sum + BigInt(odd);
}

function iteratePerCpu(map) {
  let sum = 0n;
  let odd = 0;
  for (const [key, values] of map) {
    for (const { packets } of values) sum += packets;
    odd += key & 1;
  }
  return sum + BigInt(odd);
}

const columns = [
  { heading: "loop", key: "name" },
  { heading: "C, ns each", key: "c" },
  { heading: "ns each", key: "ns" },
  { heading: "x C", key: "times" },
];

/** Rounds of a loop here and in C, in turns; checks that both saw the same. */
async function compare(name, { map, run, c, each, rounds }) {
  const ours = [];
  const theirs = new Map();
  for (let round = -2; round < rounds; round++) {
    const candidates = [];
    for (const [label, loop] of c) {
      const result = await loop();
      candidates.push(result.checksum);
      if (round >= 0) theirs.set(label, [...(theirs.get(label) ?? []), result.ns / each]);
    }
    const result = timed(() => run(map));
    if (round >= 0) ours.push(result.ns / each);
    for (const checksum of candidates) {
      if (checksum !== result.checksum)
        throw new Error(`${name}: the loop in C saw ${checksum}, this one ${result.checksum}`);
    }
  }
  const ns = median(ours);
  const best = Math.min(...[...theirs.values()].map(median));
  return { name, c: best, ns, times: ns / best };
}

function atMost(heading, value, limit) {
  return { heading, value: `${value.toFixed(2)} x`, reach: `at most ${limit} x`, met: value <= limit };
}

async function withMaps(use) {
  const object = await BpfObject.load(bpfObject());
  const loops = new Loops();
  try {
    const maps = { flows: object.hash("flows"), numbers: object.hash("numbers"), perCpu: object.hash("per_cpu") };
    await loops.run("set", maps.flows, MILLION, MILLION);
    await loops.run("set", maps.numbers, MILLION, MILLION);
    await loops.run("set", maps.perCpu, PER_CPU_ENTRIES, PER_CPU_ENTRIES);
    return await use(maps, loops);
  } finally {
    await loops.close();
    object.close();
  }
}

export function suites(which) {
  return SUITES.filter(({ partOf }) => partOf.includes(which));
}

const SUITES = [
  {
    name: "maps-single",
    partOf: ["maps"],
    title: "Entries one by one, in a hash map of 1,000,000",
    run: ({ rounds }) =>
      withMaps(async ({ flows, numbers, perCpu }, loops) => {
        const single = (name, command, map, run, entries = MILLION) =>
          compare(name, {
            map,
            run: (of) => run(of, OPERATIONS),
            c: [["loop", () => loops.run(command, map, entries, OPERATIONS)]],
            each: OPERATIONS,
            rounds,
          });
        const rows = [
          await single("get, u32 -> u64", "get", numbers, getNumbers),
          await single("get, struct -> struct", "get", flows, getFlows),
          await single("getInto, struct -> struct", "get", flows, getFlowsInto),
          await single("getMany, struct -> struct", "get", flows, getManyFlows),
          await single("get, u32 -> struct per CPU", "get", perCpu, getPerCpu, PER_CPU_ENTRIES),
          await single("set, u32 -> u64", "set", numbers, setNumbers),
          await single("set, struct -> struct", "set", flows, setFlows),
          await single("setMany, struct -> struct", "set", flows, setManyFlows),
        ];
        return { columns, rows, targets: rows.map(({ name, times }) => atMost(name, times, 3)) };
      }),
  },
  {
    name: "maps-iterate",
    partOf: ["maps"],
    title: "Every entry, in batches, decoded; per entry",
    run: ({ rounds }) =>
      withMaps(async ({ flows, numbers, perCpu }, loops) => {
        const all = (name, map, run, entries = MILLION) =>
          compare(name, {
            map,
            run,
            c: C_BATCHES.map((batch) => [batch, () => loops.run("iterate", map, entries, 0, batch)]),
            each: entries,
            rounds: Math.max(3, Math.ceil(rounds / 3)),
          });
        const rows = [
          await all("for...of, 1,000,000 x u32 -> u64", numbers, iterateNumbers),
          await all("for...of, 1,000,000 x struct -> struct", flows, iterateFlows),
          await all("forEach, 1,000,000 x struct -> struct", flows, forEachFlow),
          await all("for...of, 100,000 x u32 -> struct per CPU", perCpu, iteratePerCpu, PER_CPU_ENTRIES),
        ];
        return {
          columns,
          rows,
          notes: [
            `C: bpf_map_lookup_batch with the best of ${C_BATCHES.join(", ")} entries per call, summing one field.`,
          ],
          targets: rows.map(({ name, times }) => atMost(name, times, 4)),
        };
      }),
  },
];
