import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";
import { PerfBuffer } from "../events/perf_buffer.js";
import { PerfRecorder } from "../events/perf_recorder.js";
import { RingBuffer } from "../events/ring_buffer.js";
import type { RingBuffers } from "../events/ring_buffers.js";
import { UserRingBuffer } from "../events/user_ring_buffer.js";
import { checkWakeup } from "../events/wakeup.js";
import { MapType } from "../kernel/abi.js";
import type { Link } from "../link/link.js";
import type { ArenaMap } from "../map/arena_map.js";
import { ArrayMap, PerCpuArrayMap } from "../map/array_map.js";
import type { BpfMap } from "../map/bpf_map.js";
import { HashMap } from "../map/hash_map.js";
import { className, isOfClass, type MapClass } from "../map/map_class.js";
import { mapTypeName } from "../map/opened_map.js";
import { namedRecord, unknownName } from "../named.js";
import { checkOptions } from "../options.js";
import { type AttachOptions, checkAttachOptions } from "../program/attach/by_section.js";
import { Program } from "../program/program.js";
import { arenaMemory } from "./arena_section.js";
import type { ObjectCore } from "./core.js";
import type { Globals } from "./globals.js";
import type { LiveMemory } from "./live.js";
import { makeMap } from "./map_factory.js";
import type { AnyObject, AttachAllArguments, LoadedSectionOf, ObjectShape, SectionName } from "./object_shape.js";
import {
  PERF_OPTIONS,
  type PerfOptions,
  perfReading,
  perfVariable,
  RECORDER_OPTIONS,
  type RecorderOptions,
  recorderSource,
} from "./perf.js";
import { isMapOfMaps, isRingMap, makeRingBuffers } from "./ring_maps.js";
import { RING_OPTIONS, type RingOptions, recordSource } from "./rings.js";
import { sectionRecord } from "./sections.js";
import { attachStructOps, structOpsNames } from "./struct_ops.js";
import { type UserRingOptions, userRingSource } from "./user_rings.js";
import type { VariantChoice } from "./variants.js";

/** A map of a loaded object: one that is read and written, or one that is streamed. */
export type ObjectMap = BpfMap | RingBuffer<unknown> | RingBuffers<unknown, unknown> | UserRingBuffer<never>;

/**
 * An object in the kernel. Closing it closes all that came from it: links (what is not pinned is detached), streams, maps.
 * The garbage collector never does that: an object that is not closed goes on until the process ends.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * using object = await BpfObject.load("probes.bpf.o");
 * object.attach();
 * console.log(object.links.map((link) => `${link.kind} ${link.target}`));
 * ```
 */
export class LoadedObject<S extends ObjectShape = AnyObject> implements Disposable {
  readonly name: string;
  /** By C name; an unknown name throws and suggests the nearest. */
  readonly programs: Readonly<S["programs"]>;
  /** By C name, without the data sections. */
  readonly maps: Readonly<S["maps"]>;
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #maps: Readonly<Record<string, ObjectMap>>;
  readonly #core: ObjectCore;
  readonly #autoattach: ReadonlySet<string>;
  readonly #links = new Set<Link>();
  readonly #made = new Map<string, ObjectMap>();
  readonly #perfBuffers = new Map<string, PerfBuffer<unknown>>();
  readonly #recorders = new Map<string, PerfRecorder<unknown>>();
  readonly #ringMaps = new Map<string, RingBuffers<unknown, unknown>>();
  readonly #sections = new Map<string, Globals>();

