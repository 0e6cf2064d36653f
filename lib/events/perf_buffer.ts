import { RecordStream } from "./record_stream.js";

/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY (minimum kernel 4.4), read as typed records: one buffer per CPU, each in its own order, none between
 * them. Where both are to be had, a ring buffer is better: one order, memory shared by all CPUs, half the cost. With `EBPF_EVENTS` of
 * `<ebpf/events.h>` one program uses whichever the kernel has.
 *
 * Declared with `EBPF_PERFBUF` of `<ebpf/events.h>`, the record type is known from BTF, a skeleton has it, and the program counts what it sent and
 * what was lost. Of any other array a record's type must be said (`{ type: "struct open" }`), as nothing in the object does: its records are bytes else,
 * and the kernel counts what it had no room for, per CPU. Records come padded to 8 bytes, less 4: what is behind the type's members is in `raw.tail`.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Open { pid: number; path: string }
 * using object = await BpfObject.load("opens.bpf.o");
 * const opens = object.perfBuffer<Open>("opens", { type: "struct open" });
 * opens.on("event", (open, raw) => console.log(raw.cpu, open.pid, open.path));
 * opens.on("lost", ({ count, cpu }) => console.warn(`${count} records lost on CPU ${cpu}`));
 * ```
 */
export class PerfBuffer<T> extends RecordStream<T> {
  /** For the compiler, to which it would be a {@link RingBuffer} else. */
  declare protected readonly perCpu: true;
}
