import { drained, load, measure, Rig, sink } from "./rig.mjs";

/** The same 32-byte records through a perf buffer. libbpf's reader and ours take the buffers from each other: one after the other. */
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
    rig.c.openPerf(buffer.fd, pages);
    const inC = await measure(
      [{ name: "libbpf's perf_buffer in C, counting", rig, drain: (expected) => drained(rig.c.drainPerf(), expected) }],
      plan,
    );
    rig.c.closePerf();
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
    return [...inC, ...ours];
  } finally {
    object.close();
  }
}
