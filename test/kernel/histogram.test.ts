/** Histograms that programs count with <ebpf/hist.h>. */
import { readFileSync } from "node:fs";
import { BpfObject, histogram, histogramOf, histograms } from "ebpf";
import { build } from "ebpf/build";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Hist } from "../fixtures/hist.bpf.js";
import { Actor } from "./support/actor.js";
import { TestCgroup } from "./support/cgroup.js";
import { usableCpus } from "./support/cpu.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { fixture } from "./support/fixture.js";
import { requires } from "./support/requires.js";
import { until } from "./support/until.js";

nothingStaysOpen();

const PACKET = new Uint8Array(64);
const STEPS = { low: -100, high: 1500, step: 100 };

/** u64 of every size, and what is next to a power of two or to the end of a step. */
const value = fc.oneof(
  fc.integer({ min: 0, max: 63 }).chain((bits) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits + 1)) - 1n })),
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: -1, max: 1 }))
    .map(([bits, by]) => BigInt.asUintN(64, (1n << BigInt(bits)) + BigInt(by))),
  fc.integer({ min: -101, max: 1601 }).map((steps) => BigInt.asUintN(64, BigInt(steps))),
);
const signed = (value: bigint) => BigInt.asIntN(64, value);

requires({}).describe("histograms of <ebpf/hist.h>", () => {
  let hist: Hist;
  beforeAll(async () => {
    hist = await Hist.load();
  });
  afterAll(() => hist?.close());

  test("a program finds the slot of any value that histogramOf() finds", () => {
    fc.assert(
      fc.property(value, (value) => {
        hist.bss.value = value;
        hist.programs.slots.testRun({ data: PACKET });
        const slot = (scale?: Parameters<typeof histogramOf>[1], of = value) =>
          histogramOf([of], scale).counts.indexOf(1);
        const { log2, bits, linear } = hist.bss.slot;
        expect({ log2, bits: [...bits], linear }).toEqual({
          log2: slot(),
          bits: [0, ...[1, 2, 3, 4, 5].map((bits) => slot({ bits }))],
          linear: slot(STEPS, signed(value)),
        });
      }),
      { numRuns: 500 },
    );
  });

  test("what is counted on several CPUs is read, from maps of every form, and from a variable", async () => {
    using object = await Hist.load();
    const cpus = usableCpus().slice(0, 2);
    const values = [0n, 1n, 5n, 700n, 700n, 100_000n, 2n ** 40n, 2n ** 64n - 1n, BigInt.asUintN(64, -50n)];
    const of = { pid: 7, name: "abc" };
    object.bss.operation = of;
    for (const cpu of cpus)
      for (const value of values) {
        object.bss.value = value;
        object.programs.count_on_cpu.testRun({ cpu });
      }
    const all = cpus.flatMap(() => values);
    const { maps, rodata, bss } = object;
    const powers = histogramOf(all);
    expect(histogram(maps.powers)).toEqual(powers);
    expect(histogram(maps.entries)).toEqual(powers);
    expect(histogram(bss.variable)).toEqual(powers);
    expect(histogram(maps.eighths)).toEqual(histogramOf(all, { bits: 3 }));
    expect(histogram(maps.steps, rodata.steps_scale)).toEqual(histogramOf(all.map(signed), STEPS));
    expect(histograms(maps.by_operation)).toEqual([[of, powers]]);
    expect(histograms(maps.keyed_slots)).toEqual([[{ operation: of }, powers]]);
    expect(histograms(maps.fine_by_operation)).toEqual([[of, histogramOf(all, { bits: 5 })]]);
    expect(histograms(maps.steps_by_pid, rodata.steps_by_pid_scale)).toEqual([
      [7, histogramOf(all.map(signed), { low: 0, high: 1000, step: 10 })],
    ]);
    // Read and begun anew in one.
    expect(histograms(maps.by_operation.drain())).toEqual([[of, powers]]);
    expect(histograms(maps.by_operation)).toEqual([]);
    expect([bss.by_operation_lost, bss.fine_by_operation_lost, bss.steps_by_pid_lost]).toEqual([0, 0, 0]);
    expect(() => histogram(maps.by_operation as never)).toThrow("expected slots");
  });

  test("a key that has no room is counted as lost, and those that are there go on", async () => {
    using object = await Hist.load();
    object.bss.value = 5n;
    for (const pid of [1, 2, 3, 4, 1]) {
      object.bss.operation = { pid, name: "x" };
      object.programs.count.testRun({ data: PACKET });
    }
    const { by_operation } = object.maps;
    expect(new Map(histograms(by_operation).map(([{ pid }, { total }]) => [pid, total]))).toEqual(
      new Map([
        [1, 2],
        [2, 1],
      ]),
    );
    expect(object.bss.by_operation_lost).toBe(2);
    expect(object.bss.steps_by_pid_lost).toBe(2);
    expect(histogram(object.maps.powers).total).toBe(5);
  });

  test("steps can be set before load", async () => {
    const opened = Hist.open();
    opened.rodata.steps_scale = { low: 1000, step: 5 };
    using object = await opened.load();
    for (const value of [999n, 1000n, 1004n, 1005n, 1079n, 1080n]) {
      object.bss.value = value;
      object.programs.count.testRun({ data: PACKET });
    }
    expect(histogram(object.maps.steps, object.rodata.steps_scale).rows.filter(({ count }) => count > 0)).toEqual([
      { low: Number.NEGATIVE_INFINITY, high: 1000, count: 1 },
      { low: 1000, high: 1005, count: 2 },
      { low: 1005, high: 1010, count: 1 },
      { low: 1075, high: 1080, count: 1 },
      { low: 1080, high: Number.POSITIVE_INFINITY, count: 1 },
    ]);
  });

  test("without a skeleton, and with arrays of other things said so", async () => {
    using object = await BpfObject.load(fixture("hist"));
    expect(histogram(object.perCpuArray<{ slots: number[] }>("powers")).total).toBe(0);
    expect(() => histogram(object.perCpuArray<{ linear_slots: number[] }>("steps") as never)).toThrow("NAME_scale");
  });
});

