/**
 * The types of names.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { type HashMap, LoadedObject, type LruHashMap, type OpenedObject, type OpenOptions } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct class`, 24 bytes. */
export interface class_ {
  /** `int`, 4 bytes at 0. */
  default_value: number;
  /** `int`, 4 bytes at 4. */
  function: number;
  /** `int`, 4 bytes at 8. */
  constructor: number;
  /** `int`, 4 bytes at 12. */
  __proto__: number;
  /** `int`, 4 bytes at 16. */
  new: number;
  /** `struct string`, 4 bytes at 20. */
  string: string_;
}

/** `struct string`, 4 bytes. */
export interface string_ {
  /** `enum interface`, 4 bytes at 0. */
  default_: interface_;
}

/** `enum interface`, 4 bytes, unsigned; a value may also be none of these. */
export const interface_ = {
  constructor: 0,
  ["__proto__"]: 1,
  toString: 2,
} as const;
export type interface_ = (typeof interface_)[keyof typeof interface_] | (number & {});

/** `struct Uint8Array`, 8 bytes. */
export interface Uint8Array_ {
  /** `struct HashMap`, 4 bytes at 0. */
  map: HashMap_2;
  /** `struct Names`, 4 bytes at 4. */
  names: Names_2;
}

/** `struct HashMap`, 4 bytes. */
export interface HashMap_2 {
  /** `int`, 4 bytes at 0. */
  taken_by_the_library: number;
}

/** `struct Names`, 4 bytes. */
export interface Names_2 {
  /** `int`, 4 bytes at 0. */
  taken_by_the_class: number;
}

/** `struct a_key_with_a_name_as_long_as_a_novel_about_it`, 4 bytes. */
export interface a_key_with_a_name_as_long_as_a_novel_about_it {
  /** `int`, 4 bytes at 0. */
  a_key: number;
}

/** `struct a_value_with_a_name_as_long_as_a_novel_about_it`, 4 bytes. */
export interface a_value_with_a_name_as_long_as_a_novel_about_it {
  /** `int`, 4 bytes at 0. */
  a_value: number;
}

/** `struct (anonymous)`, 4 bytes. */
export interface load {
  /** `int`, 4 bytes at 0. */
  x: number;
}

/** `enum an_enum_with_a_name_as_long_as_a_novel_about_it`, 4 bytes, unsigned; a value may also be none of these. */
export const an_enum_with_a_name_as_long_as_a_novel_about_it = {
  AN_ENUMERATOR: 0,
} as const;
export type an_enum_with_a_name_as_long_as_a_novel_about_it =
  | (typeof an_enum_with_a_name_as_long_as_a_novel_about_it)[keyof typeof an_enum_with_a_name_as_long_as_a_novel_about_it]
  | (number & {});

/** Variables in .bss, zero at first; live from `load()` on. */
export interface NamesBss {
  /** `int`, 4 bytes at 0. */
  await: number;
  /** `int`, 4 bytes at 4. */
  import: number;
  /** `int`, 4 bytes at 8. */
  null: number;
  /** `struct (anonymous)`, 4 bytes at 12. */
  load: load;
  /** `struct (anonymous)`, 4 bytes at 16. */
  constructor_: load;
  /** `enum an_enum_with_a_name_as_long_as_a_novel_about_it`, 4 bytes at 20. */
  typeof_: an_enum_with_a_name_as_long_as_a_novel_about_it;
}

/** What the object has, by its C names. */
export interface NamesObject extends ObjectShape {
  readonly programs: {
    readonly return_: ProgramOf<"xdp">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_HASH, 1 entry. */
    readonly delete: HashMap<class_, Uint8Array_>;
    /** BPF_MAP_TYPE_LRU_HASH, 1 entry. */
    readonly long_names: LruHashMap<
      a_key_with_a_name_as_long_as_a_novel_about_it,
      a_value_with_a_name_as_long_as_a_novel_about_it
    >;
  };
  readonly sections: {
    readonly ".bss": NamesBss;
  };
}

/** names.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedNames = OpenedObject<NamesObject, Names>;

/** names.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Names extends LoadedObject<NamesObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<NamesObject> = {}): OpenedNames {
    return openSkeleton(Names, options, {
      file: "names.bpf.o",
      name: "names",
      url: new URL("./names.bpf.o", import.meta.url),
      fingerprint: "be9f9505172a311ec8659f8583957574",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<NamesObject> = {}): Promise<Names> {
    return Names.open(options).load();
  }
}
