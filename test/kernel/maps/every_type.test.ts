/** Every map type there is: made without an object, of its class, with the methods that make sense for it and no others. */
import * as ebpf from "ebpf";
import { createMap } from "ebpf";
import { describe, expect, test } from "vitest";
import type { MapType } from "../../../lib/kernel/abi.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { requires } from "../support/requires.js";

type Class = abstract new (...given: never[]) => ebpf.BpfMap;
type Options = Omit<ebpf.CreateMapOptions, "type" | "inner"> & { readonly inner?: true };
type Row = readonly [type: ebpf.CreatableType, name: keyof typeof MapType, made: Class, options: Options];

const keyed = { key: "u32", value: "u64", maxEntries: 4 } as const;
const indexed = { value: "u64", maxEntries: 4 } as const;
const slots = { maxEntries: 4 } as const;
const stored = { value: "u64" } as const;

const TYPES: readonly Row[] = [
  ["hash", "hash", ebpf.HashMap, keyed],
  ["lru_hash", "lruHash", ebpf.LruHashMap, keyed],
  ["percpu_hash", "perCpuHash", ebpf.PerCpuHashMap, keyed],
  ["lru_percpu_hash", "lruPerCpuHash", ebpf.LruPerCpuHashMap, keyed],
  ["array", "array", ebpf.ArrayMap, indexed],
  ["percpu_array", "perCpuArray", ebpf.PerCpuArrayMap, indexed],
  ["lpm_trie", "lpmTrie", ebpf.LpmTrieMap, { ...keyed, key: "ipv4" }],
  ["queue", "queue", ebpf.QueueMap, indexed],
  ["stack", "stack", ebpf.StackMap, indexed],
  ["bloom_filter", "bloomFilter", ebpf.BloomFilterMap, indexed],
  ["hash_of_maps", "hashOfMaps", ebpf.HashOfMaps, { key: "u32", maxEntries: 4, inner: true }],
  ["array_of_maps", "arrayOfMaps", ebpf.ArrayOfMaps, { maxEntries: 4, inner: true }],
  ["prog_array", "progArray", ebpf.ProgArrayMap, slots],
  ["perf_event_array", "perfEventArray", ebpf.PerfEventArrayMap, slots],
  ["cgroup_array", "cgroupArray", ebpf.CgroupArrayMap, slots],
  ["stack_trace", "stackTrace", ebpf.StackTraceMap, slots],
  ["sk_storage", "skStorage", ebpf.SkStorageMap, stored],
  ["inode_storage", "inodeStorage", ebpf.InodeStorageMap, stored],
  ["task_storage", "taskStorage", ebpf.TaskStorageMap, stored],
  ["cgrp_storage", "cgrpStorage", ebpf.CgrpStorageMap, stored],
  ["cgroup_storage", "cgroupStorage", ebpf.CgroupStorageMap, stored],
  ["percpu_cgroup_storage", "perCpuCgroupStorage", ebpf.PerCpuCgroupStorageMap, stored],
  ["sockmap", "sockmap", ebpf.SockMap, slots],
  ["sockhash", "sockhash", ebpf.SockHashMap, { key: "u32", maxEntries: 4 }],
  ["reuseport_sockarray", "reuseportSockarray", ebpf.ReuseportSockArrayMap, slots],
  ["devmap", "devmap", ebpf.DevMap, slots],
  ["devmap_hash", "devmapHash", ebpf.DevMapHash, slots],
  ["cpumap", "cpumap", ebpf.CpuMap, slots],
  ["xskmap", "xskmap", ebpf.XskMap, slots],
  ["ringbuf", "ringbuf", ebpf.OpaqueMap, { maxEntries: 65536 }],
  ["user_ringbuf", "userRingbuf", ebpf.OpaqueMap, { maxEntries: 65536 }],
  ["arena", "arena", ebpf.ArenaMap, { maxEntries: 4 }],
];

/** `protected` in TypeScript: for the classes themselves. */
const PROTECTED =
  "checkOnly cursor deleteKey deleteKeys eachKey found lookupKey put removeAll takeAll takeKey updateKey walk withOwner".split(
    " ",
  );

