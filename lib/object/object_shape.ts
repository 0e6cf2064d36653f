/** What the compiler knows of an object: everything, from a skeleton, or nothing beyond that it has names. */
import type { PerfBuffer } from "../events/perf_buffer.js";
import type { RingBuffer } from "../events/ring_buffer.js";
import type { RingBuffers } from "../events/ring_buffers.js";
import type { UserRingBuffer } from "../events/user_ring_buffer.js";
import type { Wakeup } from "../events/wakeup.js";
import type { BpfMap } from "../map/bpf_map.js";
import type { PerfEventArrayMap } from "../map/descriptor_array_map.js";
import type { OpenedMap } from "../map/opened_map.js";
import type { AttachOptions } from "../program/attach/by_section.js";
import type { OpenedProgram } from "../program/opened_program.js";
import type { Program } from "../program/program.js";
import type { Globals } from "./globals.js";
import type { OpenedRing } from "./opened_ring.js";

/** A map of a loaded object: one that is read and written, or one that is streamed. */
export type ObjectMap =
  | BpfMap
  | RingBuffer<unknown>
  | PerfBuffer<unknown>
  | RingBuffers<unknown, unknown>
  | UserRingBuffer<never>;

/** An object's programs, maps and data sections by name. Skeletons have interfaces that extend this. */
export interface ObjectShape {
  /** Loaded programs: see {@link ProgramOf}. */
  readonly programs: object;
  /** Loaded maps, by their classes. */
  readonly maps: object;
  /** The variables of data sections, as they are before load: writable. */
  readonly sections: object;
  /** Structs by their C names (`"struct record"`): what records can be said to be of a map whose declaration does not say it. */
  readonly types?: object;
}

/** The shape of an object that is opened without a skeleton: any names, checked at run time. */
export interface AnyObject extends ObjectShape {
  readonly programs: Readonly<Record<string, Program>>;
  readonly maps: Readonly<Record<string, ObjectMap>>;
  readonly sections: Readonly<Record<string, Globals>>;
}

export type OpenedPrograms<S extends ObjectShape> = { readonly [Name in keyof S["programs"]]: OpenedProgram };

export type OpenedMaps<S extends ObjectShape> = {
  readonly [Name in keyof S["maps"]]: S["maps"][Name] extends { readonly wakeup: Wakeup } | PerfEventArrayMap
    ? OpenedRing
    : OpenedMap;
};

export type SectionName<S extends ObjectShape> = keyof S["sections"] & string;

/** A section's variables before load; `never` where the object has no such section. */
export type SectionOf<S extends ObjectShape, Name extends string> = Name extends keyof S["sections"]
  ? S["sections"][Name]
  : never;

/** A section's variables after load: those of constant sections are read-only. */
export type LoadedSectionOf<S extends ObjectShape, Name extends string> = string extends keyof S["sections"]
  ? SectionOf<S, Name>
  : Name extends ".rodata" | `.rodata.${string}` | ".kconfig"
    ? Constant<SectionOf<S, Name>>
    : SectionOf<S, Name>;

/** A value none of whose parts can be assigned. */
export type Constant<T> = T extends string | number | bigint | boolean | Uint8Array | undefined
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Constant<Element>[]
    : { readonly [Name in keyof T]: Constant<T[Name]> };

type OptionsOf<P> = P extends { attach: (...options: infer Options) => unknown }
  ? Options extends [infer One]
    ? One
    : never
  : never;

/** All of a union's members at once. */
type All<Union> = (Union extends unknown ? (member: Union) => void : never) extends (all: infer Together) => void
  ? Together
  : never;

/** Names of programs that are loaded only where that is asked for: their section begins with `?`. */
type Optional<Programs> = {
  [Name in keyof Programs]: Programs[Name] extends { readonly optional: true } ? Name : never;
}[keyof Programs];

/**
 * Names of programs that are always loaded and that no section can attach: `SEC("socket")` does not say to which socket. Programs that are not attached
 * at all (struct_ops, syscall) have no method for it.
 */
type ByMethodAlone<Programs> = {
  [Name in keyof Programs]: Programs[Name] extends { readonly optional: true } | { attach: unknown }
    ? never
    : Extract<keyof Programs[Name], `attach${string}`> extends never
      ? never
      : Name;
}[keyof Programs];

type Needed<Programs> = OptionsOf<Programs[Exclude<keyof Programs, Optional<Programs>>]>;
type Welcome<Programs> = OptionsOf<Programs[Optional<Programs>]>;

/**
 * Options of the object's `attach()`: what its programs need, all together; nothing where they need nothing. What only a program needs whose
 * loading is optional (`SEC("?xdp")`) may be given: whether it is loaded, the compiler does not know. An object with a program that is always loaded
 * and that only a method of its own can attach (`SEC("socket")`) does not attach as a whole: each program does, or that one's section begins with `?`.
 */
export type AttachAllArguments<S extends ObjectShape> = string extends keyof S["programs"]
  ? [options?: AttachOptions]
  : [ByMethodAlone<S["programs"]>] extends [never]
    ? AttachNeeded<S["programs"]>
    : [attachTheseByTheirMethods: { readonly programs: ByMethodAlone<S["programs"]>; readonly never: never }];

type AttachNeeded<Programs> = [Needed<Programs>] extends [never]
  ? [Welcome<Programs>] extends [never]
    ? []
    : [options?: Partial<All<Welcome<Programs>>>]
  : [Welcome<Programs>] extends [never]
    ? [options: Extract<All<Needed<Programs>>, AttachOptions>]
    : [options: Extract<All<Needed<Programs>> & Partial<All<Welcome<Programs>>>, AttachOptions>];
