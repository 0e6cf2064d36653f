/** A ring, the program that fills it, and ways to empty it: by the baselines in C, and by this library. */
import { BpfObject } from "ebpf";
import { median } from "../statistics.mjs";
import { baseline, bpfObject } from "./build.mjs";

export const PACKET = new Uint8Array(64);
export const C_COUNT = 0;
export const C_COPY = 1;
export const C_CALL = 2;

/** Keeps the optimizer from dropping what is measured. */
export const sink = { mixed: 0 };

export class Rig {
  constructor(object, ring, program) {
    this.object = object;
    this.ring = ring;
    this.program = object.program(program);
    this.c = baseline();
    this.readers = new Map();
  }

  fill(records, perRun) {
    this.program.testRun({ data: PACKET, repeat: Math.floor(records / perRun) });
    return Math.floor(records / perRun) * perRun;
  }

  /** A drain by the baseline in C. */
  inC(kind, callback) {
    let reader = this.readers.get(kind);
    if (reader === undefined) {
      reader = this.c.openRing(this.ring.fd, kind);
      this.readers.set(kind, reader);
    }
    return this.drainInC(reader, callback);
  }

  /** The same, by a reader of the caller's. */
  drainInC(reader, callback = () => {}) {
    return (expected) => {
      const { records, ns } = this.c.drain(reader, callback);
      if (records !== expected) throw new Error(`${records} records drained, ${expected} produced`);
      return ns;
    };
  }

  /** A drain by this library: from the moment a listener is added until the last record was handled. */
  byListener(event, handler) {
    const { ring } = this;
    const state = { left: 0, resolve: undefined };
    // One listener for all rounds, as in a program.
    const listener = handler((count) => {
      state.left -= count;
      if (state.left <= 0) state.resolve();
    });
    return async (expected) => {
      state.left = expected;
      const done = new Promise((resolve) => {
        state.resolve = resolve;
      });
      const started = this.c.cpuNs();
      ring.on(event, listener);
      await done;
      const ns = this.c.cpuNs() - started;
      ring.off(event, listener);
      if (state.left !== 0) throw new Error(`${expected - state.left} records arrived, ${expected} produced`);
      return ns;
    };
  }
}

/**
 * Rounds of all cases, after as many as it takes for V8 to have compiled what they run. They take turns within a round, so that
 * whatever disturbs the machine disturbs all of them.
 */
export async function measure(cases, { rounds, warmUp, records, perRun }) {
  const times = new Map(cases.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const { name, rig, drain } of cases) {
      const produced = rig.fill(records, perRun);
      const ns = await drain(produced);
      if (round >= 0) times.get(name).push(ns / produced);
    }
  }
  return cases.map(({ name }) => ({ name, ns: median(times.get(name)), fastest: Math.min(...times.get(name)) }));
}

/** The naive way takes long, and its rounds differ little. */
export function fewer(plan) {
  return { ...plan, rounds: Math.ceil(plan.rounds / 3), warmUp: 2 };
}

/** The benches' object; `configure` sees it before it is loaded. */
export async function load(ringBytes, constants = {}, configure = () => {}) {
  const opened = BpfObject.open(bpfObject("ring"));
  opened.map("records").maxEntries = ringBytes;
  opened.map("packets").maxEntries = ringBytes;
  Object.assign(opened.rodata, constants);
  configure(opened);
  return opened.load();
}
