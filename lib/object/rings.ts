/** What `EBPF_RINGBUF` (bpf/include/ebpf/events.h) left in the object: a ring's record type and its counters. */
import type { Btf } from "../btf/btf.js";
import type { BtfKind } from "../btf/types.js";
import { bytesCodec, type Codec, compileCodec } from "../codec/codec.js";
import { column } from "../codec/column.js";
import { compileLoop } from "../codec/loop.js";
import { Memory } from "../codec/memory.js";
import { compileReader } from "../codec/reader.js";
import type { CountersReader, RingCounters } from "../events/loss.js";
import { checkReader, type ReaderChoice, threadOf } from "../events/reader_choice.js";
import type { RecordAccess, RecordSource } from "../events/record_source.js";
import { WAKEUP_LIVE, type WakeupControl, wakeupOf } from "../events/wakeup.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import type { NativeMapDefinition, NativePerfOptions } from "../native.js";
import { invalid, type OptionCheck } from "../options.js";
import type { ObjectCore } from "./core.js";
import { sectionOf, variablesOf } from "./globals.js";
import { recordCodec, taggedUnion } from "./records.js";
import { chosen } from "./stream_choices.js";

export const RINGS_SECTION = ".data.ebpf";
const VARIABLE_PREFIX = "ebpf_ring__";
const USER_PREFIX = "ebpf_user_ring__";
const RINGS_PREFIX = "ebpf_rings__";
const WAKEUP_PREFIX = "ebpf_ring_wakeup__";

export interface RingOptions<T = unknown> {
  /** Makes of each decoded record what listeners get. It must return something other than undefined. */
  readonly convert?: ((record: never) => T) | undefined;
  /** The C type of the records, for a ring that was not declared with `EBPF_RINGBUF` or a macro like it: `struct verdict`. By default bytes. */
  readonly type?: string | undefined;
  /**
   * Whether to refuse a ring that somebody else reads (BUSY): each of two readers gets a part of the records. Seen are readers of this
   * library in this network namespace. Default true.
   */
  readonly exclusive?: boolean | undefined;
  /** Who empties the kernel's buffer; by default what was set on the opened map, or the event loop. */
  readonly reader?: ReaderChoice | undefined;
}

export const RING_OPTIONS: Readonly<Record<keyof RingOptions, OptionCheck>> = {
  type: "string",
  convert: "function",
  exclusive: "boolean",
  // Looked into by checkReader.
  reader: { wants: "a reader", accepts: () => true },
};

/** A ring's declaration as BTF has it. */
export interface RingDeclaration {
  readonly recordType: number;
  /** Where the word is that programs read for EBPF_WAKEUP_LIVE. */
  readonly controlOffset: number;
  /** Where the counters of CPU 0 are in the section, and how they lie. */
  readonly counters: { readonly offset: number; readonly slots: number; readonly type: number };
}

/** struct ebpf_ring_counters, of one CPU. */
export interface CounterSlot {
  readonly produced: number | bigint;
  readonly lost: number | bigint;
  readonly lost_bytes: number | bigint;
  readonly last_lost_ns: bigint;
}

/** What all CPUs counted together. */
export function sumCounters(slots: Iterable<CounterSlot>): RingCounters {
  const sum = { produced: 0, lost: 0, lostBytes: 0, lastLostNs: 0n };
  for (const slot of slots) {
    sum.produced += Number(slot.produced);
    sum.lost += Number(slot.lost);
    sum.lostBytes += Number(slot.lost_bytes);
    if (slot.last_lost_ns > sum.lastLostNs) sum.lastLostNs = slot.last_lost_ns;
  }
  return sum;
}

/** A variable of the rings' section: where it is, and its members that are arrays. */
function ringVariable(btf: Btf, name: string) {
  const variable = variablesOf(btf, RINGS_SECTION).find((candidate) => candidate.name === name);
  if (variable === undefined) return undefined;
  const struct = btf.type(btf.resolve(variable.type));
  if (struct.kind !== "struct") return undefined;
  const member = (wanted: string) => {
    const found = struct.members.find((candidate) => candidate.name === wanted);
    const type = found === undefined ? undefined : btf.type(btf.resolve(found.type));
    return found !== undefined && type?.kind === "array" ? { offset: found.bitOffset / 8, array: type } : undefined;
  };
  return { offset: variable.offset, member };
}

/** As {@link findRing}, of an object that may have no BTF. */
export function declaredRing({ btfOrUndefined: btf }: ObjectCore, name: string): RingDeclaration | undefined {
  return btf === undefined ? undefined : findRing(btf, name);
}

