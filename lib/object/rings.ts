/** What streams over an object's rings and perf event arrays read: records of a type, counters, wake-ups. */
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
import type { WakeupControl } from "../events/wakeup.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import type { NativeMapDefinition, NativePerfOptions } from "../native.js";
import { invalid, type OptionCheck } from "../options.js";
import type { ObjectCore } from "./core.js";
import { recordCodec, taggedUnion } from "./records.js";
import { declaredRing, RINGS_SECTION, type RingDeclaration } from "./ring_declarations.js";
import { ringWakeup } from "./ring_wakeup.js";
import { dataSection, sectionWord } from "./section_word.js";
import { chosen } from "./stream_choices.js";

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
  /** The stream was closed, and had read so many records. */
  release?(read: number): void;
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
    release: (read) => parts.release?.(read),
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
  const { wakeup, live } = ringWakeup(core, name);
  const setWakeup = (value: bigint): void => {
    if (core.phase === "closed" || declaration === undefined) return;
    sectionWord(core, RINGS_SECTION, declaration.controlOffset).set(value);
  };
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
          : ringCounters(btf, declaration, core.addon.possibleCpus(), () => dataSection(core, RINGS_SECTION)),
      wakeup: perf?.control ?? { wakeup, set: live ? setWakeup : undefined },
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
