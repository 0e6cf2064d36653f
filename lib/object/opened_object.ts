import { existsSync } from "node:fs";
import type { Btf } from "../btf/btf.js";
import { checkBtfFile } from "../btf/for_libbpf.js";
import { BpfError } from "../errors.js";
import { MapType } from "../kernel/abi.js";
import { isMapOfMaps } from "../map/map_of_maps.js";
import { OpenedMap } from "../map/opened_map.js";
import { namedRecord } from "../named.js";
import { native } from "../native.js";
import { checkOptions, integer, invalid, type OptionCheck } from "../options.js";
import { OpenedProgram } from "../program/opened_program.js";
import { checkArenas } from "./arena_memory.js";
import { ObjectCore } from "./core.js";
import type { Globals } from "./globals.js";
import { LoadedObject } from "./loaded_object.js";
import type { AnyObject, ObjectShape, OpenedMaps, OpenedPrograms, SectionName, SectionOf } from "./object_shape.js";
import { OpenedRing } from "./opened_ring.js";
import { chooseBuffers } from "./perf.js";
import { declaredRings } from "./ring_declarations.js";
import { sizeRingEntries } from "./ring_entries.js";
import { kconfigReadOnly, sectionRecord } from "./sections.js";
import { type ObjectSource, readObject } from "./source.js";
import { type VariantSpec, Variants } from "./variants.js";

export interface OpenOptions<S extends ObjectShape = AnyObject> {
  /** What libbpf calls the object; by default its file's name up to the first dot. Prefixes the names of .bss and its kin in the kernel, its dots as `_`. */
  readonly name?: string | undefined;
  /**
   * Path of a BTF file to relocate against, for a kernel without /sys/kernel/btf/vmlinux. All of it is looked at first, since libbpf
   * believes it: a tenth of a second for a whole kernel's.
   */
  readonly btfPath?: string | undefined;
  /** Text in the form of a kernel .config, for `extern` kconfig variables; by default the running kernel's. */
  readonly kconfig?: string | undefined;
  /** Where maps declared with LIBBPF_PIN_BY_NAME are pinned; by default /sys/fs/bpf. */
  readonly pinRoot?: string | undefined;
  /** The verifier's log level for all programs; see {@link OpenedProgram.logLevel}. */
  readonly logLevel?: number | undefined;
  /** Probes with several candidates; see {@link VariantSpec}. */
  readonly variants?: VariantSpec<keyof S["programs"] & string> | undefined;
}

const OPEN_OPTIONS: Readonly<Record<keyof OpenOptions, OptionCheck>> = {
  name: "string",
  btfPath: "string",
  kconfig: "string",
  pinRoot: "string",
  logLevel: integer(0, 7),
  variants: "object",
};

/** What an opened object becomes. @internal */
export type MakeLoaded<Loaded> = (core: ObjectCore, autoattach: ReadonlySet<string>) => Loaded;

/**
 * An object file, parsed; nothing of it is in the kernel yet. Here programs are chosen, maps resized and constants set;
 * `load()` hands it to the kernel.
 */
