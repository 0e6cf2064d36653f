import { C_CALL, C_COUNT, fewer, load, measure, Rig, sink } from "./rig.mjs";

/** The same 32-byte records through a perf buffer. libbpf's readers and ours take the buffers from each other: one after the other. */
export async function perfRecords({ pages, rounds, warmUp }) {
  const object = await load(1 << 20, {});
  try {
    const buffer = object.perfBuffer("samples", {
      type: "struct record",
      pages,
      wakeup: { records: 4096, milliseconds: 10 },
    });
    const rig = new Rig(object, buffer, "send_samples");
    // A record takes 48 bytes: header, length, data, padding.
    const plan = { rounds, warmUp, records: Math.floor((pages * 4096) / 48) - 64, perRun: 32 };
    const inC = async (name, kind, how = plan, callback) => {
      const reader = rig.c.openPerf(buffer.fd, kind, pages);
      try {
        return await measure([{ name, rig, drain: rig.drainInC(reader, callback) }], how);
      } finally {
        rig.c.closePerf(reader);
      }
    };
    const counting = await inC("libbpf's perf_buffer in C, counting", C_COUNT);
    const naive = await inC("naive: a call and a Buffer per record", C_CALL, fewer(plan), (record) => {
      sink.mixed ^= record.length;
    });
    // A perf buffer is there from its first reader on.
    buffer.available;
    const ours = await measure(
      [
        {
          name: "perf buffer, plain objects",
          rig,
          drain: rig.byListener("event", (done) => (record) => {
            sink.mixed ^= record.value;
            done(1);
          }),
        },
      ],
      plan,
    );
    return [...counting, ...ours, ...naive];
  } finally {
    object.close();
  }
}
