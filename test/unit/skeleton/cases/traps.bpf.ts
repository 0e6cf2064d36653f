/**
 * The types of traps.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  type BloomFilterMap,
  type HashMap,
  LoadedObject,
  type OpenedObject,
  type OpenOptions,
  type PerCpuHashMap,
  type QueueMap,
  type SockHashMap,
  type TaskStorageMap,
} from "ebpf";
import {
  type Accepting,
  type AcceptingKey,
  type AcceptingValue,
  type ObjectShape,
  openSkeleton,
  type ProgramOf,
} from "ebpf/skeleton";

/** `struct bools`, 4 bytes. */
export interface bools {
  /** `_Bool`, 1 byte at 0. */
  one: boolean;
  /** `_Bool[3]`, 3 bytes at 1. */
  many: boolean[];
}

/** `struct enums`, 40 bytes. */
export interface enums {
  /** `enum unsigned_enum`, 4 bytes at 0. */
  u: unsigned_enum;
  /** `enum signed_enum`, 4 bytes at 4. */
  s: signed_enum;
  /** `enum small_enum[2]`, 2 bytes at 8. */
  small: small_enum[];
  /** `enum large_enum`, 8 bytes at 16. */
  large: large_enum;
  /** `enum large_signed_enum`, 8 bytes at 24. */
  large_signed: large_signed_enum;
  /** `enum two_of_one_value`, 1 byte at 32. */
  same: two_of_one_value;
  /** `enum (anonymous)`, 4 bytes at 36. */
  inner: enums_inner;
}

/** `enum unsigned_enum`, 4 bytes, unsigned; a value may also be none of these. */
export const unsigned_enum = {
  UNSIGNED_ZERO: 0,
  UNSIGNED_MAX: 4294967295,
} as const;
export type unsigned_enum = (typeof unsigned_enum)[keyof typeof unsigned_enum] | (number & {});

/** `enum signed_enum`, 4 bytes, signed; a value may also be none of these. */
export const signed_enum = {
  SIGNED_MIN: -2147483648,
  SIGNED_ONE: 1,
} as const;
export type signed_enum = (typeof signed_enum)[keyof typeof signed_enum] | (number & {});

/** `enum small_enum`, 1 byte, unsigned; a value may also be none of these. */
export const small_enum = {
  SMALL: 200,
} as const;
export type small_enum = (typeof small_enum)[keyof typeof small_enum] | (number & {});

/** `enum large_enum`, 8 bytes, unsigned; a value may also be none of these. */
export const large_enum = {
  LARGE: 9223372036854775808n,
} as const;
export type large_enum = (typeof large_enum)[keyof typeof large_enum] | (bigint & {});

/** `enum large_signed_enum`, 8 bytes, signed; a value may also be none of these. */
export const large_signed_enum = {
  LARGE_MIN: -9223372036854775808n,
  LARGE_ONE: 1n,
} as const;
export type large_signed_enum = (typeof large_signed_enum)[keyof typeof large_signed_enum] | (bigint & {});

/** `enum two_of_one_value`, 1 byte, unsigned; a value may also be none of these. */
export const two_of_one_value = {
  THIS: 1,
  SAME: 1,
} as const;
export type two_of_one_value = (typeof two_of_one_value)[keyof typeof two_of_one_value] | (number & {});

/** `enum (anonymous)`, 4 bytes, unsigned; a value may also be none of these. */
export const enums_inner = {
  INNER_A: 0,
  INNER_B: 1,
} as const;
export type enums_inner = (typeof enums_inner)[keyof typeof enums_inner] | (number & {});

/** `struct empty`, 4 bytes. */
export interface empty {
  /** `union empty_union`, 0 bytes at 0. */
  nothing: empty_union;
  /** `struct (anonymous)`, 0 bytes at 0. */
  neither: empty_neither;
  /** `int`, 4 bytes at 0. */
  something: number;
}

/** `union empty_union`, 0 bytes. Its members share the same bytes; to set one is enough. */
export type empty_union = Record<string, never>;

/** `struct (anonymous)`, 0 bytes. */
export type empty_neither = Record<string, never>;

/** `struct trailing`, 16 bytes. */
export interface trailing {
  /** `__u32`, 4 bytes at 0. */
  whole: number;
  /** `__u32`, 3 bits at bit 32. */
  low: number;
  /** `int`, 5 bits at bit 35. */
  high: number;
  /** `__u64`, 40 bits at bit 64. */
  wide: bigint;
  /** `_Bool`, 1 bit at bit 104. */
  flag: boolean;
  /** `__u32`, 2 bits at bit 112. */
  after_padding: number;
}

