import { readFileSync } from "node:fs";
import {
  ArrayOfMaps,
  CgroupArrayMap,
  cgroup2Mount,
  createMap,
  HashMap,
  HashOfMaps,
  KernelSymbols,
  kernelSymbols,
  LpmTrieMap,
  mapById,
  ProgArrayMap,
  QueueMap,
  StackMap,
  StackTraceMap,
} from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MapsSpecial, type zone_prefix } from "../../fixtures/maps_special.bpf.js";
import { TestCgroup } from "../support/cgroup.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { requires } from "../support/requires.js";

const PACKET = new Uint8Array(64);
const XDP_ABORTED = 0;
const XDP_DROP = 1;
const XDP_PASS = 2;

let object: MapsSpecial;
beforeEach(async () => {
  object = await MapsSpecial.load();
});
afterEach(() => object?.close());

const run = (program: "find_route4" | "find_route6" | "work" | "count_port" | "first") =>
  object.programs[program].testRun({ data: PACKET }).returnValue;

test("each map is of its class", () => {
  const { maps } = object;
  for (const [map, type] of [
    [maps.routes4, LpmTrieMap],
    [maps.jobs, QueueMap],
    [maps.done, StackMap],
    [maps.tenants, HashOfMaps],
    [maps.generations, ArrayOfMaps],
    [maps.calls, ProgArrayMap],
    [maps.stacks, StackTraceMap],
    [maps.cgroups, CgroupArrayMap],
  ] as const)
    expect(map).toBeInstanceOf(type);
});

