export { Btf } from "./btf/btf.js";
export { fileBtf, kernelBtf, moduleBtf } from "./btf/sources.js";
export type { BtfKind, BtfType } from "./btf/types.js";
export { bytesCodec, type Codec, type CodecOptions, compileCodec } from "./codec/codec.js";
export { Memory } from "./codec/memory.js";
export { compileReader } from "./codec/reader.js";
export { BpfError, type BpfErrorCode, VerifierError } from "./errors.js";
export type { LostRecords, StreamTotals } from "./events/loss.js";
export { PerfBuffer } from "./events/perf_buffer.js";
export { PerfRecorder, type RecordedEvent } from "./events/perf_recorder.js";
export type { StreamOptions } from "./events/readable.js";
export type { ReaderChoice } from "./events/reader_choice.js";
export type { ColumnName, ColumnOf, RawRecord, RecordBatch } from "./events/record_batch.js";
export { type NextOptions, RecordStream } from "./events/record_stream.js";
export { RingBuffer } from "./events/ring_buffer.js";
export { type AddRingOptions, RingBuffers } from "./events/ring_buffers.js";
export type { WaitOptions } from "./events/space_queue.js";
export type { StreamEvents } from "./events/stream_events.js";
export type { TurnBudget } from "./events/turn.js";
export type { UserRecord } from "./events/user_record.js";
export { UserRingBuffer, type UserRingTotals } from "./events/user_ring_buffer.js";
export type { Wakeup } from "./events/wakeup.js";
export { type Feature, type Features, type FeaturesOptions, features, type Support } from "./features/features.js";
export { Histogram, histogramOf } from "./histogram/histogram.js";
export {
  histogram,
  histograms,
  type LinearSlots,
  type LinearSource,
  type Log2Slots,
  type Log2Source,
  type Log2Value,
  type SlotCount,
} from "./histogram/read.js";
export type { HistogramScale, LinearScale, Log2Scale } from "./histogram/scale.js";
export type { HistogramRow, HistogramTextOptions, HistogramUnit } from "./histogram/text.js";
export { type InterruptSignal, untilInterrupted } from "./interrupted.js";
export { cgroup2Mount, cgroupId } from "./kernel/cgroup.js";
export type { Descriptor, SocketDescriptor } from "./kernel/descriptor.js";
export type { NetnsOption } from "./kernel/device.js";
export { type KernelSymbol, KernelSymbols, kernelSymbols } from "./kernel/symbols.js";
export {
  type ListAttachmentsOptions,
  listAttachments,
} from "./link/attachments.js";
export { type BtfInfo, listBtf, listLinks, listMaps, listPrograms } from "./link/enumerate.js";
export type { AttachmentInfo, FoundAttachment } from "./link/found_attachment.js";
export { Link, type LinkTarget, type ReplacementProgram, type ReplacementStructOps } from "./link/link.js";
export type { LinkInfo } from "./link/link_info.js";
export { MultiLink, type MultiTarget, type SkippedFunction } from "./link/multi_link.js";
export { ArenaMap } from "./map/arena_map.js";
export { ArrayMap, PerCpuArrayMap } from "./map/array_map.js";
export { BloomFilterMap } from "./map/bloom_filter_map.js";
export { BpfMap, OpaqueMap } from "./map/bpf_map.js";
export { type CType, cType, type TypeSpec, type ValueOf } from "./map/c_type.js";
export { CgroupStorageMap, PerCpuCgroupStorageMap } from "./map/cgroup_storage_map.js";
export {
  type CreatableType,
  type CreatedMap,
  type CreatedMaps,
  type CreateMapOptions,
  createMap,
} from "./map/create_map.js";
export { CgroupArrayMap, DescriptorArrayMap, PerfEventArrayMap, ProgArrayMap } from "./map/descriptor_array_map.js";
export { DeletableMap, HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap } from "./map/hash_map.js";
export { type GetOptions, KeyedMap, type SetOptions } from "./map/keyed_map.js";
export { LpmTrieMap } from "./map/lpm_trie_map.js";
export type { MapClass } from "./map/map_class.js";
export type { MapCreateFlag, MapInfo } from "./map/map_info.js";
export { ArrayOfMaps, HashOfMaps, MapOfMaps } from "./map/map_of_maps.js";
export { mapByFd, mapById, openMap } from "./map/open_map.js";
export type { OpenedMap } from "./map/opened_map.js";
export { sumPerCpu } from "./map/per_cpu_sum.js";
export { KeylessMap, type PushOptions, QueueMap, StackMap } from "./map/queue_map.js";
export {
  type CpuEntry,
  CpuMap,
  type DeviceEntry,
  DevMap,
  DevMapHash,
  type RedirectOptions,
  XskMap,
} from "./map/redirect_map.js";
export { ReuseportSockArrayMap, SocketMap, SockHashMap, SockMap } from "./map/socket_map.js";
export { type BuildIdFrame, StackTraceMap } from "./map/stack_trace_map.js";
export { CgrpStorageMap, InodeStorageMap, SkStorageMap, StorageMap, TaskStorageMap } from "./map/storage_map.js";
export { StructOpsMap, type StructOpsState } from "./map/struct_ops_map.js";
export { BpfObject } from "./object/bpf_object.js";
export { enumeratorName } from "./object/enumerator_name.js";
export type { Globals } from "./object/globals.js";
export { snapshot } from "./object/live.js";
export { LoadedObject } from "./object/loaded_object.js";
export type { ObjectMap } from "./object/object_shape.js";
export type { OpenedObject, OpenOptions } from "./object/opened_object.js";
export type { OpenedRing } from "./object/opened_ring.js";
export type { BufferKind, PerfOptions } from "./object/perf.js";
export type { RingOptions } from "./object/rings.js";
export type { ObjectSource } from "./object/source.js";
export type { RejectedVariant, VariantChoice, VariantSpec } from "./object/variants.js";
export type { Anchor, AnchorOptions } from "./program/attach/anchor.js";
export type { AttachOptions } from "./program/attach/by_section.js";
export type { CgroupOptions } from "./program/attach/cgroup.js";
export type { CookieOptions } from "./program/attach/cookie.js";
export type { FunctionSelector } from "./program/attach/functions.js";
export { IterLink, type IterOptions, readPinnedIterator } from "./program/attach/iter.js";
export type { KprobeOptions, KsyscallOptions } from "./program/attach/kprobe.js";
export type { MultiOptions } from "./program/attach/kprobe_multi.js";
export type { LwtOptions } from "./program/attach/lwt.js";
export type { NetfilterOptions } from "./program/attach/netfilter.js";
export type { PerfEventName, PerfEventOptions, RawPerfEvent } from "./program/attach/perf_event.js";
export type { PacketSocketOptions } from "./program/attach/socket.js";
export type { SocketMapTarget } from "./program/attach/sockmap.js";
export { type TcDirection, TcLink, type TcOptions, type TcxOptions } from "./program/attach/tc.js";
export type { TargetProgram } from "./program/attach/trace.js";
export type { ProcessOptions, UprobeMultiOptions, UprobeOptions, UsdtOptions } from "./program/attach/uprobe.js";
export type { XdpOptions } from "./program/attach/xdp.js";
export type { OpenedProgram, ProgramIdentity, ProgramLoadFlag } from "./program/opened_program.js";
export { Program } from "./program/program.js";
export { ProgramHandle } from "./program/program_handle.js";
export { enableStatistics, type ProgramInfo, type Statistics } from "./program/program_info.js";
export type { TestRunOptions, TestRunResult } from "./program/test_run.js";
export {
  ProcessSymbols,
  type UnnamedReason,
  type UserFrame,
  type UserSymbol,
  UserSymbols,
  type UserSymbolsOptions,
} from "./symbols/user_symbols.js";