  /** Loaded objects come from `load()`. @internal */
  constructor(core: ObjectCore, autoattach: ReadonlySet<string>) {
    this.#core = core;
    this.#autoattach = autoattach;
    this.name = core.image.name;
    this.#programs = namedRecord<Program>(`program in ${core.image.label}`, (record) => {
      for (const name of core.programNames) {
        record[name] = new Program({
          addon: core.addon,
          native: () => core.program(name),
          verifierLog: () => core.verifierLog(name),
          btf: () => core.btf,
          adopt: (link) => this.#links.add(link),
          release: (link) => this.#links.delete(link),
        });
      }
    });
    this.#maps = namedRecord<ObjectMap>(`map in ${core.image.label}`, (record) => {
      for (const name of core.mapNames) {
        if (core.map(name).isInternal) continue;
        Object.defineProperty(record, name, { enumerable: true, get: () => this.#map(name) });
      }
    });
    // A skeleton is held against its object when that is opened, so these are what its types say.
    this.programs = this.#programs as Readonly<S["programs"]>;
    this.maps = this.#maps as Readonly<S["maps"]>;
  }

  get closed(): boolean {
    return this.#core.phase === "closed";
  }

  /** The object's BTF. @throws BpfError BTF_MISSING */
  get btf(): Btf {
    return this.#core.btf;
  }

  /** What is attached now. */
  get links(): readonly Link[] {
    return [...this.#links];
  }

  /** For each probe of the `variants` option: the programs in use, and why those before them are not. */
  get variants(): Readonly<Record<string, VariantChoice>> {
    return this.#core.variants.report();
  }

  /** What was chosen for one probe of the `variants` option. @throws BpfError NOT_FOUND, naming the nearest */
  variant(name: string): VariantChoice {
    const choice = this.variants[name];
    if (choice === undefined) throw unknownName("variant", name, this.#core.variants.names);
    return choice;
  }

  /** A program by name. @throws BpfError NOT_FOUND, naming the nearest */
  program(name: string): Program {
    return this.#programs[name] as Program;
  }

  /**
   * A map by name, of whichever class its type has; or of the class that is given, whose types are the caller's word.
   * @throws BpfError NOT_FOUND, naming the nearest; INVALID_ARGUMENT when it is of another class
   * @example
   * ```ts
   * import { BpfObject, LpmTrieMap } from "ebpf";
   * using object = await BpfObject.load("wall.bpf.o");
   * object.map("blocked", LpmTrieMap<string, number>).set("192.0.2.0/24", 1);
   * ```
   */
  map(name: string): ObjectMap;
  map<M extends BpfMap>(name: string, type: MapClass<M>): M;
  map<M extends BpfMap>(name: string, type?: MapClass<M>): ObjectMap | M {
    return type === undefined ? (this.#maps[name] as ObjectMap) : this.#mapOf(name, type, className(type));
  }

  #mapOf<M extends BpfMap>(name: string, type: MapClass<M>, wanted: string): M {
    const map = this.map(name);
    if (!isOfClass(map, type)) throw this.#notA(name, wanted);
    return map;
  }

  /** A hash map, plain or LRU; for the per-CPU ones V is an array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  hash<K, V>(name: string): HashMap<K, V> {
    return this.#mapOf(name, HashMap<K, V>, "hash map");
  }

  /** An array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  array<V>(name: string): ArrayMap<V> {
    const map = this.#mapOf(name, ArrayMap<V>, "array");
    if (map instanceof PerCpuArrayMap) throw this.#notA(name, "array");
    return map;
  }

  /** A per-CPU array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  perCpuArray<V>(name: string): PerCpuArrayMap<V> {
    return this.#mapOf(name, PerCpuArrayMap<V>, "per-CPU array");
  }

  /**
   * A ring buffer, as the stream of its records. The same stream each time.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  ringBuffer<T>(name: string, options: RingOptions<T> = {}): RingBuffer<T> {
    checkOptions(`ringBuffer(${name})`, options, RING_OPTIONS);
    if (!this.closed && !this.#made.has(name) && this.#core.mapNames.includes(name)) {
      const made = this.#makeRing(name, options);
      if (made !== undefined) this.#made.set(name, made);
    }
    const ring = this.map(name);
    if (!(ring instanceof RingBuffer)) throw this.#notA(name, "ring buffer");
    return ring as RingBuffer<T>;
  }

  /**
   * A perf event array, as the stream of its records. The same stream each time; options count for the first. Beside it, `map()` is
   * the array itself.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  perfBuffer<T>(name: string, options: PerfOptions<T> = {}): PerfBuffer<T> {
    checkOptions(`perfBuffer(${name})`, options, PERF_OPTIONS);
    if (options.wakeup !== undefined) checkWakeup(`perfBuffer(${name})`, options.wakeup);
    // By way of map(): it checks the name, and that the object is open.
    const isRing = this.map(name) instanceof RingBuffer;
    const core = this.#core;
    if (isRing || core.map(name).type !== MapType.perfEventArray) throw this.#notA(name, "perf event array");
    let buffer = this.#perfBuffers.get(name);
    if (buffer === undefined) {
      buffer = new PerfBuffer<unknown>(recordSource(core, name, options, perfReading(core, name, options)));
      this.#perfBuffers.set(name, buffer);
    }
    return buffer as PerfBuffer<T>;
  }

  /**
   * A perf event array, as a recorder of what is newest. The same one each time; options count for the first.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND, BUSY when it is read as a stream
   */
  perfRecorder<T>(name: string, options: RecorderOptions = {}): PerfRecorder<T> {
    checkOptions(`perfRecorder(${name})`, options, RECORDER_OPTIONS);
    if (this.map(name) instanceof RingBuffer || this.#core.map(name).type !== MapType.perfEventArray)
      throw this.#notA(name, "perf event array");
    let recorder = this.#recorders.get(name);
    if (recorder === undefined) {
      recorder = new PerfRecorder<unknown>(recorderSource(this.#core, name, options));
      this.#recorders.set(name, recorder);
    }
    return recorder as PerfRecorder<T>;
  }

  /**
   * A hash or array of ring buffers. The same one each time; options count for the first. Of one that was not declared with
   * `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`, `map()` is the map of maps itself.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  ringBuffers<K, T>(name: string, options: RingOptions<T> = {}): RingBuffers<K, T> {
    checkOptions(`ringBuffers(${name})`, options, RING_OPTIONS);
    const known = this.#ringMaps.get(name);
    if (known !== undefined) return known as RingBuffers<K, T>;
    const core = this.#core;
    core.mustBeOpen();
    // By way of the record of maps, which knows the nearest name.
    if (!core.mapNames.includes(name)) this.map(name);
    if (!isMapOfMaps(core.map(name).type)) throw this.#notA(name, "map of ring buffers");
    const made = makeRingBuffers<K, T>(core, name, options, (map) => this.#makeMap(map));
    this.#ringMaps.set(name, made as RingBuffers<unknown, unknown>);
    return made;
  }

  /**
   * A user ring buffer, to write records for programs into. The same one each time; options count for the first.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  userRingBuffer<T>(name: string, options: UserRingOptions = {}): UserRingBuffer<T> {
    checkOptions(`userRingBuffer(${name})`, options, { type: "string" });
    const core = this.#core;
    if (!this.closed && !this.#made.has(name) && core.mapNames.includes(name)) {
      if (core.map(name).type !== MapType.userRingbuf) throw this.#notA(name, "user ring buffer");
      this.#made.set(name, new UserRingBuffer<never>(userRingSource(core, name, options)));
    }
    const ring = this.map(name);
    if (!(ring instanceof UserRingBuffer)) throw this.#notA(name, "user ring buffer");
    return ring as unknown as UserRingBuffer<T>;
  }

  /** The constants, as they were at load. */
  get rodata(): LoadedSectionOf<S, ".rodata"> {
    return this.#section(".rodata") as LoadedSectionOf<S, ".rodata">;
  }

  /** Live variables that had an initial value. Each access reads or writes mapped memory; aligned 4 and 8 bytes atomically. */
  get data(): LoadedSectionOf<S, ".data"> {
    return this.#section(".data") as LoadedSectionOf<S, ".data">;
  }

  /** Live variables that began as zero; see {@link LoadedObject.data}. */
  get bss(): LoadedSectionOf<S, ".bss"> {
    return this.#section(".bss") as LoadedSectionOf<S, ".bss">;
  }

  /**
   * The variables of a data section, custom ones such as `.data.config` included. Those of an arena are section `.addr_space.1`; there
   * each access is a system call, and none is atomic.
   * @throws BpfError NOT_FOUND, CLOSED
   */
  section<Name extends SectionName<S>>(name: Name): LoadedSectionOf<S, Name> {
    return this.#section(name) as LoadedSectionOf<S, Name>;
  }

  #section(name: string): Globals {
    this.#core.mustBeOpen();
    const constant = name === ".rodata" || name.startsWith(".rodata.") || name === ".kconfig";
    return sectionRecord(this.#core, this.#sections, name, {
      check: () => this.#core.mustBeOpen(),
      readOnly: () => (constant ? "it is constant from load() on; set it on the opened object" : undefined),
      arena: () => this.#arenaMemory(),
    });
  }

  /** Of variables in the arena, of which libbpf takes one in an object. */
  #arenaMemory(): LiveMemory {
    const core = this.#core;
    const name = core.mapNames.find((candidate) => core.map(candidate).type === MapType.arena) as string;
    return arenaMemory(
      () => this.#map(name) as ArenaMap,
      () => core.map(name).dataAddress(),
    );
  }

  /**
   * Registers a `struct_ops`, by its variable's name: an implementation of one of the kernel's tables of functions, such as a congestion
   * control. In section `.struct_ops.link` (6.4) it is a link like others; in `.struct_ops` (5.6) the kernel keeps it registered, and has
   * no link for it: see {@link Link} for its life.
   * @throws BpfError NOT_FOUND, EXISTS, INVALID_ARGUMENT
   */
  attachStructOps(name: string): Link {
    const link = attachStructOps(this.#core, name, (closed) => this.#links.delete(closed));
    this.#links.add(link);
    return link;
  }

  /**
   * Attaches every program that is loaded and not set to `autoattach = false`, each by its section, and every struct_ops; of a probe with
   * variants, the first that this kernel attaches. Programs of section `syscall` are run and not attached. All or nothing: when one fails, those
   * attached by this call are detached.
   * @throws BpfError as {@link Program.attach}
   */
  attach(...[options = {}]: AttachAllArguments<S>): readonly Link[] {
    checkAttachOptions("attach", options);
    const { variants } = this.#core;
    const made: Link[] = [];
    try {
      for (const program of Object.values(this.#programs)) {
        if (!program.loaded || !this.#autoattach.has(program.name) || variants.wants(program.name) !== undefined)
          continue;
        if (program.type === "struct_ops" || program.type === "syscall") continue;
        made.push(program.attach(options));
      }
      for (const name of structOpsNames(this.#core)) made.push(this.attachStructOps(name));
      for (const name of variants.names) made.push(...this.#attachVariant(name, options));
    } catch (error) {
      for (const link of made) link.close();
      throw error;
    }
    return made;
  }

  /** Closes links, streams and maps, then the object. Idempotent. Links that are pinned stay in the kernel. */
  close(): void {
    if (this.closed) return;
    const failures: unknown[] = [];
    const closeAll = (resources: Iterable<{ close(): void }>) => {
      for (const resource of resources) {
        try {
          resource.close();
        } catch (error) {
          failures.push(error);
        }
      }
    };
    closeAll([...this.#links]);
    closeAll(this.#perfBuffers.values());
    closeAll(this.#recorders.values());
    closeAll(this.#ringMaps.values());
    closeAll(this.#made.values());
    this.#core.close();
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Attaches the chosen candidate of a probe; when it will not, the next, loaded beside the object and sharing its maps. */
  #attachVariant(name: string, options: AttachOptions): Link[] {
    const { variants } = this.#core;
    const tried = variants.tried(name);
    for (;;) {
      const chosen = variants.chosen(name);
      const made: Link[] = [];
      try {
        if (chosen.some((program) => !this.program(program).loaded)) this.#core.loadCompanion(chosen);
        for (const program of chosen) made.push(this.program(program).attach(options));
        return made;
      } catch (error) {
        for (const link of made) link.close();
        variants.reject(name, error as Error, tried);
      }
    }
  }

  #map(name: string): ObjectMap {
    this.#core.mustBeOpen();
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    if (isRingMap(this.#core, name)) return this.ringBuffers(name);
    const made = this.#makeRing(name, {}) ?? this.#makeUserRing(name) ?? this.#makeMap(name);
    this.#made.set(name, made);
    return made;
  }

  #makeMap(name: string): BpfMap {
    const core = this.#core;
    const definition = core.map(name);
    if (definition.fd() < 0)
      throw new BpfError({ code: "INVALID_STATE", message: `map ${name} was not made: its autocreate was off` });
    return makeMap(
      definition.open(),
      {
        name,
        type: mapTypeName(core.addon, definition.type),
        typeNumber: definition.type,
        keySize: definition.keySize,
        valueSize: definition.valueSize,
        maxEntries: definition.maxEntries,
      },
      {
        btf: core.btfOrUndefined,
        keyTypeId: definition.keyTypeId,
        valueTypeId: definition.valueTypeId,
        cpus: core.addon.possibleCpus(),
        mappedAt: () => definition.dataAddress(),
        replaceAt: (link) => definition.replaceStructOps(link),
      },
    );
  }

  /** Undefined for what is not a ring: a ring declared with EBPF_EVENTS may be a perf event array. */
  #makeRing<T>(name: string, options: RingOptions<T>): RingBuffer<T> | undefined {
    const core = this.#core;
    const { type } = core.map(name);
    if (type === MapType.ringbuf) return new RingBuffer<T>(recordSource(core, name, options));
    const declaredRing =
      type === MapType.perfEventArray &&
      core.btfOrUndefined !== undefined &&
      perfVariable(core.btf, name) !== undefined;
    return declaredRing ? new RingBuffer<T>(recordSource(core, name, options, perfReading(core, name, {}))) : undefined;
  }

  #makeUserRing(name: string): UserRingBuffer<never> | undefined {
    const core = this.#core;
    if (core.map(name).type !== MapType.userRingbuf) return undefined;
    return new UserRingBuffer<never>(userRingSource(core, name, {}));
  }

  #notA(name: string, wanted: string): BpfError {
    const type = mapTypeName(this.#core.addon, this.#core.map(name).type);
    return new BpfError({ code: "INVALID_ARGUMENT", message: `map ${name} is a ${type}, not a ${wanted}` });
  }
}