describe("LPM trie", () => {
  test("IPv4: a program finds the longest prefix that we set, and so do we", () => {
    const routes = object.maps.routes4;
    routes.set("0.0.0.0/0", 1).set("10.0.0.0/8", 8).set("10.1.0.0/16", 16).set("10.1.2.3", 32);
    const cases: [string, number, number][] = [
      ["192.168.0.1", 0xc0a80001, 1],
      ["10.9.9.9", 0x0a090909, 8],
      ["10.1.9.9", 0x0a010909, 16],
      ["10.1.2.3", 0x0a010203, 32],
    ];
    for (const [address, number, route] of cases) {
      object.bss.wanted4 = number;
      run("find_route4");
      expect([address, object.bss.route]).toEqual([address, route]);
      expect(routes.get(address)).toBe(route);
    }
    expect(routes.get("10.1.0.0/12")).toBe(8); // nothing longer than what is asked for
    expect([...routes.keys()].sort()).toEqual(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32"]);
    expect(routes.delete("10.1.0.0/16")).toBe(true);
    expect(routes.delete("10.1.0.0/16")).toBe(false);
    object.bss.wanted4 = 0x0a010909;
    run("find_route4");
    expect(object.bss.route).toBe(8);
    expect(routes.drain().sort()).toEqual([
      ["0.0.0.0/0", 1],
      ["10.0.0.0/8", 8],
      ["10.1.2.3/32", 32],
    ]);
    expect(routes.count()).toBe(0);
  });

  test("IPv6", () => {
    const routes = object.maps.routes6;
    routes.set("::/0", 1).set("2001:db8::/32", 32).set("2001:db8:1::/48", 48).set("::ffff:10.0.0.0/104", 104);
    const wanted = (bytes: number[]) => {
      object.bss.wanted6 = Uint8Array.from(bytes);
      run("find_route6");
      return object.bss.route;
    };
    expect(wanted([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).toBe(32);
    expect(wanted([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).toBe(48);
    expect(wanted([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3])).toBe(104);
    expect(wanted([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).toBe(1);
    expect(routes.get("2001:db8:1:2::3")).toBe(48);
    expect([...routes.keys()].sort()).toEqual(["2001:db8:1::/48", "2001:db8::/32", "::/0", "::ffff:10.0.0.0/104"]);
  });

  test("bits past the prefix do not count; the kernel's own struct is taken", () => {
    const routes = object.maps.routes4;
    routes.set("10.1.2.3/8", 8);
    expect([...routes]).toEqual([["10.0.0.0/8", 8]]);
    routes.set({ length: 16, address: 0x0a010000 } as never, 16);
    expect(routes.get("10.1.1.1")).toBe(16);
    routes.set("255.255.255.129/25", 25);
    expect(routes.has("255.255.255.128/25")).toBe(true);
  });

  test("a prefix that is none is an error that says why", () => {
    const routes = object.maps.routes4;
    const cases: [unknown, string][] = [
      ["fe80::/10", 'routes4 key: expected an IPv4 prefix such as "10.0.0.0/8", got "fe80::/10", which is IPv6'],
      ["10.0.0.0/33", 'got "10.0.0.0/33", whose length is not a number from 0 to 32'],
      ["10.0.0.0/", 'got "10.0.0.0/", whose length is not a number from 0 to 32'],
      ["10.0.0/8", 'got "10.0.0/8"'],
      ["", 'got ""'],
      [10, "got number"],
      [null, "got null"],
      [{ length: 8, adress: 1 }, 'routes4 key: no member "adress" (did you mean "address"?)'],
    ];
    for (const [prefix, message] of cases) {
      expect(() => routes.set(prefix as string, 1)).toThrowError(
        expect.objectContaining({ code: "VALUE_INVALID", message: expect.stringContaining(message) }),
      );
    }
    expect(() => object.maps.routes6.get("1.2.3.4")).toThrowError(
      'routes6 key: expected an IPv6 prefix such as "2001:db8::/32", got "1.2.3.4", which is IPv4',
    );
  });

  test("a key that is more than an address is its struct", () => {
    const zones = object.maps.zones;
    const zone = (prefixlen: number, ...address: number[]): zone_prefix => ({
      prefixlen,
      zone: 7,
      address: Uint8Array.from(address),
      rest: new Uint8Array(2),
    });
    zones.set(zone(16 + 8, 10, 0, 0, 0), 1).set(zone(16 + 16, 10, 1, 0, 0), 2);
    expect(zones.get(zone(64, 10, 1, 2, 3))).toBe(2);
    expect(zones.get(zone(64, 10, 2, 2, 3))).toBe(1);
    expect(zones.get({ ...zone(64, 10, 2, 2, 3), zone: 8 })).toBeUndefined();
    expect([...zones.keys()]).toContainEqual(zone(24, 10, 0, 0, 0));
  });
});

describe("queue and stack", () => {
  const job = (id: number) => ({ id, name: `job ${id}` });

  test("a program takes from the queue, first in first out, and puts on the stack, last in first out", () => {
    const jobs = object.maps.jobs;
    const done = object.maps.done;
    jobs.push(job(1)).push(job(2)).push(job(3));
    expect(jobs.peek()).toEqual(job(1));
    run("work");
    expect(jobs.peek()).toBeUndefined();
    expect(jobs.pop()).toBeUndefined();
    expect(done.peek()).toEqual({ id: 1003, name: "job 3" });
    expect(done.pop()).toEqual({ id: 1003, name: "job 3" });
    expect([...done.drain()].map(({ id }) => id)).toEqual([1002, 1001]);
    expect(done.pop()).toBeUndefined();
  });

  test("full is an error, unless the oldest is to give way", () => {
    const jobs = object.maps.jobs;
    for (let id = 0; id < 4; id++) jobs.push(job(id));
    expect(() => jobs.push(job(4))).toThrowError(expect.objectContaining({ code: "FULL" }));
    jobs.push(job(4), { replaceOldest: true });
    expect(jobs.pop()).toEqual(job(1));
    jobs.clear();
    expect(jobs.peek()).toBeUndefined();
    expect(() => jobs.push({ id: "1" as never, name: "x" })).toThrowError(
      "jobs value .id: expected number, got string",
    );
    expect(() => jobs.push(job(1), { replace: true } as never)).toThrowError('jobs.push: unknown option "replace"');
    expect("get" in jobs).toBe(false);
  });
});

describe("maps of maps", () => {
  const counters = () => createMap({ type: "hash", key: "u16", value: "u64", maxEntries: 16 });
  const count = (tenant: number, port: number) => {
    object.bss.tenant = tenant;
    object.bss.port = port;
    run("count_port");
  };

  test("a program counts in the map we put there; a handle reads it", () => {
    const tenants = object.maps.tenants;
    expect(tenants.get(7)).toBeUndefined();
    {
      using inner = counters();
      tenants.set(7, inner);
    } // the outer map holds it now
    count(7, 80);
    count(7, 80);
    count(7, 443);
    count(8, 80);
    expect(object.bss.misses).toBe(1);
    using inner = tenants.get(7, HashMap<number, bigint>);
    expect([...(inner ?? [])].sort()).toEqual([
      [443, 1n],
      [80, 2n],
    ]);
    expect(tenants.has(7)).toBe(true);
    expect([...tenants]).toEqual([[7, inner?.info().id]]);
    expect([...tenants.keys()]).toEqual([7]);
    expect(tenants.delete(7)).toBe(true);
    expect(tenants.delete(7)).toBe(false);
    count(7, 80);
    expect(object.bss.misses).toBe(2);
    expect(inner?.get(80)).toBe(2n); // the handle keeps what nobody else does
  });

  test("a map is swapped live, and the old one read at leisure", () => {
    const generations = object.maps.generations;
    expect(generations.length).toBe(2);
    using first = counters();
    using second = counters();
    generations.set(0, first);
    count(0, 1);
    generations.set(0, second);
    count(0, 1);
    count(0, 2);
    expect([...first]).toEqual([[1, 1n]]);
    expect([...second].sort()).toEqual([
      [1, 1n],
      [2, 1n],
    ]);
    expect([...generations]).toEqual([[0, second.info().id]]);
    expect(generations.get(1)).toBeUndefined();
    using byId = mapById(generations.getId(0) as number);
    expect([...(byId as HashMap<number, bigint>)].length).toBe(2);
    generations.clear();
    expect([...generations]).toEqual([]);
    expect(() => generations.set(2, first)).toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("there are 2, from 0 to 1"),
      }),
    );
  });

  test("a map of another kind is refused, and so is what is no map", () => {
    const tenants = object.maps.tenants;
    using other = createMap({ type: "hash", key: "u32", value: "u64", maxEntries: 16 });
    expect(() => tenants.set(1, other)).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("not like the inner map") }),
    );
    expect(() => tenants.set(1, 5 as never)).toThrowError("tenants.set: value must be a map, got 5");
    using good = counters();
    tenants.set(1, good);
    const before = bpfDescriptors();
    expect(() => tenants.get(1, LpmTrieMap)).toThrowError("tenants.get: the map is a HashMap (hash), not a LpmTrieMap");
    expect(bpfDescriptors()).toEqual(before);
  });
});

test("prog array: a tail call goes where we put a program", () => {
  const calls = object.maps.calls;
  expect(run("first")).toBe(XDP_ABORTED);
  calls.set(0, object.programs.call_pass).set(1, object.programs.call_drop);
  expect(run("first")).toBe(XDP_PASS);
  object.bss.called = 1;
  expect(run("first")).toBe(XDP_DROP);
  calls.set(1, object.programs.call_pass.fd);
  expect(run("first")).toBe(XDP_PASS);
  const entries = [...calls];
  expect(entries.map(([index]) => index)).toEqual([0, 1]);
  expect(entries[0]?.[1]).toBe(entries[1]?.[1]);
  expect(calls.get(0)).toBe(entries[0]?.[1]);
  expect(calls.get(3)).toBeUndefined();
  expect(calls.delete(1)).toBe(true);
  expect(calls.delete(1)).toBe(false);
  expect(run("first")).toBe(XDP_ABORTED);
  expect(() => calls.set(0, object.programs.ask_cgroups)).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("another type") }),
  );
  expect(() => calls.set(0, object.maps.routes4 as never)).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
  expect(() => calls.set(4, object.programs.call_pass)).toThrowError(/there are 4, from 0 to 3/);
  expect(() => calls.set(0, "call_pass" as never)).toThrowError(
    'calls.set: program must be a descriptor, or something that has one (fd), got "call_pass"',
  );
  calls.clear();
  object.bss.called = 0;
  expect(run("first")).toBe(XDP_ABORTED);
});

