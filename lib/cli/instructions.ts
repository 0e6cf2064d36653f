/** What instructions ask of the kernel (Documentation/bpf/standardization/instruction-set.rst). */
import { endianness } from "node:os";
import type { InstructionKind } from "../kernel/since.js";

/** sizeof(struct bpf_insn). */
const INSTRUCTION_SIZE = 8;
/** BPF_JMP | BPF_CALL. */
const CALL = 0x85;

/** Objects are built for the machine's own byte order, and libbpf has read this one. */
const LITTLE_ENDIAN = endianness() === "LE";

interface Instruction {
  readonly code: number;
  readonly source: number;
  readonly offset: number;
  readonly immediate: number;
}

function* decode(instructions: Uint8Array): Generator<Instruction> {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.byteLength);
  // The second half of a 64-bit constant has code 0, and is nothing that is looked for.
  for (let at = 0; at + INSTRUCTION_SIZE <= instructions.byteLength; at += INSTRUCTION_SIZE) {
    const registers = view.getUint8(at + 1);
    yield {
      code: view.getUint8(at),
      source: LITTLE_ENDIAN ? registers >>> 4 : registers & 15,
      offset: view.getInt16(at + 2, LITTLE_ENDIAN),
      immediate: view.getInt32(at + 4, LITTLE_ENDIAN),
    };
  }
}

/** Helpers' numbers, each once, in order. Calls of the program's own functions and of kernel functions (kfuncs) are others. */
export function helperCalls(instructions: Uint8Array): number[] {
  const found = new Set<number>();
  // In the source register: 0 a helper, BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL.
  for (const { code, source, immediate } of decode(instructions))
    if (code === CALL && source === 0) found.add(immediate);
  return [...found].sort((a, b) => a - b);
}

/** Kinds of instructions that did not come with BPF itself, each once. */
export function instructionKinds(instructions: Uint8Array): InstructionKind[] {
  const found = new Set<InstructionKind>();
  for (const instruction of decode(instructions)) {
    const kind = kindOf(instruction);
    if (kind !== undefined) found.add(kind);
  }
  return [...found];
}

const [LDX, STX, ALU, JMP, JMP32, ALU64] = [0x01, 0x03, 0x04, 0x05, 0x06, 0x07];
/** The upper three bits of loads and stores. */
const [MEMORY_SIGNED, ATOMIC] = [0x80, 0xc0];
/** The upper four bits of arithmetic and jumps. */
const [JUMP, DIVIDE, MODULO, MOVE, SWAP, MAY_GOTO] = [0x00, 0x30, 0x90, 0xb0, 0xd0, 0xe0];
/** Atomic operations, in the immediate. */
const [ATOMIC_ADD, LOAD_ACQUIRE, STORE_RELEASE] = [0x00, 0x100, 0x110];
/** BPF_ADDR_SPACE_CAST, in the offset of a move. */
const ADDRESS_SPACE = 1;

function kindOf({ code, offset, immediate }: Instruction): InstructionKind | undefined {
  const mode = code & 0xe0;
  const operation = code & 0xf0;
  switch (code & 7) {
    case LDX:
      return mode === MEMORY_SIGNED ? "sign-extending loads" : undefined;
    case STX:
      if (mode !== ATOMIC || immediate === ATOMIC_ADD) return undefined;
      return immediate === LOAD_ACQUIRE || immediate === STORE_RELEASE
        ? "load-acquire and store-release"
        : "atomic operations other than additions without a result";
    case ALU:
    case ALU64:
      if ((operation === DIVIDE || operation === MODULO) && offset === 1) return "signed divisions";
      if (operation === MOVE && offset !== 0)
        return offset === ADDRESS_SPACE ? "casts of arena pointers" : "sign-extending moves";
      return operation === SWAP && (code & 7) === ALU64 ? "unconditional byte swaps" : undefined;
    case JMP:
      return operation === MAY_GOTO ? "may_goto" : undefined;
    case JMP32:
      return operation === JUMP ? "long jumps" : "32-bit comparisons";
    default:
      return undefined;
  }
}
