/**
 * What a consumer costs per record: the ring is filled, then the time to empty it is taken. Producing costs nobody here: it is over
 * before the clock starts. Cases take turns within a round, so that whatever disturbs the machine disturbs all of them.
 */
import { BpfObject } from "ebpf";
import { median } from "../statistics.mjs";
import { baseline, bpfObject } from "./build.mjs";

const PACKET = new Uint8Array(64);
const C_COUNT = 0;
const C_COPY = 1;
const C_CALL = 2;

/** Reads a record's bytes into an object as one does who gets a Buffer per record. */
function decodeNaively(buffer) {
  const end = buffer.indexOf(0, 16);
  return {
    time: buffer.readBigUInt64LE(0),
    pid: buffer.readUInt32LE(8),
    value: buffer.readUInt32LE(12),
    comm: buffer.toString("utf8", 16, end < 0 ? 32 : end),
  };
}

/** Keeps the optimizer from dropping what is measured. */
const sink = { mixed: 0 };

class Rig {
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
      reader = this.c.openReader(this.ring.fd, kind);
      this.readers.set(kind, reader);
    }
    return (expected) => {
      const { records, ns } = this.c.drain(reader, callback ?? (() => {}));
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

/** Rounds of all cases, after as many as it takes for V8 to have compiled what they run. */
async function measure(cases, rig, { rounds, warmUp, records, perRun }) {
  const times = new Map(cases.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const { name, drain } of cases) {
      const produced = rig.fill(records, perRun);
      const ns = await drain(produced);
      if (round >= 0) times.get(name).push(ns / produced);
    }
  }
  return cases.map(({ name }) => ({ name, ns: median(times.get(name)), fastest: Math.min(...times.get(name)) }));
}

/** 32-byte records: u64, two u32, char[16]. */
export async function smallRecords({ ringBytes, ...how }) {
  const object = await load(ringBytes, {});
  try {
    return await drainRecords(object, { ringBytes, ...how });
  } finally {
    object.close();
  }
}

async function drainRecords(object, { ringBytes, ...how }) {
  const ring = object.ringBuffer("records");
  const rig = new Rig(object, ring, "send_records");
  const plan = { ...how, records: Math.floor(ringBytes / (32 + 8)) - 1, perRun: 32 };
  const cases = [
    { name: "libbpf in C, counting", drain: rig.inC(C_COUNT) },
    { name: "libbpf in C, copying each record", drain: rig.inC(C_COPY) },
    {
      name: "plain objects",
      drain: rig.byListener("event", (done) => (record) => {
        sink.mixed ^= record.value;
        done(1);
      }),
    },
    {
      name: "batches, two numbers of each record",
      drain: rig.byListener("batch", (done) => (batch) => {
        let mixed = 0;
        for (let i = 0; i < batch.length; i++) {
          const record = batch.view(i);
          mixed ^= record.pid ^ record.value;
        }
        sink.mixed ^= mixed;
        done(batch.length);
      }),
    },
    {
      name: "batches, the same by for-of",
      drain: rig.byListener("batch", (done) => (batch) => {
        let mixed = 0;
        for (const record of batch.views()) mixed ^= record.pid ^ record.value;
        sink.mixed ^= mixed;
        done(batch.length);
      }),
    },
    {
      name: "batches, the same two as columns",
      drain: rig.byListener("batch", (done) => {
        const pids = new Uint32Array(8192);
        const values = new Uint32Array(8192);
        return (batch) => {
          batch.column("pid", pids);
          batch.column("value", values);
          let mixed = 0;
          for (let i = 0; i < batch.length; i++) mixed ^= pids[i] ^ values[i];
          sink.mixed ^= mixed;
          done(batch.length);
        };
      }),
    },
    { name: "batches, not looked into", drain: rig.byListener("batch", (done) => (batch) => done(batch.length)) },
  ];
  // On their own: the Buffers they leave behind are collected while something else runs.
  const naive = [
    {
      name: "naive: a call and a Buffer per record",
      drain: rig.inC(C_CALL, (buffer) => {
        sink.mixed ^= buffer.length;
      }),
    },
    {
      name: "naive, with the object made of it",
      drain: rig.inC(C_CALL, (buffer) => {
        sink.mixed ^= decodeNaively(buffer).value;
      }),
    },
  ];
  const results = [
    ...(await measure(cases, rig, plan)),
    ...(await measure(naive, rig, { ...plan, rounds: Math.ceil(plan.rounds / 3), warmUp: 2 })),
  ];
  const { produced, delivered, lost } = ring.totals;
  if (lost !== 0) throw new Error(`${lost} of ${produced} records were lost, ${delivered} delivered`);
  return results;
}

/** Records with a payload as bytes, against libbpf in C that copies each record out. */
export async function payloads({ ringBytes, payload, ...how }) {
  const object = await load(ringBytes, { payload });
  try {
    const ring = object.ringBuffer("packets");
    const rig = new Rig(object, ring, "send_packets");
    const records = Math.floor(ringBytes / (24 + payload)) - 1;
    const cases = [
      { name: "libbpf in C, copying each record", drain: rig.inC(C_COPY) },
      {
        name: "plain objects, payload as bytes",
        drain: rig.byListener("event", (done) => (packet) => {
          sink.mixed ^= packet.data.length;
          done(1);
        }),
      },
      {
        name: "batches, one number and no payload",
        drain: rig.byListener("batch", (done) => (batch) => {
          let mixed = 0;
          for (let i = 0; i < batch.length; i++) mixed ^= batch.view(i).length;
          sink.mixed ^= mixed;
          done(batch.length);
        }),
      },
    ];
    return await measure(cases, rig, { ...how, records, perRun: 32 });
  } finally {
    object.close();
  }
}

/** The same 32-byte records through a perf buffer. libbpf's reader and ours take the buffers from each other: one after the other. */
export async function perfRecords({ pages, rounds, warmUp }) {
  const object = await load(1 << 20, {});
  try {
    const buffer = object.perfBuffer("samples", { type: "struct record", pages });
    const rig = new Rig(object, buffer, "send_samples");
    // A record takes 48 bytes: header, length, data, padding.
    const plan = { rounds, warmUp, records: Math.floor((pages * 4096) / 48) - 64, perRun: 32 };
    rig.c.openPerf(buffer.fd, pages);
    const inC = await measure(
      [{ name: "libbpf's perf_buffer in C, counting", drain: (expected) => drained(rig.c.drainPerf(), expected) }],
      rig,
      plan,
    );
    rig.c.closePerf();
    // A perf buffer is there from its first reader on.
    buffer.available;
    const ours = await measure(
      [
        {
          name: "perf buffer, plain objects",
          drain: rig.byListener("event", (done) => (record) => {
            sink.mixed ^= record.value;
            done(1);
          }),
        },
      ],
      rig,
      plan,
    );
    return [...inC, ...ours];
  } finally {
    object.close();
  }
}

function drained({ records, ns }, expected) {
  if (records !== expected) throw new Error(`${records} records drained, ${expected} produced`);
  return ns;
}

async function load(ringBytes, constants) {
  const opened = BpfObject.open(bpfObject("ring"));
  opened.map("records").maxEntries = ringBytes;
  opened.map("packets").maxEntries = ringBytes;
  Object.assign(opened.rodata, constants);
  return opened.load();
}
