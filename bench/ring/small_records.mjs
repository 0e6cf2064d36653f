/**
 * What a consumer costs per record: the ring is filled, then the time to empty it is taken. Producing costs nobody here: it is over
 * before the clock starts.
 */
import { C_CALL, C_COPY, C_COUNT, fewer, load, measure, Rig, sink } from "./rig.mjs";

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

/** 32-byte records: u64, two u32, char[16]. */
export async function smallRecords({ ringBytes, ...how }) {
  // One that is kept has a ring to itself: two listeners in turns on one stream are none that V8 inlines.
  const rigs = await Promise.all(
    [0, 1].map(async () => {
      const object = await load(ringBytes);
      return new Rig(object, object.ringBuffer("records"), "send_records");
    }),
  );
  try {
    return await drainRecords(rigs, { ringBytes, ...how });
  } finally {
    for (const { object } of rigs) object.close();
  }
}

async function drainRecords([rig, keeping], { ringBytes, ...how }) {
  const plan = { ...how, records: Math.floor(ringBytes / (32 + 8)) - 1, perRun: 32 };
  const cases = [
    { name: "libbpf in C, counting", rig, drain: rig.inC(C_COUNT) },
    { name: "libbpf in C, copying each record", rig, drain: rig.inC(C_COPY) },
    {
      name: "plain objects",
      rig,
      drain: rig.byListener("event", (done) => (record) => {
        sink.mixed ^= record.value;
        done(1);
      }),
    },
    {
      // V8 makes no object of a record whose listener it has inlined and which goes nowhere; of these it must.
      name: "plain objects, the last 1,024 kept",
      rig: keeping,
      drain: keeping.byListener("event", (done) => {
        const kept = new Array(1024).fill(undefined);
        let at = 0;
        return (record) => {
          kept[at++ & 1023] = record;
          done(1);
        };
      }),
    },
    {
      name: "batches, two numbers of each record",
      rig,
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
      rig,
      drain: rig.byListener("batch", (done) => (batch) => {
        let mixed = 0;
        for (const record of batch.views()) mixed ^= record.pid ^ record.value;
        sink.mixed ^= mixed;
        done(batch.length);
      }),
    },
    {
      name: "batches, the same two as columns",
      rig,
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
    { name: "batches, not looked into", rig, drain: rig.byListener("batch", (done) => (batch) => done(batch.length)) },
  ];
  // On their own: the Buffers they leave behind are collected while something else runs.
  const naive = [
    {
      name: "naive: a call and a Buffer per record",
      rig,
      drain: rig.inC(C_CALL, (buffer) => {
        sink.mixed ^= buffer.length;
      }),
    },
    {
      name: "naive, with the object made of it",
      rig,
      drain: rig.inC(C_CALL, (buffer) => {
        sink.mixed ^= decodeNaively(buffer).value;
      }),
    },
  ];
  const results = [...(await measure(cases, plan)), ...(await measure(naive, fewer(plan)))];
  for (const { ring } of [rig, keeping]) {
    const { produced, delivered, lost } = ring.totals;
    if (lost !== 0) throw new Error(`${lost} of ${produced} records were lost, ${delivered} delivered`);
  }
  return results;
}
