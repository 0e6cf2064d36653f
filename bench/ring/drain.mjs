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
const sink = { sum: 0, text: "" };

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
    return async (expected) => {
      const { ring } = this;
      let left = expected;
      const done = withResolvers();
      const listener = handler((count) => {
        left -= count;
        if (left <= 0) done.resolve();
      });
      const started = process.hrtime.bigint();
      ring.on(event, listener);
      await done.promise;
      const ns = Number(process.hrtime.bigint() - started);
      ring.off(event, listener);
      if (left !== 0) throw new Error(`${expected - left} records arrived, ${expected} produced`);
      return ns;
    };
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

async function measure(cases, rig, { rounds, warmUp, records, perRun, collectGarbage }) {
  const times = new Map(cases.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const { name, drain } of cases) {
      collectGarbage();
      await new Promise(setImmediate);
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
  const record = 32 + 8;
  const cases = [
    { name: "libbpf in C, counting", drain: rig.inC(C_COUNT) },
    { name: "libbpf in C, copying each record", drain: rig.inC(C_COPY) },
    {
      name: "plain objects",
      drain: rig.byListener("event", (done) => (event) => {
        sink.sum += event.value;
        done(1);
      }),
    },
    { name: "batches", drain: rig.byListener("batch", (done) => (batch) => done(batch.length)) },
    {
      name: "naive: a call and a Buffer per record",
      drain: rig.inC(C_CALL, (buffer) => {
        sink.sum += buffer.length;
      }),
    },
    {
      name: "naive, with the object made of it",
      drain: rig.inC(C_CALL, (buffer) => {
        sink.sum += decodeNaively(buffer).value;
      }),
    },
  ];
  const results = await measure(cases, rig, { ...how, records: Math.floor((ringBytes - record) / record), perRun: 32 });
  const { produced, delivered, lost } = ring.totals;
  if (lost !== 0) throw new Error(`${lost} of ${produced} records were lost, ${delivered} delivered`);
  return results;
}

async function load(ringBytes, constants) {
  const opened = BpfObject.open(bpfObject("ring"));
  opened.map("records").maxEntries = ringBytes;
  opened.map("packets").maxEntries = ringBytes;
  Object.assign(opened.rodata, constants);
  return opened.load();
}
