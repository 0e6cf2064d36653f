/** Which of the kernel's helpers instructions call (Documentation/bpf/standardization/instruction-set.rst). */
import { endianness } from "node:os";

/** sizeof(struct bpf_insn). */
const INSTRUCTION_SIZE = 8;
/** BPF_JMP | BPF_CALL. */
const CALL = 0x85;

/** Objects are built for the machine's own byte order, and libbpf has read this one. */
const LITTLE_ENDIAN = endianness() === "LE";

/** Helpers' numbers, each once, in order. Calls of the program's own functions and of kernel functions (kfuncs) are others. */
export function helperCalls(instructions: Uint8Array): number[] {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.byteLength);
  const found = new Set<number>();
  for (let at = 0; at + INSTRUCTION_SIZE <= instructions.byteLength; at += INSTRUCTION_SIZE) {
    if (view.getUint8(at) !== CALL) continue;
    const registers = view.getUint8(at + 1);
    // In src_reg: 0 a helper, BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL.
    if ((LITTLE_ENDIAN ? registers >>> 4 : registers & 15) === 0) found.add(view.getInt32(at + 4, LITTLE_ENDIAN));
  }
  return [...found].sort((a, b) => a - b);
}