/** The declaration of a ring, or undefined when it was not declared with `EBPF_RINGBUF`. */
export function findRing(btf: Btf, name: string): RingDeclaration | undefined {
  const variable = ringVariable(btf, VARIABLE_PREFIX + name);
  const record = variable?.member("record");
  const cpu = variable?.member("cpu");
  if (variable === undefined || record === undefined || cpu === undefined) return undefined;
  return {
    recordType: record.array.element,
    // struct ebpf_ring_control comes first, and `wakeup` first in it.
    controlOffset: variable.offset,
    counters: { offset: variable.offset + cpu.offset, slots: cpu.array.length, type: cpu.array.element },
  };
}

/** A user ring's declaration: its record type, and where the count of drained records is in the section. */
export function findUserRing(
  btf: Btf,
  name: string,
): { readonly recordType: number; readonly drainedOffset: number } | undefined {
  const variable = ringVariable(btf, USER_PREFIX + name);
  const record = variable?.member("record");
  if (variable === undefined || record === undefined) return undefined;
  // `drained` comes first.
  return { recordType: record.array.element, drainedOffset: variable.offset };
}

/** A declaration of many rings: their record type, and where in the section the count of unrouted records and the size of a ring are. */
export interface RingsDeclaration {
  readonly recordType: number;
  readonly unroutedOffset: number;
  readonly bytesOffset: number;
}

/** The declaration of a map of rings, or undefined when it was not declared with `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`. */
export function findRings(btf: Btf, name: string): RingsDeclaration | undefined {
  const variable = ringVariable(btf, RINGS_PREFIX + name);
  const record = variable?.member("record");
  if (variable === undefined || record === undefined) return undefined;
  // `unrouted` comes first, then `bytes`.
  return { recordType: record.array.element, unroutedOffset: variable.offset, bytesOffset: variable.offset + 8 };
}

/** BTF type id of the records on a ring, or rings, of either direction, that `<ebpf/events.h>` declared. */
export function ringRecordType(btf: Btf, name: string): number | undefined {
  return (findRing(btf, name) ?? findUserRing(btf, name) ?? findRings(btf, name))?.recordType;
}

/** A reader of a ring's counters, summed over the CPUs there are. */
export function ringCounters(
  btf: Btf,
  declaration: RingDeclaration,
  cpus: number,
  map: () => NativeMapDefinition,
): CountersReader {
  const { offset, type } = declaration.counters;
  // CPU n adds to slot n modulo the number of slots.
  const slots = Math.min(cpus, declaration.counters.slots);
  const codec = compileCodec(btf, type, { numbers: ["produced", "lost", "lost_bytes"] }) as Codec<CounterSlot>;
  const memory = new Memory(new ArrayBuffer(slots * codec.size));
  // Read in each turn of the event loop that has records: nothing is made that can be kept.
  const decoded: CounterSlot[] = [];
  return () => {
    map().readData(offset, memory.bytes);
    for (let cpu = 0; cpu < slots; cpu++) decoded[cpu] = codec.decode(memory, cpu * codec.size);
    return sumCounters(decoded);
  };
}

/** Where the constant is that chooses a ring's wake-ups: in .rodata, set before load. */
export function wakeupVariable(btf: Btf, name: string): number | undefined {
  return variablesOf(btf, ".rodata").find((variable) => variable.name === WAKEUP_PREFIX + name)?.offset;
}

function wakeupControl(
  core: ObjectCore,
  name: string,
  declaration: RingDeclaration | undefined,
): WakeupControl | undefined {
  const offset = declaration === undefined ? undefined : wakeupVariable(core.btf, name);
  const constants = core.sectionMap(".rodata", sectionOf);
  if (declaration === undefined || offset === undefined || constants === undefined) return undefined;
  const word = new BigUint64Array(1);
  const bytes = new Uint8Array(word.buffer);
  constants.readData(offset, bytes);
  const constant = word[0] as bigint;
  const set = (value: bigint): void => {
    if (core.phase === "closed") return;
    word[0] = value;
    ringsSection(core).writeData(declaration.controlOffset, bytes);
  };
  return { wakeup: chosen(core, name).wakeup ?? wakeupOf(constant), set: constant === WAKEUP_LIVE ? set : undefined };
}

export function ringsSection(core: ObjectCore): NativeMapDefinition {
  core.mustBeOpen();
  const map = core.sectionMap(RINGS_SECTION, sectionOf);
  if (map === undefined) throw invalid(`${core.image.label} has no section ${RINGS_SECTION}`);
  return map;
}

