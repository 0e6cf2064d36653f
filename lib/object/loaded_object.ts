import type { Btf } from "../btf/btf.js";
import type { PerfBuffer } from "../events/perf_buffer.js";
import type { PerfRecorder } from "../events/perf_recorder.js";
import type { RingBuffer } from "../events/ring_buffer.js";
import type { RingBuffers } from "../events/ring_buffers.js";
import type { UserRingBuffer } from "../events/user_ring_buffer.js";
import type { Link } from "../link/link.js";
import type { ArenaMap } from "../map/arena_map.js";
import { ArrayMap, PerCpuArrayMap } from "../map/array_map.js";
import type { BpfMap } from "../map/bpf_map.js";
import { HashMap } from "../map/hash_map.js";
import { className, isOfClass, type MapClass } from "../map/map_class.js";
import { namedRecord, unknownName } from "../named.js";
import { type AttachOptions, checkAttachOptions } from "../program/attach/by_section.js";
import { Program } from "../program/program.js";
import { arenaMemory } from "./arena_memory.js";
import type { ObjectCore } from "./core.js";
import type { Globals } from "./globals.js";
import { makeMap } from "./map_factory.js";
import type {
  AnyObject,
  AttachAllArguments,
  LoadedSectionOf,
  ObjectMap,
  ObjectShape,
  SectionName,
} from "./object_shape.js";
import type { PerfOptions, RecorderOptions } from "./perf.js";
import type { RingOptions } from "./rings.js";
import { kconfigReadOnly, sectionRecord } from "./sections.js";
import type {
  PerfName,
  RecordName,
  RecordOf,
  RingKeyOf,
  RingName,
  RingsName,
  TypedPerfOptions,
  TypedRecorderOptions,
  TypedRingOptions,
  TypedUserRingOptions,
  UntypedName,
  UserRingName,
} from "./stream_types.js";
import { ObjectStreams } from "./streams.js";
import { attachStructOps, structOpsNames } from "./struct_ops.js";
import type { UserRingOptions } from "./user_rings.js";
import type { VariantChoice } from "./variants.js";

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
  /** What {@link LoadedObject.maps} gave. */
  readonly #made = new Map<string, ObjectMap>();
  readonly #streams: ObjectStreams;
  readonly #sections = new Map<string, Globals>();

  /** Loaded objects come from `load()`. @internal */
  constructor(core: ObjectCore, autoattach: ReadonlySet<string>) {
    this.#core = core;
    this.#autoattach = autoattach;
    this.name = core.image.name;
    this.#streams = new ObjectStreams(core, (map) => makeMap(core, map));
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
    if (!isOfClass(map, type)) throw this.#streams.notA(name, wanted);
    return map;
  }

  /** A hash map, plain or LRU; for the per-CPU ones V is an array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  hash<K, V>(name: string): HashMap<K, V> {
    return this.#mapOf(name, HashMap<K, V>, "hash map");
  }

  /** An array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  array<V>(name: string): ArrayMap<V> {
    const map = this.#mapOf(name, ArrayMap<V>, "array");
    if (map instanceof PerCpuArrayMap) throw this.#streams.notA(name, "array");
    return map;
  }

  /** A per-CPU array. @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type */
  perCpuArray<V>(name: string): PerCpuArrayMap<V> {
    return this.#mapOf(name, PerCpuArrayMap<V>, "per-CPU array");
  }

  /**
   * A ring buffer, as the stream of its records. The same stream each time; options count for the first. A skeleton knows what the records are,
   * where the ring's declaration says it; of any other ring they are bytes, or what `type` says: of a skeleton, one of its structs.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  ringBuffer<Name extends RingName<S>, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options?: TypedRingOptions<Type> & { readonly convert?: undefined },
  ): RingBuffer<RecordOf<S, Name, Type>>;
  ringBuffer<Name extends RingName<S>, T, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options: TypedRingOptions<Type> & { readonly convert: (record: RecordOf<S, Name, Type>) => T },
  ): RingBuffer<T>;
  ringBuffer<T>(name: UntypedName<S>, options?: RingOptions<T>): RingBuffer<T>;
  ringBuffer(name: string, options: RingOptions = {}): RingBuffer<unknown> {
    return this.#streamsOf(name).ringBuffer(name, options);
  }

  /**
   * A perf event array, as the stream of its records. The same stream each time; options count for the first. Declared with `EBPF_PERFBUF`
   * of `<ebpf/events.h>` its records have a type, and `map()` is the stream too. Of any other they are bytes, or what `type` says, looked up in the
   * object's BTF; of a skeleton that is one of its structs. Then `map()` is the array itself, beside the stream.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  perfBuffer<Name extends PerfName<S>, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options?: TypedPerfOptions<Type> & { readonly convert?: undefined },
  ): PerfBuffer<RecordOf<S, Name, Type>>;
  perfBuffer<Name extends PerfName<S>, T, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options: TypedPerfOptions<Type> & { readonly convert: (record: RecordOf<S, Name, Type>) => T },
  ): PerfBuffer<T>;
  perfBuffer<T>(name: UntypedName<S>, options?: PerfOptions<T>): PerfBuffer<T>;
  perfBuffer(name: string, options: PerfOptions = {}): PerfBuffer<unknown> {
    return this.#streamsOf(name).perfBuffer(name, options);
  }

  /**
   * A perf event array, as a recorder of what is newest. The same one each time; options count for the first. What its records are is
   * known, or said, as for {@link LoadedObject.perfBuffer}.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND, BUSY when it is read as a stream
   */
  perfRecorder<Name extends PerfName<S>, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options?: TypedRecorderOptions<Type>,
  ): PerfRecorder<RecordOf<S, Name, Type>>;
  perfRecorder<T>(name: UntypedName<S>, options?: RecorderOptions): PerfRecorder<T>;
  perfRecorder(name: string, options: RecorderOptions = {}): PerfRecorder<unknown> {
    return this.#streamsOf(name).perfRecorder(name, options);
  }

  /**
   * A hash or array of ring buffers. The same one each time; options count for the first. Of one that was not declared with
   * `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`, `map()` is the map of maps itself. What the records are is known, or said, as for
   * {@link LoadedObject.ringBuffer}.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  ringBuffers<Name extends RingsName<S>, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options?: TypedRingOptions<Type> & { readonly convert?: undefined },
  ): RingBuffers<RingKeyOf<S, Name>, RecordOf<S, Name, Type>>;
  ringBuffers<Name extends RingsName<S>, T, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options: TypedRingOptions<Type> & { readonly convert: (record: RecordOf<S, Name, Type>) => T },
  ): RingBuffers<RingKeyOf<S, Name>, T>;
  ringBuffers<K, T>(name: UntypedName<S>, options?: RingOptions<T>): RingBuffers<K, T>;
  ringBuffers(name: string, options: RingOptions = {}): RingBuffers<unknown, unknown> {
    return this.#streamsOf(name).ringBuffers(name, options);
  }

  /**
   * A user ring buffer, to write records for programs into. The same one each time; options count for the first. What the records are is known,
   * or said, as for {@link LoadedObject.ringBuffer}.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT for another type, BTF_NOT_FOUND for an unknown record type
   */
  userRingBuffer<Name extends UserRingName<S>, Type extends RecordName<S, Name> | undefined = undefined>(
    name: Name,
    options?: TypedUserRingOptions<Type>,
  ): UserRingBuffer<RecordOf<S, Name, Type>>;
  userRingBuffer<T>(name: UntypedName<S>, options?: UserRingOptions): UserRingBuffer<T>;
  userRingBuffer(name: string, options: UserRingOptions = {}): UserRingBuffer<never> {
    return this.#streamsOf(name).userRingBuffer(name, options);
  }

  /** The object's streams, once it is known to be open and to have a map of that name. */
  #streamsOf(name: string): ObjectStreams {
    this.#core.mustBeOpen();
    // By way of the record of maps, which knows the nearest name.
    if (!this.#core.mapNames.includes(name)) this.map(name);
    return this.#streams;
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
    const constant = name === ".rodata" || name.startsWith(".rodata.");
    return sectionRecord(this.#core, this.#sections, name, {
      check: () => this.#core.mustBeOpen(),
      readOnly: () => (constant ? "it is constant from load() on; set it on the opened object" : kconfigReadOnly(name)),
      arena: () => arenaMemory(this.#core, (map) => this.#map(map) as ArenaMap),
    });
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
    closeAll(this.#streams.all());
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
    const made = this.#streams.ofMap(name) ?? makeMap(this.#core, name);
    this.#made.set(name, made);
    return made;
  }
}