export class OpenedObject<S extends ObjectShape = AnyObject, Loaded extends LoadedObject<S> = LoadedObject<S>>
  implements Disposable
{
  readonly name: string;
  /** By C name; an unknown name throws and suggests the nearest. */
  readonly programs: OpenedPrograms<S>;
  /** By C name, without the data sections. */
  readonly maps: OpenedMaps<S>;
  readonly #programs: Readonly<Record<string, OpenedProgram>>;
  readonly #maps: Readonly<Record<string, OpenedMap>>;
  readonly #core: ObjectCore;
  readonly #make: MakeLoaded<Loaded>;
  readonly #sections = new Map<string, Globals>();

  /** @internal */
  constructor(core: ObjectCore, make: MakeLoaded<Loaded>) {
    this.#core = core;
    this.#make = make;
    this.name = core.image.name;
    this.#programs = namedRecord<OpenedProgram>(`program in ${core.image.label}`, (record) => {
      for (const name of core.programNames) {
        record[name] = new OpenedProgram(core.settableProgram(name));
      }
    });
    this.#maps = namedRecord<OpenedMap>(`map in ${core.image.label}`, (record) => {
      for (const name of core.mapNames) {
        if (core.map(name).isInternal) continue;
        const { type } = core.map(name);
        if (type === MapType.ringbuf || type === MapType.perfEventArray || declaredRings(core, name) !== undefined) {
          record[name] = new OpenedRing(core, name);
          continue;
        }
        record[name] = new OpenedMap(core.addon, core.settableMap(name));
      }
    });
    // A skeleton is held against its object when that is opened, so these are what its types say.
    this.programs = this.#programs as OpenedPrograms<S>;
    this.maps = this.#maps as OpenedMaps<S>;
  }

  /** A program by name. @throws BpfError NOT_FOUND, naming the nearest */
  program(name: string): OpenedProgram {
    return this.#programs[name] as OpenedProgram;
  }

  /** A map by name. @throws BpfError NOT_FOUND, naming the nearest */
  map(name: string): OpenedMap {
    return this.#maps[name] as OpenedMap;
  }

  /**
   * A ring buffer, perf event array or map of rings by name.
   * @throws BpfError NOT_FOUND, naming the nearest; INVALID_ARGUMENT for another type, and for a map of maps that is not declared with
   * `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY`
   */
  ring(name: string): OpenedRing {
    const map = this.map(name);
    if (map instanceof OpenedRing) return map;
    const declared = isMapOfMaps(this.#core.map(name).type)
      ? " declared with EBPF_RINGBUF_HASH or EBPF_RINGBUF_ARRAY"
      : "";
    throw invalid(`map ${name} is a ${map.type}, not a ring buffer, perf event array or map of rings${declared}`);
  }

  /** The object's BTF. @throws BpfError BTF_MISSING */
  get btf(): Btf {
    return this.#core.btf;
  }

  /** `const volatile` variables: set here, constant for the verifier and the program from `load()` on. */
  get rodata(): SectionOf<S, ".rodata"> {
    return this.#section(".rodata") as SectionOf<S, ".rodata">;
  }

  /** Initial values of variables that have one. */
  get data(): SectionOf<S, ".data"> {
    return this.#section(".data") as SectionOf<S, ".data">;
  }

  /** Variables without an initial value: zero, unless set here. */
  get bss(): SectionOf<S, ".bss"> {
    return this.#section(".bss") as SectionOf<S, ".bss">;
  }

  /**
   * The variables of a data section, custom ones such as `.data.config` included. They are the opened object's: from `load()` on it is an
   * error to read or set what was kept of them, and what `load()` returns has them. Those of `.kconfig` are what `load()` finds: the option
   * `kconfig` sets them.
   * @throws BpfError NOT_FOUND; INVALID_STATE for `.addr_space.1`, an arena's, which is not made yet, and to set a variable of `.kconfig`
   */
  section<Name extends SectionName<S>>(name: Name): SectionOf<S, Name> {
    return this.#section(name) as SectionOf<S, Name>;
  }

  #section(name: string): Globals {
    const core = this.#core;
    core.mustBeOpened(name);
    return sectionRecord(core, this.#sections, name, {
      // A record that was kept is of this phase as the object is: while libbpf loads, and after it, nothing is read or set here.
      check: () => core.mustBeOpened(name),
      readOnly: () => kconfigReadOnly(name),
      arena: () => {
        throw new BpfError({
          code: "INVALID_STATE",
          message: `variables in an arena (${name}) are there from load() on: it is then that the arena is made`,
        });
      },
    });
  }

  /**
   * Makes the maps, verifies and compiles the programs; on a thread of its own, so the event loop goes on.
   * Where a variant's programs do not load, the next one is tried. The opened object cannot be used afterwards; on failure it is closed.
   * @throws VerifierError a program was rejected: the reason, the C line, and the whole log
   * @throws BpfError PERMISSION_DENIED, KERNEL_UNSUPPORTED, NOT_FOUND, BUSY (the address of an arena), ...; CLOSED when it was closed meanwhile
   */
  async load(): Promise<Loaded> {
    const core = this.#core;
    const autoattach = new Set(
      core.phase === "opened"
        ? Object.values(this.#programs).flatMap((program) => (program.autoattach ? [program.name] : []))
        : [],
    );
    if (core.phase === "opened") {
      try {
        chooseBuffers(core);
        sizeRingEntries(core);
        checkArenas(core);
      } catch (error) {
        core.close();
        throw error;
      }
    }
    await core.load();
    return this.#make(core, autoattach);
  }

  /** Gives the object up without loading it. Idempotent. After a successful `load()` the loaded object is what is to be closed. */
  close(): void {
    if (this.#core.phase !== "loaded") this.#core.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens an object file. @internal */
export function openObject(source: ObjectSource, options: OpenOptions): OpenedObject {
  return new OpenedObject(openCore(source, options), (core, autoattach) => new LoadedObject(core, autoattach));
}

/** Opens an object file, for whichever class is to have it. @internal */
export function openCore(source: ObjectSource, options: OpenOptions): ObjectCore {
  checkOptions("open", options, OPEN_OPTIONS);
  const { btfPath } = options;
  // libbpf opens it when it loads, and then says no name.
  if (btfPath !== undefined && !existsSync(btfPath))
    throw new BpfError({ code: "NOT_FOUND", message: `open: option "btfPath": no such file: ${btfPath}` });
  if (btfPath !== undefined) checkBtfFile(btfPath);
  const image = readObject(source);
  const { variants, name } = options;
  return new ObjectCore(
    native(),
    name === undefined ? image : { ...image, name },
    {
      ...(options.btfPath === undefined ? {} : { btfCustomPath: options.btfPath }),
      ...(options.kconfig === undefined ? {} : { kconfig: options.kconfig }),
      ...(options.pinRoot === undefined ? {} : { pinRootPath: options.pinRoot }),
      ...(options.logLevel === undefined ? {} : { kernelLogLevel: options.logLevel }),
    },
    (programs) => new Variants(variants ?? {}, programs),
  );
}