/** `struct packed`, 16 bytes. */
export interface packed {
  /** `__u8`, 1 byte at 0. */
  first: number;
  /** `__u64`, 8 bytes at 1. */
  unaligned: bigint;
  /** `__be16`, 2 bytes at 9; in the other byte order in C, in the host's here. */
  port: number;
  /** `char[5]`, 5 bytes at 11. */
  name: string;
}

/** `struct anonymous`, 20 bytes. */
export interface anonymous {
  /** `int`, 4 bytes at 0. */
  first: number;
  /** `__u32`, 4 bytes at 4; shares its bytes. */
  word: number;
  /** `__u16`, 2 bytes at 4. */
  low: number;
  /** `__u16`, 2 bytes at 6. */
  high: number;
  /** `__u8[4]`, 4 bytes at 4; shares its bytes. */
  bytes: Uint8Array;
  /** `struct (anonymous)`, 4 bytes at 8. */
  inner: anonymous_inner;
  /** `union (anonymous)[2]`, 8 bytes at 12. */
  choice: anonymous_choice[];
}

/** {@link anonymous} to be written: of members that share bytes one is enough. */
export interface anonymous_input {
  first: number;
  word?: number;
  low?: number;
  high?: number;
  bytes?: Uint8Array;
  inner: anonymous_inner;
  choice: anonymous_choice_input[];
}

/** `struct (anonymous)`, 4 bytes. */
export interface anonymous_inner {
  /** `int`, 4 bytes at 0. */
  named_inner: number;
}

/** `union (anonymous)`, 4 bytes. Its members share the same bytes; to set one is enough. */
export interface anonymous_choice {
  /** `int`, 4 bytes at 0; shares its bytes. */
  a: number;
  /** `float`, 4 bytes at 0; shares its bytes. */
  b: number;
}

/** {@link anonymous_choice} to be written: of members that share bytes one is enough. */
export interface anonymous_choice_input {
  a?: number;
  b?: number;
}

/** `struct (anonymous)`, 8 bytes. */
export interface nameless_value {
  /** `int`, 4 bytes at 0. */
  x: number;
  /** `struct (anonymous)`, 4 bytes at 4. */
  deep: nameless_value_deep;
}

/** `struct (anonymous)`, 4 bytes. */
export interface nameless_value_deep {
  /** `int`, 4 bytes at 0. */
  y: number;
}

/** `pair`, 16 bytes. */
export interface pair {
  /** `struct pair`, 8 bytes at 0. */
  pair: pair_2;
  /** `char[8]`, 8 bytes at 8. */
  text: string;
}

/** `struct pair`, 8 bytes. */
export interface pair_2 {
  /** `int`, 4 bytes at 0. */
  x: number;
  /** `int`, 4 bytes at 4. */
  y: number;
}

/** `struct pointers`, 40 bytes. */
export interface pointers {
  /** `void *`, 8 bytes at 0. */
  any: bigint;
  /** `struct pointers *`, 8 bytes at 8. */
  self: bigint;
  /** `struct undefined *`, 8 bytes at 16. */
  opaque: bigint;
  /** `int (*)(int)`, 8 bytes at 24. */
  call: bigint;
  /** `const char *`, 8 bytes at 32. */
  text: bigint;
}

/** `struct numbers`, 112 bytes. */
export interface numbers {
  /** `__u8`, 1 byte at 0. */
  u8: number;
  /** `__s8`, 1 byte at 1. */
  s8: number;
  /** `char`, 1 byte at 2. */
  c: number;
  /** `__s64`, 8 bytes at 8. */
  s64: bigint;
  /** `__be64`, 8 bytes at 16; in the other byte order in C, in the host's here. */
  be64: bigint;
  /** `unsigned __int128`, 16 bytes at 32. */
  u128: bigint;
  /** `double`, 8 bytes at 48. */
  d: number;
  /** `__u8[6]`, 6 bytes at 56. */
  raw: Uint8Array;
  /** `__be32[4]`, 16 bytes at 64. */
  addresses: number[];
  /** `int[2][3]`, 24 bytes at 80. */
  matrix: number[][];
  /** `char[2][4]`, 8 bytes at 104. */
  lines: string[];
}

/** `struct chosen`, 40 bytes. */
export interface chosen {
  /** `__u64`, 8 bytes at 0. */
  whole: bigint;
  /** `__u64`, 8 bytes at 8. */
  small: number;
  /** `__s64[2]`, 16 bytes at 16. */
  list: number[];
  /** `__u64`, 8 bytes at 32. */
  inner: number;
}

