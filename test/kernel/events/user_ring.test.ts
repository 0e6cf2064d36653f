import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { UserRingBuffer } from "ebpf";
import { afterEach, expect, test } from "vitest";
import { EventsUserRing, type OpenedEventsUserRing } from "../../fixtures/events_user_ring.bpf.js";
import { bpfDescriptors } from "../support/descriptors.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";
import { PACKET } from "./streams.js";

interface Command {
  id: bigint;
  value: number;
  flag: number;
  name: string;
}

interface Message {
  id: bigint;
  length: number;
  data: Uint8Array;
}

const gate = requires({ mapType: "userRingbuf" });

gate.describe("user ring buffer", () => {
  let object: EventsUserRing;
  afterEach(() => object?.close());

  const load = async (configure: (opened: OpenedEventsUserRing) => void = () => {}) => {
    const opened = EventsUserRing.open();
    configure(opened);
    object = await opened.load();
    return object.userRingBuffer("commands");
  };
  const drain = (program = "drain_commands") => object.program(program).testRun({ data: PACKET });
  const command = (id: number): Command => ({ id: BigInt(id), value: id * 3, flag: id & 255, name: `c${id}` });
  /** 24 bytes and a header of 8, in 4,096. */
  const CAPACITY = 128;
  const fill = (commands: UserRingBuffer<Command>, from = 0) => {
    for (let id = from; id < from + CAPACITY; id++) commands.write(command(id));
  };
  const echoes = (): Command[] => {
    const got: Command[] = [];
    object.ringBuffer("echo").on("event", (record) => got.push(record));
    return got;
  };

  test("what is written reaches the program, whole and in order, and is counted", async () => {
    const commands = await load();
    const got = echoes();
    for (let id = 0; id < 100; id++) commands.write(command(id));
    expect(commands.totals).toEqual({ written: 100, drained: 0, pending: 100 });
    expect(commands.pendingBytes).toBe(100 * 32);
    expect(commands.size).toBe(4096);
    drain();
    await until("the echoes", () => got.length === 100);
    expect(got).toEqual(Array.from({ length: 100 }, (_, id) => command(id)));
    expect(commands.totals).toEqual({ written: 100, drained: 100, pending: 0 });
    expect(commands.pendingBytes).toBe(0);
    expect(object.bss["drained"]).toBe(100n);
    expect(object.userRingBuffer("commands")).toBe(commands);
    expect(object.map("commands")).toBe(commands);
  });

  test("a full ring is an error that says so, to the byte, and takes records again after a drain", async () => {
    const commands = await load((opened) => {
      opened.rodata["most"] = 10;
    });
    const got = echoes();
    fill(commands);
    expect(() => commands.write(command(999))).toThrow(
      expect.objectContaining({
        code: "FULL",
        message: expect.stringMatching(/user ring commands is full.* takes 32 bytes, 0 of 4096/),
      }),
    );
    expect(() => commands.reserve()).toThrow(expect.objectContaining({ code: "FULL" }));
    expect(commands.totals.written).toBe(CAPACITY);
    drain();
    for (let id = CAPACITY; id < CAPACITY + 10; id++) commands.write(command(id));
    expect(() => commands.write(command(999))).toThrow(expect.objectContaining({ code: "FULL" }));
    while (commands.pendingBytes > 0) drain();
    await until("the echoes", () => got.length === CAPACITY + 10);
    expect(got).toEqual(Array.from({ length: CAPACITY + 10 }, (_, id) => command(id)));
  });

  test("writers that wait go on when a program drained, in the order of their calls, and the event loop goes on meanwhile", async () => {
    const commands = await load((opened) => {
      opened.rodata["most"] = 2;
    });
    const got = echoes();
    fill(commands);
    const done: number[] = [];
    const writes = Array.from({ length: 5 }, (_, i) =>
      commands.writeAsync(command(CAPACITY + i)).then(() => done.push(i)),
    );
    // Whoever does not wait does not overtake those who do.
    expect(() => commands.write(command(999))).toThrow(/others wait/);
    let turns = 0;
    await new Promise<void>((resolve) => {
      const turn = () => (++turns < 20 ? setImmediate(turn) : resolve());
      turn();
    });
    expect(done).toEqual([]);
    drain();
    await until("two of them", () => done.length === 2);
    expect(done).toEqual([0, 1]);
    drain();
    drain();
    await Promise.all(writes);
    expect(done).toEqual([0, 1, 2, 3, 4]);
    while (commands.pendingBytes > 0) drain();
    await until("the echoes", () => got.length === CAPACITY + 5);
    expect(got.map(({ id }) => Number(id))).toEqual(Array.from({ length: CAPACITY + 5 }, (_, id) => id));
    expect(commands.totals).toEqual({ written: CAPACITY + 5, drained: CAPACITY + 5, pending: 0 });
  });

  test("a wait ends: by its timeout, its signal, and the ring's close", async () => {
    const commands = await load();
    fill(commands);
    await expect(commands.writeAsync(command(1), { timeout: 1 })).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringMatching(/no room within 1 ms/),
    });
    await expect(commands.reserveAsync(24, { timeout: 0 })).rejects.toMatchObject({ code: "TIMEOUT" });
    const controller = new AbortController();
    const aborted = commands.writeAsync(command(2), { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await expect(commands.writeAsync(command(3), { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow(
      "before",
    );
    const behind = [commands.writeAsync(command(4)), commands.reserveAsync()];
    commands.close();
    for (const wait of behind) await expect(wait).rejects.toMatchObject({ code: "CLOSED" });
    expect(() => commands.write(command(5))).toThrow(expect.objectContaining({ code: "CLOSED" }));
    expect(() => commands.reserve()).toThrow(expect.objectContaining({ code: "CLOSED" }));
    expect(() => commands.pendingBytes).toThrow(expect.objectContaining({ code: "CLOSED" }));
    await expect(commands.writeAsync(command(6))).rejects.toMatchObject({ code: "CLOSED" });
    commands.close();
    // What was given up while it waited was never written.
    drain();
    expect(object.bss["drained"]).toBe(BigInt(CAPACITY));
  });

  test("a wait that is given up lets those behind it have the room", async () => {
    const commands = await load();
    // Two short of full: room for what is small.
    for (let id = 0; id < CAPACITY - 2; id++) commands.write(command(id));
    const timedOut = commands.reserveAsync(1000, { timeout: 20 });
    const first = commands.writeAsync(command(CAPACITY));
    await expect(timedOut).rejects.toMatchObject({ code: "TIMEOUT" });
    await first;
    const aborting = new AbortController();
    const aborted = commands.reserveAsync(1000, { signal: aborting.signal });
    const second = commands.writeAsync(command(CAPACITY + 1));
    aborting.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await second;
    expect(() => commands.write(command(0))).toThrow(/full/i);
  });

  test("a reservation keeps its place: what is behind it waits, until it is submitted or discarded", async () => {
    const commands = await load();
    const got = echoes();
    const first = commands.reserve();
    const second = commands.reserve();
    commands.write(command(2));
    drain();
    expect(object.bss["drained"]).toBe(0n);
    second.submit(command(1));
    expect(second.done).toBe(true);
    expect(() => second.submit(command(1))).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
    drain();
    expect(object.bss["drained"]).toBe(0n);
    // In place, byte by byte.
    new DataView(first.bytes.buffer, first.bytes.byteOffset).setBigUint64(0, 77n, true);
    first.submit();
    drain();
    await until("three", () => got.length === 3);
    expect(got).toEqual([{ id: 77n, value: 0, flag: 0, name: "" }, command(1), command(2)]);
    {
      using given = commands.reserve();
      expect(given.done).toBe(false);
    }
    commands.write(command(3));
    drain();
    await until("the fourth", () => got.length === 4);
    expect(got[3]).toEqual(command(3));
    expect(commands.totals).toEqual({ written: 4, drained: 4, pending: 0 });
  });

  test("a reservation that waits gets its room; one left behind by close() holds nobody up", async () => {
    const commands = await load();
    fill(commands);
    const waiting = commands.reserveAsync();
    drain();
    const record = await waiting;
    commands.close();
    expect(() => record.submit(command(0))).toThrow(expect.objectContaining({ code: "CLOSED" }));
    record.discard();
    drain();
    expect(object.bss["drained"]).toBe(BigInt(CAPACITY));
    expect(commands.totals.written).toBe(CAPACITY);
  });

  test("a record that does not fit its type, or the ring, is refused by name and writes nothing", async () => {
    const commands = await load();
    expect(() => commands.write({ ...command(1), value: -1 })).toThrow(
      expect.objectContaining({ code: "VALUE_INVALID", message: expect.stringMatching(/value/) }),
    );
    expect(() => commands.write({ ...command(1), nmae: "x" } as Command)).toThrow(/nmae/);
    const record = commands.reserve();
    expect(() => record.submit({ ...command(1), flag: 256 })).toThrow(/flag/);
    record.submit(command(1));
    expect(() => commands.reserve(4096)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(/4096 bytes is larger than the 4088/),
      }),
    );
    await expect(commands.reserveAsync(5000)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(() => commands.reserve(-1)).toThrow(/whole number/);
    await expect(commands.writeAsync(command(1), { timeuot: 1 } as never)).rejects.toThrow(/timeout/);
    // @ts-expect-error the compiler knows it, too
    expect(() => object.userRingBuffer("echo")).toThrow(/not a user ring buffer/);
    // @ts-expect-error the compiler knows it, too
    expect(() => object.ringBuffer("commands")).toThrow(/not a ring buffer/);
    drain();
    expect(object.bss["drained"]).toBe(1n);
    expect(object.bss["refused"]).toBe(0n);
  });

  test("records with a tail of any length, up to the ring's size", async () => {
    await load();
    const messages = object.userRingBuffer("messages");
    const got: Message[] = [];
    object.ringBuffer("echo_messages").on("event", (message) => got.push(message));
    const lengths = [0, 1, 5, 100, 4000, 4096, 8192];
    const sent = lengths.map((length, id) => ({
      id: BigInt(id),
      length,
      data: Uint8Array.from({ length }, (_, i) => (i * 7 + id) & 255),
    }));
    for (const message of sent) messages.write(message);
    drain("drain_messages");
    await until("the echoes", () => got.length === lengths.length);
    expect(got).toEqual(sent);
    // All of the ring, less the header of 8.
    const largest = 64 * 1024 - 8 - 12;
    messages.write({ id: 1n, length: 0, data: new Uint8Array(largest) });
    expect(() => messages.write({ id: 1n, length: 0, data: new Uint8Array(largest + 1) })).toThrow(
      expect.objectContaining({ code: "VALUE_INVALID" }),
    );
    drain("drain_messages");
    await until("the largest", () => got.length === lengths.length + 1);
    expect(messages.totals).toEqual({ written: lengths.length + 1, drained: lengths.length + 1, pending: 0 });
  });

  test("a ring declared without the header: bytes, or a type by name", async () => {
    await load();
    const plain = object.userRingBuffer("plain");
    plain.write(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    drain("drain_plain");
    expect(object.bss["plain_word"]).toBe(0x0807060504030201n);
    expect(plain.totals).toEqual({ written: 1, drained: undefined, pending: undefined });
    // @ts-expect-error the compiler knows it, too
    expect(() => object.userRingBuffer("nowhere")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
  });

  test("a program that drains without waking anybody: a wait with a time limit finds the room at its end", async () => {
    await load();
    const plain = object.userRingBuffer("plain");
    for (let i = 0; i < 256; i++) plain.write(new Uint8Array(8));
    const wait = plain.writeAsync(new Uint8Array(8), { timeout: 200 });
    // Room that is there when the loop begins to watch is found by that; this is made after.
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
    drain("drain_plain");
    await wait;
    expect(plain.pendingBytes).toBe(16);
  });

  test("a Node stream writes with back-pressure, and leaves the ring open", async () => {
    const commands = await load((opened) => {
      opened.rodata["most"] = 50;
    });
    const got = echoes();
    const source = Readable.from(Array.from({ length: 1000 }, (_, id) => command(id)));
    const writable = commands.toWritable({ highWaterMark: 4 });
    const done = pipeline(source, writable);
    let finished = false;
    done.then(() => {
      finished = true;
    });
    await until("all of them", () => {
      drain();
      return finished;
    });
    await until("the echoes", () => {
      drain();
      return got.length === 1000;
    });
    expect(got).toEqual(Array.from({ length: 1000 }, (_, id) => command(id)));
    expect(commands.closed).toBe(false);
    fill(commands);
    const destroyed = commands.toWritable();
    destroyed.write(command(1));
    destroyed.destroy();
    await once(destroyed, "close");
    expect(commands.totals.written).toBe(1000 + CAPACITY);
  });

  test("a second writer of the ring is refused, until the first is closed", async () => {
    const commands = await load();
    commands.write(command(0));
    const { native } = await import("../../../lib/native.js");
    const open = () => new (native().UserRingWriter)({ mapFd: commands.fd, onDrained: () => {} });
    expect(open).toThrow(expect.objectContaining({ errno: 16 }));
    const { fd } = commands;
    commands.close();
    const other = new (native().UserRingWriter)({ mapFd: fd, onDrained: () => {} });
    expect(other.pending()).toBe(32);
    other.close();
  });

  test("opening and closing leaves no descriptor; closing the object ends waits", async () => {
    const before = bpfDescriptors();
    for (let i = 0; i < 20; i++) {
      const commands = await load();
      fill(commands);
      const wait = commands.writeAsync(command(0));
      object.close();
      await expect(wait).rejects.toMatchObject({ code: "CLOSED" });
    }
    await until("all descriptors to be closed", () => bpfDescriptors().length <= before.length);
  });
});

test("on a kernel without user ring buffers, load() says which one has them", async ({ skip }) => {
  if (gate.reason === undefined) skip("this kernel has user ring buffers");
  const opened = EventsUserRing.open();
  await expect(opened.load()).rejects.toMatchObject({
    code: "KERNEL_UNSUPPORTED",
    message: expect.stringMatching(/user_ringbuf.*6\.1/),
  });
});