/** What a user can call on a map of the class and read of it, beyond what every map has. */
function surface(made: Class): string {
  const every = new Set<string | symbol>([...Reflect.ownKeys(ebpf.BpfMap.prototype), ...PROTECTED]);
  const own = new Set<string>();
  for (let at = made.prototype as object; at !== ebpf.BpfMap.prototype; at = Object.getPrototypeOf(at) as object)
    for (const key of Reflect.ownKeys(at))
      if (!every.has(key)) own.add(String(key).replace(/^Symbol\(Symbol\.(\w+)\)$/, "@$1"));
  return [...own].sort().join(" ");
}

describe("every map type, without an object", () => {
  test("is in this table", () => {
    const types: Record<ebpf.CreatableType, true> = Object.fromEntries(TYPES.map(([type]) => [type, true])) as never;
    expect(Object.keys(types)).toHaveLength(32);
  });

  for (const [type, name, made, { inner, ...options }] of TYPES) {
    requires({ mapType: name }).test(type, () => {
      const before = bpfDescriptors();
      {
        using example = inner === undefined ? undefined : createMap({ type: "array", value: "u64", maxEntries: 2 });
        using map = createMap({
          type,
          name: "of_every_type",
          ...options,
          ...(example === undefined ? {} : { inner: example }),
        });
        expect(map).toBeInstanceOf(made);
        expect(map.constructor).toBe(made);
        const info = map.info();
        expect(info).toMatchObject({ type, name: "of_every_type", maxEntries: options.maxEntries ?? 0, frozen: false });
        expect({ keySize: info.keySize, valueSize: info.valueSize }).toEqual({
          keySize: map.keySize,
          valueSize: map.valueSize,
        });
        expect(info.id).toBeGreaterThan(0);
        expect(info.memory).toBeGreaterThanOrEqual(0);
        using again = ebpf.mapById(info.id);
        expect(again.constructor).toBe(made);
      }
      expect(bpfDescriptors()).toEqual(before);
    });
  }

  test("has these methods beyond those of every map, and no others", () => {
    expect(Object.fromEntries(TYPES.map(([type, , made]) => [type, surface(made)]))).toMatchInlineSnapshot(`
      {
        "arena": "address byteLength get read set write",
        "array": "@iterator entries fill forEach get getInto getMany has keys length set setMany size values",
        "array_of_maps": "@iterator clear delete entries get getId has keys length set",
        "bloom_filter": "add mightContain",
        "cgroup_array": "clear delete length set",
        "cgroup_storage": "@iterator entries forEach get getInto getMany has keys set setMany values",
        "cgrp_storage": "delete get has set",
        "cpumap": "@iterator clear delete entries get has length set",
        "devmap": "@iterator clear delete entries get has length set",
        "devmap_hash": "@iterator clear delete entries get has set",
        "hash": "@iterator clear count delete deleteMany drain entries forEach get getAndDelete getInto getMany has keys set setMany values",
        "hash_of_maps": "@iterator clear delete entries get getId has keys set",
        "inode_storage": "delete get has set",
        "lpm_trie": "@iterator clear count delete deleteMany drain entries forEach get getInto getMany has keys set setMany values",
        "lru_hash": "@iterator clear count delete deleteMany drain entries forEach get getAndDelete getInto getMany has keys set setMany values",
        "lru_percpu_hash": "@iterator clear count delete deleteMany drain entries forEach get getAndDelete getInto getMany has keys set setMany values",
        "percpu_array": "@iterator entries fill forEach get getInto getMany has keys length set setMany size values",
        "percpu_cgroup_storage": "@iterator entries forEach get getInto getMany has keys set setMany values",
        "percpu_hash": "@iterator clear count delete deleteMany drain entries forEach get getAndDelete getInto getMany has keys set setMany values",
        "perf_event_array": "clear delete length set",
        "prog_array": "@iterator clear delete entries get has length set",
        "queue": "clear drain peek pop push",
        "reuseport_sockarray": "delete getCookie has length set",
        "ringbuf": "",
        "sk_storage": "delete get has set",
        "sockhash": "clear delete getCookie has keys set",
        "sockmap": "delete getCookie has length set",
        "stack": "clear drain peek pop push",
        "stack_trace": "@iterator clear delete entries get getBuildIds has keys",
        "task_storage": "delete get has set",
        "user_ringbuf": "",
        "xskmap": "delete length set",
      }
    `);
  });
});
