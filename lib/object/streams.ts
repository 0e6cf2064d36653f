/** The streams over a loaded object's maps, each made once: by what a map was declared to be, or by what the caller says. */
import { PerfBuffer } from "../events/perf_buffer.js";
import { PerfRecorder } from "../events/perf_recorder.js";
import { RingBuffer } from "../events/ring_buffer.js";
import type { RingBuffers } from "../events/ring_buffers.js";
import { UserRingBuffer } from "../events/user_ring_buffer.js";
import { checkWakeup } from "../events/wakeup.js";
import { MapType } from "../kernel/abi.js";
import type { BpfMap } from "../map/bpf_map.js";
import { isMapOfMaps } from "../map/map_of_maps.js";
import { mapTypeName } from "../map/opened_map.js";
import { checkOptions, invalid } from "../options.js";
import type { ObjectCore } from "./core.js";
import {
  PERF_OPTIONS,
  type PerfOptions,
  perfReading,
  perfVariable,
  RECORDER_OPTIONS,
  type RecorderOptions,
  recorderSource,
} from "./perf.js";
import { declaredRing, declaredRings } from "./ring_declarations.js";
import { makeRingBuffers } from "./ring_maps.js";
import { RING_OPTIONS, type RingOptions, recordSource } from "./rings.js";
import { type UserRingOptions, userRingSource } from "./user_rings.js";

export class ObjectStreams {
  readonly #core: ObjectCore;
  readonly #openMap: (name: string) => BpfMap;
  readonly #rings = new Map<string, RingBuffer<unknown>>();
  readonly #perfBuffers = new Map<string, PerfBuffer<unknown>>();
  readonly #recorders = new Map<string, PerfRecorder<unknown>>();
  readonly #ringMaps = new Map<string, RingBuffers<unknown, unknown>>();
  readonly #userRings = new Map<string, UserRingBuffer<never>>();

  /** `openMap` makes a handle of one of the object's maps. */
  constructor(core: ObjectCore, openMap: (name: string) => BpfMap) {
    this.#core = core;
    this.#openMap = openMap;
  }

  /** The stream that a map is by its declaration; undefined for one that is read and written. */
  ofMap(
    name: string,
  ): RingBuffer<unknown> | PerfBuffer<unknown> | RingBuffers<unknown, unknown> | UserRingBuffer<never> | undefined {
    const core = this.#core;
    if (this.#isRing(name)) return this.ringBuffer(name, {});
    if (core.map(name).type === MapType.userRingbuf) return this.userRingBuffer(name, {});
    if (declaredRings(core, name) !== undefined) return this.ringBuffers(name, {});
    const isPerf = core.map(name).type === MapType.perfEventArray && declaredRing(core, name) !== undefined;
    return isPerf ? this.perfBuffer(name, {}) : undefined;
  }

  ringBuffer<T>(name: string, options: RingOptions<T>): RingBuffer<T> {
    checkOptions(`ringBuffer(${name})`, options, RING_OPTIONS);
    if (!this.#isRing(name)) throw this.notA(name, "ring buffer");
    const core = this.#core;
    const perf = core.map(name).type === MapType.ringbuf ? undefined : perfReading(core, name, {});
    const make = () => new RingBuffer<unknown>(recordSource(core, name, options, perf));
    return once(this.#rings, name, make) as RingBuffer<T>;
  }

  perfBuffer<T>(name: string, options: PerfOptions<T>): PerfBuffer<T> {
    checkOptions(`perfBuffer(${name})`, options, PERF_OPTIONS);
    if (options.wakeup !== undefined) checkWakeup(`perfBuffer(${name})`, options.wakeup);
    this.#mustBePerf(name);
    const core = this.#core;
    const make = () => new PerfBuffer<unknown>(recordSource(core, name, options, perfReading(core, name, options)));
    return once(this.#perfBuffers, name, make) as PerfBuffer<T>;
  }

  perfRecorder<T>(name: string, options: RecorderOptions): PerfRecorder<T> {
    checkOptions(`perfRecorder(${name})`, options, RECORDER_OPTIONS);
    this.#mustBePerf(name);
    const make = () => new PerfRecorder<unknown>(recorderSource(this.#core, name, options));
    return once(this.#recorders, name, make) as PerfRecorder<T>;
  }

  ringBuffers<K, T>(name: string, options: RingOptions<T>): RingBuffers<K, T> {
    checkOptions(`ringBuffers(${name})`, options, RING_OPTIONS);
    const core = this.#core;
    if (!isMapOfMaps(core.map(name).type)) throw this.notA(name, "map of ring buffers");
    const make = () => makeRingBuffers<unknown, unknown>(core, name, options, (map) => this.#openMap(map));
    return once(this.#ringMaps, name, make) as RingBuffers<K, T>;
  }

  userRingBuffer<T>(name: string, options: UserRingOptions): UserRingBuffer<T> {
    checkOptions(`userRingBuffer(${name})`, options, { type: "string" });
    const core = this.#core;
    if (core.map(name).type !== MapType.userRingbuf) throw this.notA(name, "user ring buffer");
    const make = () => new UserRingBuffer<never>(userRingSource(core, name, options));
    return once(this.#userRings, name, make) as unknown as UserRingBuffer<T>;
  }

  /** All that were made, in the order in which they are to be closed. */
  all(): { close(): void }[] {
    return [this.#perfBuffers, this.#recorders, this.#ringMaps, this.#rings, this.#userRings].flatMap((made) => [
      ...made.values(),
    ]);
  }

  notA(name: string, wanted: string): Error {
    return invalid(`map ${name} is a ${mapTypeName(this.#core.addon, this.#core.map(name).type)}, not a ${wanted}`);
  }

  /** A ring, or what was declared with `EBPF_EVENTS` and is a perf event array. */
  #isRing(name: string): boolean {
    const { type } = this.#core.map(name);
    const btf = this.#core.btfOrUndefined;
    if (type === MapType.ringbuf) return true;
    return type === MapType.perfEventArray && btf !== undefined && perfVariable(btf, name) !== undefined;
  }

  #mustBePerf(name: string): void {
    if (this.#core.map(name).type !== MapType.perfEventArray) throw this.notA(name, "perf event array");
    if (this.#isRing(name)) throw invalid(`map ${name} is declared with EBPF_EVENTS, and read by ringBuffer()`);
  }
}

/** What is there by that name, or is made now. */
function once<T>(made: Map<string, T>, name: string, make: () => T): T {
  const stream = made.get(name) ?? make();
  made.set(name, stream);
  return stream;
}
