/** Perf event arrays: how large their buffers are and when they wake, and rings that become one where the kernel has no rings. */
import type { Btf } from "../btf/btf.js";
import type { Codec } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import type { RecorderSource } from "../events/perf_recorder.js";
import type { Wakeup, WakeupControl } from "../events/wakeup.js";
import { MapType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { probeMapType } from "../kernel/probe.js";
import type { NativeMapDefinition, NativePerfOptions } from "../native.js";
import type { OptionCheck } from "../options.js";
import type { ObjectCore } from "./core.js";
import { sectionOf, variablesOf } from "./globals.js";
import { declaredRing } from "./ring_declarations.js";
import { RING_OPTIONS, type RingOptions, recordType } from "./rings.js";
import { chosen } from "./stream_choices.js";

const PERF_PREFIX = "ebpf_perf__";
const PAGE_BYTES = 4096;
/** 256 KiB for each CPU. */
const DEFAULT_PAGES = 64;

export interface PerfOptions<T = unknown> extends RingOptions<T> {
  /** Pages of each CPU's buffer, a power of two; by default 64 (256 KiB). */
  readonly pages?: number | undefined;
  /** When the reader is woken; by default what was set on the opened map, or at each record. */
  readonly wakeup?: Wakeup | undefined;
}

export const PERF_OPTIONS: Readonly<Record<keyof PerfOptions, OptionCheck>> = {
  ...RING_OPTIONS,
  pages: {
    wants: "a power of two from 1 to 65536",
    accepts: (pages) =>
      Number.isInteger(Math.log2(pages as number)) && (pages as number) <= 65536 && (pages as number) >= 1,
  },
  // Looked into by checkWakeup.
  wakeup: { wants: "a wake-up", accepts: () => true },
};

export interface RecorderOptions {
  /** The C type of the records, for an array that was not declared with `EBPF_PERFBUF`: `struct step`. By default bytes. */
  readonly type?: string | undefined;
  /** Pages of each CPU's buffer, a power of two; by default 64 (256 KiB). */
  readonly pages?: number | undefined;
}

export const RECORDER_OPTIONS: Readonly<Record<keyof RecorderOptions, OptionCheck>> = {
  type: PERF_OPTIONS.type,
  pages: PERF_OPTIONS.pages,
};

/** What a recorder over one of the object's perf event arrays looks into. */
export function recorderSource<T>(
  core: ObjectCore,
  name: string,
  { type, pages = DEFAULT_PAGES }: RecorderOptions,
): RecorderSource<T> {
  const label = `perf recorder ${name}`;
  const meaning = "its buffers are read already, and a CPU has one";
  return {
    name,
    label,
    codec: recordType(core, name, declaredRing(core, name)?.recordType, type).codec as Codec<T>,
    open: () =>
      attempt(
        { doing: `make ${label}`, meanings: { [errno.EBUSY]: { code: "BUSY", text: meaning } } },
        () => new core.addon.PerfRecorder(core.map(name).fd(), pages),
      ),
  };
}

/** Which kind of buffer a stream declared with `EBPF_EVENTS` uses. */
export type BufferKind = "ring" | "perf";

/** Where the constant is that makes a ring a perf event array: the ring was declared with `EBPF_EVENTS`. */
export function perfVariable(btf: Btf, name: string): number | undefined {
  return variablesOf(btf, ".rodata").find((variable) => variable.name === PERF_PREFIX + name)?.offset;
}

function constants(core: ObjectCore): NativeMapDefinition {
  return core.sectionMap(".rodata", sectionOf) as NativeMapDefinition;
}

/** What a ring declared with `EBPF_EVENTS` was before it became a perf event array. */
const ringBytes = new WeakMap<ObjectCore, Map<string, number>>();

/** Makes a ring declared with `EBPF_EVENTS` one or the other. @throws BpfError INVALID_STATE for any other ring */
export function chooseBuffer(core: ObjectCore, name: string, kind: BufferKind): void {
  const offset = core.btfOrUndefined === undefined ? undefined : perfVariable(core.btf, name);
  if (offset === undefined) {
    const message = `ring ${name} is not declared with EBPF_EVENTS, and so cannot be a perf event array`;
    throw new BpfError({ code: "INVALID_STATE", message });
  }
  const map = core.map(name);
  const known = ringBytes.get(core) ?? new Map<string, number>();
  ringBytes.set(core, known);
  if (kind === "perf" && map.type === MapType.ringbuf) {
    known.set(name, map.maxEntries);
    map.type = MapType.perfEventArray;
    map.keySize = 4;
    map.valueSize = 4;
    map.maxEntries = core.addon.possibleCpus();
  } else if (kind === "ring" && map.type === MapType.perfEventArray) {
    map.type = MapType.ringbuf;
    map.keySize = 0;
    map.valueSize = 0;
    map.maxEntries = known.get(name) ?? DEFAULT_PAGES * PAGE_BYTES;
  }
  constants(core).writeData(offset, new Uint8Array(Uint32Array.of(kind === "perf" ? 1 : 0).buffer));
}

/** Rings declared with `EBPF_EVENTS` become perf event arrays where the kernel has no ring buffers (before 5.8). */
export function chooseBuffers(core: ObjectCore): void {
  const btf = core.btfOrUndefined;
  if (btf === undefined) return;
  const names = core.mapNames.filter(
    (name) => core.map(name).type === MapType.ringbuf && perfVariable(btf, name) !== undefined,
  );
  if (names.length === 0 || probeMapType(MapType.ringbuf) === 1) return;
  for (const name of names) chooseBuffer(core, name, "perf");
}

export interface PerfReading {
  readonly options: NativePerfOptions;
  readonly control: WakeupControl;
}

/** How a perf event array is read: by options, what was chosen before load, or what its ring would have been. */
export function perfReading(
  core: ObjectCore,
  name: string,
  options: { pages?: number | undefined; wakeup?: Wakeup | undefined },
): PerfReading {
  const pages = options.pages ?? pagesOf(ringBytes.get(core)?.get(name), core.addon.possibleCpus());
  const bytes = pages * PAGE_BYTES;
  let wakeup = options.wakeup ?? chosen(core, name).wakeup ?? "event";
  // No program reads a perf buffer's settings while it runs: this comes nearest.
  if (wakeup === "adaptive") wakeup = { bytes: bytes / 8, milliseconds: 5 };
  let wakeupEvents = 1;
  let wakeupBytes = 0;
  if (typeof wakeup === "object") {
    if ("bytes" in wakeup) wakeupBytes = Math.min(wakeup.bytes, bytes / 2);
    else if ("records" in wakeup) wakeupEvents = wakeup.records;
    // Never would be dear if the timer came late.
    else wakeupBytes = bytes / 2;
  }
  return { options: { pages, wakeupEvents, wakeupBytes }, control: { wakeup, set: undefined } };
}

/** As much memory in all as the ring would have had, in a power of two of pages for each CPU. */
function pagesOf(bytes: number | undefined, cpus: number): number {
  if (bytes === undefined) return DEFAULT_PAGES;
  return Math.max(8, 2 ** Math.ceil(Math.log2(bytes / PAGE_BYTES / cpus)));
}
