/** What the compiler knows of the streams over an object's maps: everything, from a skeleton, or what the caller says. */
import type { PerfBuffer } from "../events/perf_buffer.js";
import type { RingBuffer } from "../events/ring_buffer.js";
import type { RingBuffers } from "../events/ring_buffers.js";
import type { UserRingBuffer } from "../events/user_ring_buffer.js";
import type { PerfEventArrayMap } from "../map/descriptor_array_map.js";
import type { ArrayOfMaps, HashOfMaps } from "../map/map_of_maps.js";
import type { ObjectShape } from "./object_shape.js";
import type { PerfOptions, RecorderOptions } from "./perf.js";
import type { RingOptions } from "./rings.js";
import type { UserRingOptions } from "./user_rings.js";

/** Any name, where there is no skeleton; with one, none: its names have types. */
export type UntypedName<S extends ObjectShape> = string extends keyof S["maps"] ? string : TypedByTheSkeleton;

/** Stands in errors of the compiler, for who calls a skeleton with type arguments of their own. */
export type TypedByTheSkeleton = string & { readonly leaveTypeArgumentsOut: never };

/** How a map is streamed. To the compiler a perf buffer is a ring buffer, too; so it comes first. */
type Streamed<M> = M extends PerfBuffer<unknown> | PerfEventArrayMap
  ? "perf"
  : M extends RingBuffer<unknown>
    ? "ring"
    : M extends RingBuffers<infer _Key, infer _Record> | HashOfMaps<infer _MapKey> | ArrayOfMaps
      ? "rings"
      : M extends UserRingBuffer<infer _Written>
        ? "user"
        : "not";

type NameOf<S extends ObjectShape, Way> = string extends keyof S["maps"]
  ? never
  : { [Name in keyof S["maps"]]: Streamed<S["maps"][Name]> extends Way ? Name : never }[keyof S["maps"]] & string;

/** Names of a skeleton's perf event arrays, declared with `EBPF_PERFBUF` or not. */
export type PerfName<S extends ObjectShape> = NameOf<S, "perf">;

/** Names of a skeleton's ring buffers, those of `EBPF_EVENTS` included. */
export type RingName<S extends ObjectShape> = NameOf<S, "ring">;

/** Names of a skeleton's maps of rings, and of other maps of maps, whose declaration does not say of what. */
export type RingsName<S extends ObjectShape> = NameOf<S, "rings">;

export type UserRingName<S extends ObjectShape> = NameOf<S, "user">;

/** What a map's records are by its declaration; bytes where that does not say it. */
type Declared<M> =
  M extends RingBuffer<infer T>
    ? T
    : M extends RingBuffers<infer _Key, infer T>
      ? T
      : M extends UserRingBuffer<infer T>
        ? T
        : Uint8Array;

/** What records can be said to be: the skeleton's structs, where the map's declaration does not say it. */
export type RecordName<S extends ObjectShape, Name extends keyof S["maps"]> = [Declared<S["maps"][Name]>] extends [
  Uint8Array,
]
  ? keyof S["types"] & string
  : never;

/** What records are: as they are said to be, else as the map was declared, else bytes. */
export type RecordOf<S extends ObjectShape, Name extends keyof S["maps"], Type> = Type extends keyof S["types"]
  ? S["types"][Type]
  : Declared<S["maps"][Name]>;

/** What a map of rings is looked up by. */
export type RingKeyOf<S extends ObjectShape, Name extends keyof S["maps"]> =
  S["maps"][Name] extends RingBuffers<infer K, infer _Record>
    ? K
    : S["maps"][Name] extends HashOfMaps<infer K>
      ? K
      : number;

type Typed<Options, Type> = Omit<Options, "type" | "convert"> & { readonly type?: Type | undefined };

export type TypedRingOptions<Type> = Typed<RingOptions, Type>;
export type TypedPerfOptions<Type> = Typed<PerfOptions, Type>;
export type TypedRecorderOptions<Type> = Typed<RecorderOptions, Type>;
export type TypedUserRingOptions<Type> = Typed<UserRingOptions, Type>;
