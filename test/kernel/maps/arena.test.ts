import { ArenaMap, createMap, cType } from "ebpf";
import { expect } from "vitest";
import { MapType } from "../../../lib/kernel/abi.js";
import { native } from "../../../lib/native.js";
import { MapsArena } from "../../fixtures/maps_arena.bpf.js";
import { MapsArenaFixed } from "../../fixtures/maps_arena_fixed.bpf.js";
import { requires } from "../support/requires.js";

interface Node {
  next: bigint;
  value: bigint;
}

const gate = requires({ mapType: "arena", programType: "syscall" });

gate.test("arena: a list that a program made is walked, changed and made longer by us", async () => {
  using object = await MapsArena.load();
  const arena = object.maps.arena;
  expect(arena).toBeInstanceOf(ArenaMap);
  expect(arena.byteLength).toBe(16 * 4096);
  expect(object.programs.make.testRun().returnValue).toBe(0);
  const node = cType<Node>("struct node", object.btf);
  const walk = (): Node[] => {
    const nodes: Node[] = [];
    for (let at = object.bss.head; at !== 0n; at = nodes.at(-1)?.next ?? 0n) nodes.push(arena.get(at, node));
    return nodes;
  };
  expect(walk().map(({ value }) => value)).toEqual(Array.from({ length: 10 }, (_, i) => BigInt(i * 100)));
  const head = object.bss.head;
  expect(head).toBeGreaterThanOrEqual(arena.address);
  expect(arena.read(head, 16)).toEqual(arena.read(Number(head - arena.address), 16));

  // A node of our own before the first, in a page that no program has allocated.
  const ours = arena.address + BigInt(8 * 4096);
  arena.set(ours, node, { next: head, value: 7n });
  object.bss.head = ours;
  object.programs.add_up.testRun();
  expect(object.bss.sum).toBe(4512n);
  expect(walk()).toHaveLength(11);
  arena.write(ours + 8n, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0));
  object.programs.add_up.testRun();
  expect(object.bss.sum).toBe(4513n);

  expect(() => arena.read(arena.byteLength - 8, 16)).toThrowError(
    expect.objectContaining({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("not within the arena's 65536"),
    }),
  );
  expect(() => arena.get(8n, node)).toThrowError(/16 bytes at address 0x8 are not within/);
  expect(() => arena.read(-1, 1)).toThrowError(/offset -1/);
  expect(() => arena.set(0, node, { next: 0n, value: "1" as never })).toThrowError(
    "arena value .value: expected bigint, got string",
  );
  object.close();
  expect(() => arena.read(0, 1)).toThrowError(expect.objectContaining({ code: "CLOSED" }));
});

gate.test("variables in an arena are a section of the object, from load() on", async () => {
  const opened = MapsArena.open();
  expect(() => opened.section(".addr_space.1")).toThrowError(
    expect.objectContaining({ code: "INVALID_STATE", message: expect.stringContaining("are there from load() on") }),
  );
  using object = await opened.load();
  const variables = object.section(".addr_space.1");
  // A copy, for a failure to be told of when the object is closed already.
  expect({ ...variables.last }).toEqual({ next: 0n, value: 5n });
  object.programs.add_up.testRun();
  expect([variables.visits, object.bss.sum]).toEqual([1n, 5n]);
  variables.last.value = 9n;
  variables.visits = 41n;
  object.programs.add_up.testRun();
  expect([variables.visits, object.bss.sum]).toEqual([42n, 9n]);
  expect(() => object.section(".addr_space.2" as ".addr_space.1")).toThrowError(
    /no data section in .* named "\.addr_space\.2" \(did you mean "\.addr_space\.1"\?\)/,
  );
  object.close();
  expect(() => variables.visits).toThrowError(expect.objectContaining({ code: "CLOSED" }));
});

gate.test("an arena without an object", () => {
  using arena = createMap({ type: "arena", maxEntries: 4 });
  arena.write(4096, Uint8Array.of(1, 2, 3));
  expect(arena.read(4095, 5)).toEqual(Uint8Array.of(0, 1, 2, 3, 0));
  expect(arena.read(arena.address + 4096n, 3)).toEqual(Uint8Array.of(1, 2, 3));
});

gate.test("a page that is not to be made when touched is an error, not a fault", () => {
  using arena = createMap({ type: "arena", maxEntries: 4, flags: ["segv_on_fault"] });
  expect(() => arena.read(0, 1)).toThrowError(
    expect.objectContaining({ code: "NOT_FOUND", message: expect.stringContaining("BPF_F_SEGV_ON_FAULT") }),
  );
});

/** An address that nothing else in the process has; maps_arena_fixed declares it. */
const ADDRESS = 1n << 44n;

gate.test(
  "an arena that is reused has its address of whoever made it, and none of the object's variables",
  async () => {
    using made = createMap({ type: "arena", maxEntries: 16, extra: ADDRESS });
    const opened = MapsArena.open();
    opened.maps.arena.reuse(made);
    using object = await opened.load();
    const { arena } = object.maps;
    expect(arena.address).toBe(ADDRESS);
    expect(object.programs.make.testRun().returnValue).toBe(0);
    expect(object.bss.head).toBeGreaterThanOrEqual(ADDRESS);
    const node = cType<Node>("struct node", object.btf);
    expect(arena.get(arena.get(object.bss.head, node).next, node).value).toBe(100n);
    expect(() => object.section(".addr_space.1").visits).toThrowError(
      expect.objectContaining({ code: "INVALID_STATE", message: expect.stringContaining("it is another's") }),
    );
  },
);

gate.test("of arenas side by side each is found where it is", () => {
  const pages = 4;
  const bytes = BigInt(pages * 4096);
  using first = createMap({ type: "arena", maxEntries: pages, extra: ADDRESS });
  using second = createMap({ type: "arena", maxEntries: pages, extra: ADDRESS + bytes });
  expect([first.address, second.address]).toEqual([ADDRESS, ADDRESS + bytes]);
  const { id, keySize, valueSize, maxEntries, type } = second.info();
  const shape = { name: "second", type, typeNumber: MapType.arena, keySize, valueSize, maxEntries };
  using found = new ArenaMap(native().mapFromId(id), shape, () => second.address);
  expect(found.address).toBe(second.address);
});

gate.test("an arena whose address is taken is not mapped over what is there", async () => {
  {
    using first = await MapsArenaFixed.load();
    expect(first.maps.arena.address).toBe(ADDRESS);
    first.maps.arena.write(0, Uint8Array.of(1));
    const opened = MapsArenaFixed.open();
    await expect(opened.load()).rejects.toThrowError(
      expect.objectContaining({ code: "BUSY", message: expect.stringContaining("address 0x100000000000 (map_extra)") }),
    );
    expect(() => opened.maps.arena.maxEntries).toThrowError(expect.objectContaining({ code: "CLOSED" }));
    expect(first.maps.arena.read(0, 1)).toEqual(Uint8Array.of(1));
    // One that takes the first one's place is not mapped.
    const sharing = MapsArenaFixed.open();
    sharing.maps.arena.reuse(first.maps.arena);
    (await sharing.load()).close();
  }
  (await MapsArenaFixed.load()).close();
});