/** `struct lengths`, 16 bytes. */
export interface lengths {
  /** `int`, 4 bytes at 0. */
  before: number;
  /** `__u64[]`, 0 bytes at 8. */
  none: bigint[];
  /** `char[]`, 0 bytes at 8. */
  text: string;
  /** `int`, 4 bytes at 8. */
  after: number;
  /** `struct pair[]`, 0 bytes at 12; the rest of the record. */
  pairs: pair_2[];
}

/** `struct crossing`, 17 bytes. */
export interface crossing {
  /** `__u8`, 3 bits at bit 0. */
  lead: number;
  /** `__u64`, 64 bits at bit 3. */
  all: bigint;
  /** `__u16`, 13 bits at bit 67. */
  rest: number;
  /** `enum signed_enum`, 32 bits at bit 80. */
  below: signed_enum;
  /** `int`, 20 bits at bit 112. */
  last: number;
}

/** `struct chained`, 60 bytes. */
export interface chained {
  /** `third_t`, 8 bytes at 0. */
  one: pair_2;
  /** `some_t[2]`, 48 bytes at 8. */
  more: pair_2[][];
  /** `const chain_t`, 4 bytes at 56. */
  link: chain_t;
}

/** `const chain_t`, 4 bytes, signed; a value may also be none of these. */
export const chain_t = {
  CHAIN_BELOW: -5,
  CHAIN_ABOVE: 5,
} as const;
export type chain_t = (typeof chain_t)[keyof typeof chain_t] | (number & {});

/** `struct deep`, 16 bytes. */
export interface deep {
  /** `int`, 4 bytes at 0. */
  deepest: number;
  /** `__u8[4]`, 4 bytes at 0; shares its bytes. */
  as_bytes: Uint8Array;
  /** `int`, 4 bytes at 4. */
  beside: number;
  /** `__u64`, 8 bytes at 0; shares its bytes. */
  whole: bigint;
  /** `int`, 4 bytes at 8. */
  lone: number;
}

/** {@link deep} to be written: of members that share bytes one is enough. */
export interface deep_input {
  deepest?: number;
  as_bytes?: Uint8Array;
  beside?: number;
  whole?: bigint;
  lone: number;
}

/** `struct guarded`, 40 bytes. */
export interface guarded {
  /** `__u64`, 8 bytes at 0. */
  count: bigint;
  /** `struct bpf_spin_lock`, 4 bytes at 8; the kernel's, which neither gives nor takes it. */
  lock: bpf_spin_lock;
  /** `struct bpf_timer`, 16 bytes at 16; the kernel's, which neither gives nor takes it. */
  timer: bpf_timer;
  /** `struct task_struct *`, 8 bytes at 32; the kernel's, which neither gives nor takes it. */
  task: bigint;
}

/** {@link guarded} to be written: what is the kernel's may be left out. */
export interface guarded_input {
  count: bigint;
  lock?: bpf_spin_lock;
  timer?: bpf_timer;
  task?: bigint;
}

/** `struct bpf_spin_lock`, 4 bytes. */
export interface bpf_spin_lock {
  /** `__u32`, 4 bytes at 0. */
  val: number;
}

/** `struct bpf_timer`, 16 bytes. */
export interface bpf_timer {
  /** `__u64[2]`, 16 bytes at 0. */
  __opaque: bigint[];
}

/** `struct guards`, 88 bytes. */
export interface guards {
  /** `struct guarded[2]`, 80 bytes at 0. */
  two: guarded[];
  /** `__u32`, 4 bytes at 80. */
  rest: number;
}

/** {@link guards} to be written: what is the kernel's may be left out. */
export interface guards_input {
  two: guarded_input[];
  rest: number;
}

/** `struct endpoint`, 20 bytes. */
export interface endpoint {
  /** `__u16`, 2 bytes at 0. */
  family: number;
  /** `__be16`, 2 bytes at 2; in the other byte order in C, in the host's here. */
  port: number;
  /** `__be32`, 4 bytes at 4; in the other byte order in C, in the host's here; shares its bytes. */
  v4: number;
  /** `__u8[16]`, 16 bytes at 4; shares its bytes. */
  v6: Uint8Array;
}

/** {@link endpoint} to be written: of members that share bytes one is enough. */
export interface endpoint_input {
  family: number;
  port: number;
  v4?: number;
  v6?: Uint8Array;
}

