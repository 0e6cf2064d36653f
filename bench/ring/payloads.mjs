import { C_CALL, C_COPY, fewer, load, measure, Rig, sink } from "./rig.mjs";

/** Records with a payload as bytes, against libbpf in C that copies each record out. */
export async function payloads({ ringBytes, payload, ...how }) {
  // Each way of reading has a ring to itself, as in a program: a batch listener on a ring whose memory is given away with its
  // payloads would find other memory each time.
  const rigs = await Promise.all(
    [0, 1].map(async () => {
      const object = await load(ringBytes, { payload });
      return new Rig(object, object.ringBuffer("packets"), "send_packets");
    }),
  );
  const [objects, batches] = rigs;
  const plan = { ...how, records: Math.floor(ringBytes / (24 + payload)) - 1, perRun: 32 };
  try {
    const cases = [
      { name: "libbpf in C, copying each record", rig: objects, drain: objects.inC(C_COPY) },
      {
        name: "plain objects, payload as bytes",
        rig: objects,
        drain: objects.byListener("event", (done) => (packet) => {
          sink.mixed ^= packet.data.length;
          done(1);
        }),
      },
      {
        name: "batches, payload as bytes",
        rig: batches,
        drain: batches.byListener("batch", (done) => (batch) => {
          let mixed = 0;
          for (let i = 0; i < batch.length; i++) mixed ^= batch.view(i).data.length;
          sink.mixed ^= mixed;
          done(batch.length);
        }),
      },
      {
        name: "batches, one number and no payload",
        rig: batches,
        drain: batches.byListener("batch", (done) => (batch) => {
          let mixed = 0;
          for (let i = 0; i < batch.length; i++) mixed ^= batch.view(i).length;
          sink.mixed ^= mixed;
          done(batch.length);
        }),
      },
    ];
    const naive = [
      {
        name: "naive: a call and a Buffer per record",
        rig: objects,
        drain: objects.inC(C_CALL, (buffer) => {
          sink.mixed ^= buffer.length;
        }),
      },
    ];
    return [...(await measure(cases, plan)), ...(await measure(naive, fewer(plan)))];
  } finally {
    for (const { object } of rigs) object.close();
  }
}