describe("stack traces", () => {
  beforeEach(() => {
    object.programs.take_stacks.testRun();
  });

  test("the kernel's stack leads to what ran the program, and has names", () => {
    const stacks = object.maps.stacks;
    const id = Number(object.bss.kernel_stack_id);
    expect(id).toBeGreaterThanOrEqual(0);
    const frames = stacks.get(id);
    expect(stacks.maxDepth).toBe(32);
    const symbols = kernelSymbols();
    const names = frames?.map((address) => symbols.find(address)?.name);
    expect(names).toContain("bpf_prog_test_run_raw_tp");
    expect(symbols.describe(frames?.at(-1) as bigint)).toMatch(/^\w+\+0x[0-9a-f]+$/);
    expect(symbols.describe(1n)).toBe("0x1");
    // Ids are hashes of stacks, so that of user space may be any other.
    const others = [0, 1, 2].filter((other) => other !== id && other !== Number(object.bss.user_stack_id));
    expect(stacks.get(others[0] as number)).toBeUndefined();
    // What bpf_get_stackid() returns where it kept none.
    expect([stacks.get(-17), stacks.has(-14), stacks.delete(-17)]).toEqual([undefined, false, false]);
    expect(() => stacks.get(-5000)).toThrow("stacks");
  });

  test("every id with its stack; deleted and cleared", () => {
    const stacks = object.maps.stacks;
    const ids = [Number(object.bss.kernel_stack_id), Number(object.bss.user_stack_id)];
    expect([...stacks.keys()].sort()).toEqual(ids.sort());
    expect(new Map(stacks).get(ids[0] as number)).toEqual(stacks.get(ids[0] as number));
    // The first frame of user space is where this process made the system call: in code that it has mapped.
    const code = [...readFileSync("/proc/self/maps", "latin1").matchAll(/^([0-9a-f]+)-([0-9a-f]+) [r-][w-]x/gm)];
    const [frame = 0n] = stacks.get(Number(object.bss.user_stack_id)) ?? [];
    expect(code.filter(([, from, to]) => BigInt(`0x${from}`) <= frame && frame < BigInt(`0x${to}`))).toHaveLength(1);
    expect(stacks.delete(ids[0] as number)).toBe(true);
    expect(stacks.delete(ids[0] as number)).toBe(false);
    expect(stacks.has(ids[0] as number)).toBe(false);
    stacks.clear();
    expect([...stacks]).toEqual([]);
  });

  test("a stack of build ids names files, not addresses", () => {
    const stacks = object.maps.build_ids;
    expect(stacks.hasBuildIds).toBe(true);
    const frames = stacks.getBuildIds(Number(object.bss.build_id_stack_id));
    expect(frames?.length).toBeGreaterThan(0);
    for (const frame of frames ?? []) {
      // Code without frame pointers leads the kernel anywhere, to address 0 too.
      if (frame.buildId === undefined) expect(frame.address).toBeTypeOf("bigint");
      else expect(frame.buildId).toMatch(/^[0-9a-f]{40}$/);
    }
    expect(() => stacks.get(0)).toThrowError("build_ids.get: this map keeps build ids; use getBuildIds");
    expect(() => object.maps.stacks.getBuildIds(0)).toThrowError(
      "stacks.getBuildIds: this map keeps addresses; use get",
    );
  });

  test("symbols: functions only, by binary search", () => {
    const symbols = new KernelSymbols(
      "ffffffff81000000 T _text\nffffffff81000010 t other\t[mod]\nffffffff81000020 D data\n",
    );
    expect(symbols.size).toBe(2);
    expect(symbols.find(0xffffffff80ffffffn)).toBeUndefined();
    expect(symbols.find(0xffffffff8100000fn)).toEqual({ name: "_text", offset: 15, module: undefined });
    expect(symbols.describe(0xffffffff81000025n)).toBe("other [mod]+0x15");
  });
});

requires({ cgroup2: true }).test(
  "cgroup array: a program asks whether this process is under what we put there",
  async () => {
    const cgroups = object.maps.cgroups;
    await using empty = new TestCgroup();
    cgroups.set(0, empty.path).set(1, cgroup2Mount() as string);
    object.programs.ask_cgroups.testRun();
    expect(object.bss.under).toEqual([0n, 1n]);
    expect(cgroups.delete(1)).toBe(true);
    object.programs.ask_cgroups.testRun();
    expect((object.bss.under as bigint[])[1]).toBeLessThan(0n);
    expect(() => cgroups.set(0, "/nowhere")).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    expect(() => cgroups.set(0, "/tmp")).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect("get" in cgroups).toBe(false);
  },
);
