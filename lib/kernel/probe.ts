/** Whether the kernel has a type, by trying. */
import { native } from "../native.js";
import { MapType, ProgramType } from "./abi.js";

/**
 * 1 it has, 0 it has not, negative errno when it cannot be told. Libbpf from 1.4 asks for a struct_ops in a way that kernels before 6.9 do not understand,
 * and takes that for a no: its programs came with it, and are not asked for in that way.
 */
export function probeMapType(type: number): number {
  return type === MapType.structOps ? native().probeProgramType(ProgramType.structOps) : native().probeMapType(type);
}
