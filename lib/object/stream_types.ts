/** What the compiler knows of the streams over an object's perf event arrays: everything, from a skeleton, or what the caller says. */
import type { PerfBuffer } from "../events/perf_buffer.js";
import type { PerfEventArrayMap } from "../map/descriptor_array_map.js";
import type { ObjectShape } from "./object_shape.js";
import type { PerfOptions, RecorderOptions } from "./perf.js";

/** Any name, where there is no skeleton; with one, none: its names have types. */
export type UntypedName<S extends ObjectShape> = string extends keyof S["maps"] ? string : never;

/** Names of a skeleton's perf event arrays, declared with `EBPF_PERFBUF` or not. */
export type PerfName<S extends ObjectShape> = string extends keyof S["maps"]
  ? never
  : {
      [Name in keyof S["maps"]]: S["maps"][Name] extends PerfBuffer<unknown> | PerfEventArrayMap ? Name : never;
    }[keyof S["maps"]] &
      string;

/** What records can be said to be: the skeleton's structs, where the array's declaration does not say it. */
export type RecordName<S extends ObjectShape, Name extends PerfName<S>> =
  S["maps"][Name] extends PerfBuffer<unknown> ? never : keyof S["types"] & string;

/** What records are: as the array was declared, else as they are said to be, else bytes. */
export type RecordOf<S extends ObjectShape, Name extends PerfName<S>, Type> =
  S["maps"][Name] extends PerfBuffer<infer Declared>
    ? Declared
    : Type extends keyof S["types"]
      ? S["types"][Type]
      : Uint8Array;

export type TypedPerfOptions<Type> = Omit<PerfOptions, "type" | "convert"> & { readonly type?: Type | undefined };

export type TypedRecorderOptions<Type> = Omit<RecorderOptions, "type"> & { readonly type?: Type | undefined };
