/** `ebpf/skeleton`: what the modules that `ebpf gen` writes import, and the generator itself. */
export type { Accepting, AcceptingKey, AcceptingValue } from "../object/accepting.js";
export type {
  AnyObject,
  AttachAllArguments,
  Constant,
  LoadedSectionOf,
  ObjectShape,
  OpenedMaps,
  OpenedPrograms,
  SectionName,
  SectionOf,
} from "../object/object_shape.js";
export type { CgroupAttachOptions, DeviceAttachOptions, NetnsAttachOptions, ProgramOf } from "../object/program_of.js";
export {
  type DescribedObject,
  describeObject,
  type MapDescription,
  type ObjectDescription,
  type ProgramDescription,
  type SectionDescription,
} from "./description.js";
export { fingerprint } from "./fingerprint.js";
export { type GenerateOptions, generateSkeleton } from "./generate.js";
export { openSkeleton, type SkeletonClass, type SkeletonSource } from "./open.js";
