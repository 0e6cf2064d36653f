import { expect, test } from "vitest";
import { readVerdict } from "../../../lib/kernel/verifier_log.js";

/** Of Linux 6.12, shortened: a length that may be negative is given to a ring's output function, which is inlined from a header. */
const LOG = `0: R1=ctx() R10=fp0
; length = bpf_probe_read_kernel_str(opened->path, 4095, BPF_CORE_READ(name, name)); @ opens.bpf.c:27
29: (85) call bpf_probe_read_kernel_str#115       ; R0_w=scalar(smin=smin32=-4095,smax=smax32=4095)
; files_output(opened, offsetof(struct opened, path) + length); @ opens.bpf.c:29
48: (07) r7 += 4                      ; R7_w=scalar(id=4,smin=smin32=-4091,smax=smax32=4099)
; EBPF_RINGBUF(files, struct opened, 256 * 1024); @ opens.bpf.c:7
49: (79) r8 = *(u64 *)(r1 +0)         ; R8_w=0
; __sync_fetch_and_add(&slot->produced, 1); @ events.h:348
80: (db) lock *(u64 *)(r9 +64) += r1          ; R1_w=1
; error = bpf_ringbuf_output(ring, data, size, flags); @ events.h:349
86: (85) call bpf_ringbuf_output#130
R3 min value is negative, either use unsigned or 'var &= const'
processed 48 insns (limit 1000000) max_states_per_insn 0 total_states 3 peak_states 3 mark_read 2
`;

test("a line of a header comes with the line that called it", () => {
  expect(readVerdict(LOG)).toEqual({
    reason: "R3 min value is negative, either use unsigned or 'var &= const'",
    sourceLine: "error = bpf_ringbuf_output(ring, data, size, flags); @ events.h:349",
    reachedFrom: "files_output(opened, offsetof(struct opened, path) + length); @ opens.bpf.c:29",
  });
});

test("a line of the source needs no other", () => {
  expect(readVerdict(LOG.replaceAll("events.h", "opens.bpf.c"))).toMatchObject({ reachedFrom: undefined });
});

test("where the kernel does not say the files, nothing is guessed", () => {
  expect(readVerdict(LOG.replaceAll(/ @ \S+$/gm, ""))).toEqual({
    reason: "R3 min value is negative, either use unsigned or 'var &= const'",
    sourceLine: "error = bpf_ringbuf_output(ring, data, size, flags);",
    reachedFrom: undefined,
  });
});