/** `struct connection`, 40 bytes. */
export interface connection {
  /** `struct endpoint[2]`, 40 bytes at 0. */
  ends: endpoint[];
}

/** {@link connection} to be written: of members that share bytes one is enough. */
export interface connection_input {
  ends: endpoint_input[];
}

/** {@link connection} in a variable: of members that share bytes one is enough to set. */
export interface connection_live extends connection {
  get ends(): endpoint[];
  set ends(value: endpoint_input[]);
}

/** `struct (anonymous)`, 44 bytes. */
export interface seen {
  /** `struct connection`, 40 bytes at 0. */
  now: connection;
  /** `__u32`, 4 bytes at 40. */
  count: number;
}

/** {@link seen} to be written: of members that share bytes one is enough. */
export interface seen_input {
  now: connection_input;
  count: number;
}

/** {@link seen} in a variable: of members that share bytes one is enough to set. */
export interface seen_live extends seen {
  get now(): connection_live;
  set now(value: connection_input);
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface TrapsBss {
  /** `__u64`, 8 bytes at 0. */
  total: number;
  /** `struct chosen`, 40 bytes at 8. */
  largest: chosen;
  /** `__u8[16777216]`, 16777216 bytes at 48. */
  huge: Uint8Array;
  /** `struct pair[100000]`, 800000 bytes at 16777264. */
  many: pair_2[];
  /** `char[1000][80]`, 80000 bytes at 17577264. */
  lines_of_text: string[];
  /** `struct endpoint`, 20 bytes at 17657264. */
  get latest(): endpoint;
  set latest(value: endpoint_input);
  /** `struct (anonymous)[2]`, 88 bytes at 17657284. */
  get seen(): seen_live[];
  set seen(value: seen_input[]);
}

/** What the object has, by its C names. */
export interface TrapsObject extends ObjectShape {
  readonly programs: {
    readonly trap: ProgramOf<"xdp">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly bools: HashMap<number, bools>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly enums: HashMap<number, enums>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly empties: HashMap<number, empty>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly trailing_bits: HashMap<number, trailing>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly packed: HashMap<number, packed>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly anonymous: Accepting<HashMap<number, anonymous>, number, anonymous_input>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly nameless: HashMap<number, nameless_value>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly pairs: HashMap<number, pair>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly pointers: HashMap<number, pointers>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly numbers: HashMap<number, numbers>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly chosen: HashMap<number, chosen>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly small_counts: HashMap<number, number>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly lengths: HashMap<number, lengths>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly crossing: HashMap<number, crossing>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly chained: HashMap<number, chained>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly deep: Accepting<HashMap<number, deep>, number, deep_input>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly guarded: Accepting<HashMap<number, guarded>, number, guarded_input>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly guards: Accepting<HashMap<number, guards>, number, guards_input>;
    /** BPF_MAP_TYPE_PERCPU_HASH, 16 entries. */
    readonly endpoints: Accepting<PerCpuHashMap<endpoint, connection>, endpoint_input, connection_input[]>;
    /** BPF_MAP_TYPE_HASH, 16 entries. */
    readonly connections: Accepting<HashMap<number, connection>, number, connection_input>;
    /** BPF_MAP_TYPE_QUEUE, 16 entries. */
    readonly waiting: AcceptingValue<QueueMap<endpoint>, endpoint_input>;
    /** BPF_MAP_TYPE_BLOOM_FILTER, 16 entries. */
    readonly known: AcceptingValue<BloomFilterMap<endpoint>, endpoint_input>;
    /** BPF_MAP_TYPE_TASK_STORAGE. */
    readonly peers: AcceptingValue<TaskStorageMap<endpoint>, endpoint_input>;
    /** BPF_MAP_TYPE_SOCKHASH, 16 entries. */
    readonly sockets: AcceptingKey<SockHashMap<endpoint>, endpoint_input>;
  };
  readonly sections: {
    readonly ".bss": TrapsBss;
  };
}

/** traps.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedTraps = OpenedObject<TrapsObject, Traps>;

/** traps.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class Traps extends LoadedObject<TrapsObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<TrapsObject> = {}): OpenedTraps {
    return openSkeleton(Traps, options, {
      file: "traps.bpf.o",
      name: "traps",
      url: new URL("./traps.bpf.o", import.meta.url),
      fingerprint: "56be941cfe5ab0969081ec1958966dd6",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<TrapsObject> = {}): Promise<Traps> {
    return Traps.open(options).load();
  }
}