/** A type as C writes it: `struct record`, or a name alone. A map or a variable may have the name of a struct. */
function namedType(btf: Btf, wanted: string): number {
  const [, kind, name = wanted] = /^(struct|union|enum)\s+(.*)$/.exec(wanted) ?? [];
  return btf.get(name, kind as BtfKind | undefined);
}

export interface RecordType {
  readonly codec: Codec;
  /** Undefined where no cursor and no columns are to be had of it. */
  readonly typeId: number | undefined;
}

export function recordType(
  core: ObjectCore,
  name: string,
  declared: number | undefined,
  wanted: string | undefined,
): RecordType {
  const { btfOrUndefined: btf } = core;
  const typeId = wanted === undefined ? declared : namedType(core.btf, wanted);
  if (btf === undefined || typeId === undefined)
    return { codec: bytesCodec(0, { tail: true, label: name }), typeId: undefined };
  return { codec: recordCodec(btf, typeId, name), typeId: taggedUnion(btf, typeId) === undefined ? typeId : undefined };
}

/** What sets one stream's source apart from another's of the same record type. */
export interface SourceParts {
  readonly name: string;
  readonly label: string;
  readonly counters: CountersReader | undefined;
  readonly wakeup: WakeupControl | undefined;
  readonly perf?: NativePerfOptions | undefined;
  fd(): number;
  /** The stream was closed. */
  release?(): void;
}

/** A source by its parts, and its records' type. */
export function makeSource<T>(
  core: ObjectCore,
  { codec, typeId }: RecordType,
  { convert, exclusive = true, reader = "loop" }: Pick<RingOptions<T>, "convert" | "exclusive" | "reader">,
  parts: SourceParts,
): RecordSource<T> {
  const { label, perf } = parts;
  const readBy = checkReader(parts.name, reader);
  const thread = threadOf(parts.name, readBy, parts.wakeup?.wakeup ?? "event");
  const access = (id: number): RecordAccess<T> => {
    const { btf } = core;
    return {
      reader: compileReader<T>(btf, id),
      column: (field) => column(btf, id, field),
      loop: compileLoop<T>(btf, id, label),
    };
  };
  const meaning = "somebody else reads it, and each of two readers would get a part of its records";
  return {
    name: parts.name,
    label,
    codec: convert === undefined ? (codec as Codec<T>) : convertingCodec(codec, convert as (record: unknown) => T),
    access: typeId === undefined || convert !== undefined ? undefined : () => access(typeId),
    counters: parts.counters,
    bornNs: core.loadedNs,
    wakeup: parts.wakeup,
    reader: readBy,
    padding: perf !== undefined,
    fd: () => parts.fd(),
    release: () => parts.release?.(),
    open: (buffers) =>
      attempt({ doing: `read ${label}`, meanings: { [errno.EBUSY]: { code: "BUSY", text: meaning } } }, () => {
        const options = { mapFd: parts.fd(), exclusive, ...buffers };
        return new core.addon.RingReader({
          ...options,
          ...(perf === undefined ? {} : { perf }),
          ...(thread === undefined ? {} : { thread }),
        });
      }),
  };
}

/** What a stream over one of the object's maps reads: a ring, or with `perf` a perf event array. */
export function recordSource<T>(
  core: ObjectCore,
  name: string,
  options: RingOptions<T>,
  perf?: { readonly options: NativePerfOptions; readonly control: WakeupControl },
): RecordSource<T> {
  const btf = core.btfOrUndefined;
  const declaration = declaredRing(core, name);
  const type = recordType(core, name, declaration?.recordType, options.type);
  const { reader = chosen(core, name).reader } = options;
  return makeSource(
    core,
    type,
    { ...options, reader },
    {
      name,
      label: `${perf === undefined ? "ring" : "perf buffer"} ${name}`,
      counters:
        btf === undefined || declaration === undefined
          ? undefined
          : ringCounters(btf, declaration, core.addon.possibleCpus(), () => ringsSection(core)),
      wakeup: perf?.control ?? wakeupControl(core, name, declaration),
      perf: perf?.options,
      fd: () => core.map(name).fd(),
    },
  );
}

/** Decodes, and converts what was decoded. Streams only decode. */
function convertingCodec<T>(codec: Codec, convert: (record: unknown) => T): Codec<T> {
  return {
    type: codec.type,
    size: codec.size,
    minimumSize: codec.minimumSize,
    hasTail: codec.hasTail,
    decode: (memory, offset, length) => convert(codec.decode(memory, offset, length)),
    encode: () => {
      throw invalid(`${codec.type}: a converted record cannot be encoded`);
    },
  };
}
