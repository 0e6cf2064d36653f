import { RecordStream } from "./record_stream.js";

/**
 * BPF_MAP_TYPE_RINGBUF (minimum kernel 5.8), read as typed records.
 *
 * Declared with `EBPF_RINGBUF` of `<ebpf/events.h>`, its record type is known from BTF and losses are counted and reported.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Verdict { pid: number; comm: string; retval: number }
 * using object = await BpfObject.load("drops.bpf.o");
 * const verdicts = object.ringBuffer<Verdict>("verdicts");
 * verdicts.on("event", (verdict) => console.log(verdict.comm, verdict.retval));
 * verdicts.on("lost", ({ count }) => console.warn(`${count} records lost`));
 * object.attach();
 * ```
 */
export class RingBuffer<T> extends RecordStream<T> {}
