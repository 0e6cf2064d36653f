export { Btf } from "./btf/btf.js";
export { kernelBtf, moduleBtf } from "./btf/sources.js";
export type { BtfKind, BtfType } from "./btf/types.js";
export { BpfError, type BpfErrorCode, VerifierError } from "./errors.js";
export type { LostRecords, StreamTotals } from "./events/loss.js";
export type { RecordBatch } from "./events/record_batch.js";
export type { NextOptions, StreamEvents } from "./events/record_stream.js";
export { RingBuffer } from "./events/ring_buffer.js";
export { cgroup2Mount } from "./kernel/cgroup.js";
export { Link, type LinkTarget } from "./link/link.js";
export { ArrayMap, PerCpuArrayMap } from "./map/array_map.js";
export { BpfMap } from "./map/bpf_map.js";
export { HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap } from "./map/hash_map.js";
export { KeyedMap, type SetOptions } from "./map/keyed_map.js";
export type { OpenedMap } from "./map/opened_map.js";
export { BpfObject } from "./object/bpf_object.js";
export type { Globals } from "./object/globals.js";
export { snapshot } from "./object/live.js";
export { LoadedObject, type ObjectMap, type RingOptions } from "./object/loaded_object.js";
export type { OpenedObject, OpenOptions } from "./object/opened_object.js";
export type { ObjectSource } from "./object/source.js";
export type { RejectedVariant, VariantChoice, VariantSpec } from "./object/variants.js";
export type { OpenedProgram, ProgramIdentity } from "./program/opened_program.js";
export {
  type AttachOptions,
  type CookieOptions,
  type KprobeOptions,
  Program,
  type TestRunOptions,
  type TestRunResult,
} from "./program/program.js";