requires({ cgroup2: true }).test("sizes of the packets that a cgroup sends, by protocol", async () => {
  await using cgroup = new TestCgroup();
  await using actor = await Actor.start(cgroup);
  const opened = Hist.open();
  using object = await opened.load();
  object.programs.on_packet.attachCgroup(cgroup.path);
  const sent = [1, 72, 73, 500, 500, 1400];
  await actor.do(`
    const socket = dgram.createSocket("udp4");
    for (const size of ${JSON.stringify(sent)})
      await new Promise((resolve, reject) =>
        socket.send(Buffer.alloc(size), 9, "127.0.0.1", (error) => (error ? reject(error) : resolve())));
    socket.close();
  `);
  const UDP = 17;
  const headers = 20 + 8;
  const found = await until("the packets", () => {
    const udp = histograms(object.maps.packet_bytes, object.rodata.packet_bytes_scale).find(
      ([key]) => key === UDP,
    )?.[1];
    return udp?.total === sent.length ? udp : undefined;
  });
  expect(found).toEqual(
    histogramOf(
      sent.map((size) => size + headers),
      { low: 0, high: 1600, step: 100 },
    ),
  );
  expect(found.text({ unit: "bytes", width: 4 }).split("\n")[0]).toBe("    [0 B, 100 B)  1 |@@  |");
});

// clang takes long where its every instruction is emulated.
requires({ notInVm: true, btf: true }).test("the recipe is a program that loads", async () => {
  const recipes = readFileSync(new URL("../../docs/recipes.md", import.meta.url), "utf8");
  const [, code] = /^## Histograms$.*?^```c$(.*?)^```$/ms.exec(recipes) ?? [];
  const whole = `#include "vmlinux.h"\n${code}\nchar _license[] SEC("license") = "GPL";`;
  using object = await BpfObject.load((await build({ code: whole })).object);
  expect(Object.keys(object.programs).sort()).toEqual(["on_enter", "on_exit"]);
});
