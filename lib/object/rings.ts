/** What `EBPF_RINGBUF` (bpf/include/ebpf/events.h) left in the object: a ring's record type and its counters. */
import type { Btf } from "../btf/btf.js";
import { type Codec, compileCodec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import type { CountersReader } from "../events/loss.js";
import type { NativeMapDefinition } from "../native.js";
import { variablesOf } from "./globals.js";

export const RINGS_SECTION = ".data.ebpf";
const VARIABLE_PREFIX = "ebpf_ring__";

/** A ring's declaration as BTF has it. */
export interface RingDeclaration {
  readonly recordType: number;
  /** Where the counters of CPU 0 are in the section, and how they lie. */
  readonly counters: { readonly offset: number; readonly slots: number; readonly type: number };
}

/** struct ebpf_ring_counters */
interface Slot {
  readonly produced: number;
  readonly lost: number;
  readonly lost_bytes: number;
  readonly last_lost_ns: bigint;
}

/** The declaration of a ring, or undefined when it was not declared with `EBPF_RINGBUF`. */
export function findRing(btf: Btf, name: string): RingDeclaration | undefined {
  const variable = variablesOf(btf, RINGS_SECTION).find((candidate) => candidate.name === VARIABLE_PREFIX + name);
  if (variable === undefined) return undefined;
  const struct = btf.type(btf.resolve(variable.type));
  if (struct.kind !== "struct") return undefined;
  const member = (wanted: string) => {
    const found = struct.members.find((candidate) => candidate.name === wanted);
    const type = found === undefined ? undefined : btf.type(btf.resolve(found.type));
    return found !== undefined && type?.kind === "array" ? { offset: found.bitOffset / 8, array: type } : undefined;
  };
  const record = member("record");
  const cpu = member("cpu");
  if (record === undefined || cpu === undefined) return undefined;
  return {
    recordType: record.array.element,
    counters: { offset: variable.offset + cpu.offset, slots: cpu.array.length, type: cpu.array.element },
  };
}

/** A reader of a ring's counters, summed over the CPUs there are. */
export function ringCounters(btf: Btf, declaration: RingDeclaration, cpus: number, map: () => NativeMapDefinition): CountersReader {
  const { offset, type } = declaration.counters;
  // CPU n adds to slot n modulo the number of slots.
  const slots = Math.min(cpus, declaration.counters.slots);
  const codec = compileCodec(btf, type, { numbers: ["produced", "lost", "lost_bytes"] }) as Codec<Slot>;
  const memory = new Memory(new ArrayBuffer(slots * codec.size));
  const read = (): readonly Slot[] => {
    map().readData(offset, memory.bytes);
    return Array.from({ length: slots }, (_, cpu) => codec.decode(memory, cpu * codec.size));
  };
  return () => {
    const sum = { produced: 0, lost: 0, lostBytes: 0, lastLostNs: 0n };
    for (const slot of read()) {
      sum.produced += slot.produced;
      sum.lost += slot.lost;
      sum.lostBytes += slot.lost_bytes;
      if (slot.last_lost_ns > sum.lastLostNs) sum.lastLostNs = slot.last_lost_ns;
    }
    return sum;
  };
}
