import { Btf } from "../btf/btf.js";
import { checkObjectBtf } from "../btf/for_libbpf.js";
import { BpfError, closedError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import { attempt, explain, failedProgram, isNativeFailure, type Meaning } from "../kernel/explain.js";
import { explainMapRefusal, explainRefusal } from "../kernel/refusal.js";
import { findFailedMap, findFailedProgram, programLogs } from "../kernel/verifier_log.js";
import {
  type NativeAddon,
  type NativeMapDefinition,
  type NativeObject,
  type NativeOpenOptions,
  type NativeProgram,
  needsLibbpf,
} from "../native.js";
import type { Settable } from "../settable.js";
import { ARENA_SECTION } from "./arena_section.js";
import { checkVariables } from "./globals.js";
import { explainPinned } from "./pinned.js";
import { captureSettings, type ObjectSettings, restoreSettings } from "./settings.js";
import type { ObjectImage } from "./source.js";
import type { Variants } from "./variants.js";

export type Phase = "opened" | "loading" | "loaded" | "failed" | "closed";

/** What opened and loaded objects share: the native object, its phase, and the way from one to the next. @internal */
export class ObjectCore {
  readonly addon: NativeAddon;
  readonly image: ObjectImage;
  readonly variants: Variants;
  readonly #options: NativeOpenOptions;
  #native: NativeObject;
  /** Native objects made for a variant chosen at attach; they share the first one's maps. */
  readonly #companions: NativeObject[] = [];
  readonly #companionPrograms = new Map<string, NativeProgram>();
  readonly #verifierLogs = new Map<string, string>();
  /** Looked up in each turn of the event loop by a ring's counters. */
  readonly #sectionMaps = new Map<string, NativeMapDefinition>();
  #settings: ObjectSettings | undefined;
  /** What was set and cannot be read back, by what it is: descriptors of maps and programs that were handed over. */
  readonly #kept = {
    program: new Map<string, (native: NativeObject) => void>(),
    map: new Map<string, (native: NativeObject) => void>(),
  };
  /** As the object has them: libbpf's own is that of the map in whose place another is used, once one is. */
  readonly #mapNames: readonly string[];
  #phase: Phase = "opened";
  #loadedNs = 0n;
  #btf: Btf | undefined;
  readonly #hasBtf: boolean;

  constructor(
    addon: NativeAddon,
    image: ObjectImage,
    options: NativeOpenOptions,
    makeVariants: (programs: readonly string[]) => Variants,
  ) {
    this.addon = addon;
    this.image = image;
    this.#options = options;
    this.#hasBtf = checkObjectBtf(image.bytes, image.label);
    checkArena(addon, image);
    this.#native = this.#openNative();
    this.#mapNames = this.#native.maps.map((map) => map.name);
    try {
      const btf = this.btfOrUndefined;
      if (btf !== undefined) checkVariables(btf, this.#native.maps, image.label);
      this.variants = makeVariants(this.programNames);
    } catch (error) {
      this.#native.close();
      throw error;
    }
  }

  /** CLOCK_MONOTONIC nanoseconds at which loading began. */
  get loadedNs(): bigint {
    return this.#loadedNs;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get programNames(): string[] {
    return this.#native.programs.map((program) => program.name);
  }

  get mapNames(): readonly string[] {
    return this.#mapNames;
  }

  /** The object's BTF. @throws BpfError BTF_MISSING */
  get btf(): Btf {
    const btf = this.btfOrUndefined;
    if (btf === undefined) {
      throw new BpfError({
        code: "BTF_MISSING",
        message: `${this.image.label} has no BTF: compile it with clang -g (and do not strip .BTF)`,
      });
    }
    return btf;
  }

  get btfOrUndefined(): Btf | undefined {
    if (this.#btf === undefined) {
      this.mustBeOpen();
      const bytes = this.#native.btf();
      if (bytes === undefined) return undefined;
      this.#btf = Btf.parse(bytes, { name: this.image.label });
    }
    return this.#btf;
  }

  mustBeOpen(): void {
    if (this.#phase === "closed") throw closedError(this.image.label);
  }

  /** @throws BpfError CLOSED, INVALID_STATE unless the object is opened and not yet loaded */
  mustBeOpened(operation: string): void {
    this.mustBeOpen();
    if (this.#phase !== "opened") {
      const state = this.#phase === "failed" ? "could not be loaded" : `is ${this.#phase} already`;
      throw new BpfError({
        code: "INVALID_STATE",
        message: `${operation}: ${this.image.label} ${state}; this is for an opened object, before load()`,
      });
    }
  }

  program(name: string): NativeProgram {
    this.mustBeOpen();
    return (
      this.#companionPrograms.get(name) ??
      (this.#native.programs.find((program) => program.name === name) as NativeProgram)
    );
  }

  map(name: string): NativeMapDefinition {
    this.mustBeOpen();
    return this.#native.maps[this.#mapNames.indexOf(name)] as NativeMapDefinition;
  }

  /** A program, before load. */
  settableProgram(name: string): Settable<NativeProgram> {
    const index = this.programNames.indexOf(name);
    return this.#settable("program", name, (native) => native.programs[index] as NativeProgram);
  }

  /** A map, before load. */
  settableMap(name: string): Settable<NativeMapDefinition> {
    const index = this.#mapNames.indexOf(name);
    return this.#settable("map", name, (native) => native.maps[index] as NativeMapDefinition);
  }

  #settable<N>(kind: "program" | "map", name: string, pick: (native: NativeObject) => N): Settable<N> {
    const native = () => {
      this.mustBeOpened(`${kind} ${name}`);
      return pick(this.#native);
    };
    return {
      native,
      keep: (setting, set) => {
        set(native());
        this.#kept[kind].set(`${setting} of ${name}`, (object) => set(pick(object)));
      },
    };
  }

  /** The map of a data section, such as `.bss`, if the object has one. */
  sectionMap(section: string, sectionOf: (mapName: string) => string): NativeMapDefinition | undefined {
    let found = this.#sectionMaps.get(section);
    if (found === undefined) {
      found = this.#native.maps.find((map) => map.isInternal && sectionOf(map.name) === section);
      if (found !== undefined) this.#sectionMaps.set(section, found);
    }
    return found;
  }

  sections(sectionOf: (mapName: string) => string): string[] {
    return this.#native.maps.filter((map) => map.isInternal && map.dataSize > 0).map((map) => sectionOf(map.name));
  }

  /** Loads; where a variant does not load, again with the next one. On failure the object is closed. */
  async load(): Promise<void> {
    this.mustBeOpened("load");
    this.#phase = "loading";
    this.#loadedNs = process.hrtime.bigint();
    try {
      for (;;) {
        this.#selectVariants();
        this.#settings = captureSettings(this.#native);
        try {
          this.#keepLogs(await this.#native.load());
          break;
        } catch (failure) {
          const error = this.#explainLoad(failure);
          if (this.phase !== "loading" || !this.variants.rejectProgram(failedProgram(error), error)) throw error;
          this.#native.close();
          this.#native = this.#openNative();
          this.#sectionMaps.clear();
          restoreSettings(this.#native, this.#settings);
          for (const settings of [this.#kept.program, this.#kept.map])
            for (const set of settings.values()) set(this.#native);
        }
      }
      // close() may have been called while the worker thread loaded.
      this.mustBeOpen();
      this.#phase = "loaded";
    } catch (error) {
      this.#native.close();
      // Whatever the load came to then, it is that which the caller has to know.
      this.mustBeOpen();
      this.#phase = "failed";
      throw error;
    }
  }

  /** Loads programs of this object that were not, sharing its maps: for a variant chosen at attach. */
  loadCompanion(programs: readonly string[]): void {
    const companion = this.#openNative();
    try {
      if (this.#settings !== undefined) restoreSettings(companion, this.#settings);
      for (const set of this.#kept.program.values()) set(companion);
      for (const program of companion.programs) program.autoload = programs.includes(program.name);
      companion.maps.forEach((map, i) => {
        const fd = this.#native.maps[i]?.fd() ?? -1;
        if (fd >= 0) map.reuse(fd);
      });
      this.#keepLogs(companion.loadSync());
    } catch (failure) {
      companion.close();
      throw this.#explainLoad(failure);
    }
    this.#companions.push(companion);
    for (const program of companion.programs) {
      if (programs.includes(program.name)) this.#companionPrograms.set(program.name, program);
    }
  }

  /** What the verifier said of a program that has loaded, where its log level asked for it. */
  verifierLog(program: string): string | undefined {
    return this.#verifierLogs.get(program);
  }

  #keepLogs(messages: readonly string[]): void {
    for (const [program, log] of programLogs(messages)) this.#verifierLogs.set(program, log);
  }

  close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    for (const companion of this.#companions.splice(0)) companion.close();
    this.#native.close();
  }

  #openNative(): NativeObject {
    const { addon, image } = this;
    return attempt(
      {
        doing: `open ${image.label}`,
        meanings: {
          [errno.EINVAL]: {
            code: "OBJECT_INVALID",
            text: "it is not a BPF object that libbpf can read: damaged, truncated, or not made by clang -target bpf",
          },
          [errno.ENOENT]: { code: "OBJECT_INVALID", text: "something that the object refers to is not in it" },
        },
      },
      () => {
        try {
          // A dot is where a section's name begins in those of the maps of data sections.
          return new addon.Object(image.bytes, { ...this.#options, name: image.name.replaceAll(".", "_") });
        } catch (failure) {
          throw asObjectError(failure, image.label, this.#hasBtf) ?? failure;
        }
      },
    );
  }

  #selectVariants(): void {
    for (const program of this.#native.programs) {
      const wanted = this.variants.wants(program.name);
      if (wanted !== undefined) program.autoload = wanted;
    }
  }

  #explainLoad(failure: unknown): Error {
    return explain(failure, {
      doing: `load ${this.image.label}`,
      meanings: {
        [errno.ESRCH]: {
          code: "NOT_FOUND",
          text: "a kernel function, tracepoint or type that a program names is not in this kernel's BTF",
        },
        ...this.#refusal(failure),
      },
    });
  }

  /** What this kernel and this process lack, of the program or map that libbpf names. */
  #refusal(failure: unknown): Readonly<Record<number, Meaning>> {
    if (!isNativeFailure(failure)) return {};
    try {
      const name = findFailedProgram(failure.log);
      const program = this.#native.programs.find((candidate) => candidate.name === name);
      const map = this.#native.maps.find((candidate) => candidate.name === findFailedMap(failure.log));
      const reason =
        map !== undefined
          ? explainMapRefusal(map.type)
          : program !== undefined
            ? explainRefusal(program, failure.errno)
            : undefined;
      if (reason !== undefined) return { [failure.errno]: reason };
      return explainPinned(this.addon, failure.log, this.#native.maps);
    } catch {
      // The object was closed while it loaded.
      return {};
    }
  }
}

const ARENA_VARIABLES = "arena_variables";

/** An older libbpf passes the section over, and stumbles over what refers to it, or leaves the variables out where nothing does. */
function checkArena(addon: NativeAddon, { bytes, label }: ObjectImage): void {
  if (addon.libbpfFeatures.includes(ARENA_VARIABLES) || addon.readSection(bytes, ARENA_SECTION) === undefined) return;
  needsLibbpf(addon, ARENA_VARIABLES, `open: ${label} has variables in an arena, which`, "1.4");
}

/** libbpf's own error numbers begin at 4000 (libbpf.h, enum libbpf_errno); strerror does not know them. */
const LIBBPF_ERRNO_START = 4000;

function asObjectError(failure: unknown, label: string, hasBtf: boolean): BpfError | undefined {
  if (!isNativeFailure(failure)) return undefined;
  const log = failure.log.join("");
  if (!hasBtf && /BTF is required/.test(log)) {
    return new BpfError({
      code: "BTF_MISSING",
      message: `cannot open ${label}: it has no BTF, which its maps need: compile it with clang -g (and do not strip .BTF)`,
      errno: failure.errno,
      operation: failure.operation,
      log: failure.log,
      cause: failure,
    });
  }
  if (failure.errno < LIBBPF_ERRNO_START) return undefined;
  return new BpfError({
    code: "OBJECT_INVALID",
    message: `cannot open ${label}: it is damaged, truncated, or not a BPF object${log === "" ? "" : `; libbpf: ${log.trim().replace(/\s*\n\s*/g, "; ")}`}`,
    errno: failure.errno,
    operation: failure.operation,
    log: failure.log,
    cause: failure,
  });
}
