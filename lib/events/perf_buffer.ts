import { RecordStream } from "./record_stream.js";

/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY (minimum kernel 4.4), read as typed records: one buffer per CPU, each in its own order, none between
 * them. Where both are to be had, a ring buffer is better: one order, memory shared by all CPUs, half the cost. With `EBPF_EVENTS` of
 * `<ebpf/events.h>` one program uses whichever the kernel has.
 *
 * What a record's type is must be said (`{ type }`), as nothing in the object does. Records come padded to 8 bytes, less 4: what is
 * behind the type's members is in `raw.tail`. The kernel counts what it had no room for, per CPU.
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
export class PerfBuffer<T> extends RecordStream<T> {}
