/** Members of values that are the kernel's: a lock under which a value is read and written (BPF_F_LOCK), a timer that programs start. */
import { fileURLToPath } from "node:url";
import { createMap } from "ebpf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MapsLock } from "../../fixtures/maps_lock.bpf.js";
import { MapsTimer } from "../../fixtures/maps_timer.bpf.js";
import { fixture } from "../support/fixture.js";
import { requires } from "../support/requires.js";
import { Child } from "../support/run.js";
import { until } from "../support/until.js";

const ADD = fileURLToPath(new URL("../children/add_pairs.mjs", import.meta.url));
const PACKET = new Uint8Array(64);
const free = { val: 0 };

let object: MapsLock;
beforeEach(async () => {
  object = await MapsLock.load();
});
afterEach(() => object.close());

test("what is set under the lock the program goes on from, and the lock itself stays what it is", () => {
  const { pairs } = object.maps;
  pairs.set(0, { first: 5n, second: 6n, lock: { val: 7 } }, { lock: true });
  object.programs.add.testRun({ data: PACKET, repeat: 3 });
  expect(pairs.get(0, { lock: true })).toEqual({ first: 8n, second: 9n, lock: free });
  const { by_key } = object.maps;
  by_key.setMany(
    [
      [1, { first: 1n, second: 2n, lock: { val: 7 } }],
      [2, { first: 3n, second: 4n, lock: free }],
    ],
    { lock: true },
  );
  expect(by_key.get(1, { lock: true })).toEqual({ first: 1n, second: 2n, lock: free });
  expect(new Map(by_key).get(2)).toEqual({ first: 3n, second: 4n, lock: free });
});

test("the lock may be left out of what is set, with BPF_F_LOCK and without, alone and among many", () => {
  const { pairs, by_key } = object.maps;
  pairs.set(0, { first: 5n, second: 6n }, { lock: true });
  object.programs.add.testRun({ data: PACKET, repeat: 3 });
  expect(pairs.get(0)).toEqual({ first: 8n, second: 9n, lock: free });
  pairs.set(0, { first: 1n, second: 2n });
  object.programs.add.testRun({ data: PACKET });
  expect(pairs.get(0, { lock: true })).toEqual({ first: 2n, second: 3n, lock: free });

  by_key.setMany([[1, { first: 1n, second: 2n }]], { lock: true });
  // What is there has a lock, which has to stay what it is.
  by_key.setMany([
    [1, { first: 3n, second: 4n }],
    [2, { first: 5n, second: 6n }],
  ]);
  by_key.set(2, { first: 7n, second: 8n }, { lock: true, only: "replace" });
  expect(new Map(by_key)).toEqual(
    new Map([
      [1, { first: 3n, second: 4n, lock: free }],
      [2, { first: 7n, second: 8n, lock: free }],
    ]),
  );

  // The lock alone is optional, and is checked like any other where it is given.
  expect(() => by_key.set(1, { first: 1n } as never)).toThrowError("by_key value .second: missing");
  expect(() => by_key.set(1, { first: 1n, second: 2n, lock: { val: -1 } })).toThrowError("by_key value .lock.val:");
  expect(() => by_key.set(1, { first: 1n, second: 2n, lok: free } as never)).toThrowError(
    'by_key value: no member "lok" (did you mean "lock"?)',
  );
});

requires({ kernel: ">=5.15" }).test(
  "a value with a timer reads it as zeros, is set without it, and the program's timer fires",
  async () => {
    using timed = await MapsTimer.load();
    const { jobs } = timed.maps;
    const bytes = new Uint8Array(jobs.valueSize);
    for (const number of [7, 8]) {
      // The second time there is a timer there, which goes with the old value.
      jobs.set(1, { number, fired: 0n });
      timed.programs.start.testRun({ data: PACKET });
      expect(timed.bss.result).toBe(0n);
      expect(jobs.getInto(1, bytes)).toBe(true);
      expect(bytes.subarray(8, 24)).toEqual(new Uint8Array(16));
      await until("the timer fires", () => jobs.get(1)?.fired === 1n);
      expect(jobs.get(1)).toMatchObject({ number, fired: 1n });
      expect(Object.keys(jobs.get(1) ?? {})).toEqual(["number", "timer", "fired"]);
    }
  },
);

test("no half of a change is seen while a program on another CPU makes them", async () => {
  const { pairs } = object.maps;
  const child = new Child(process.execPath, [ADD, fixture("maps_lock"), `${pairs.info().id}`]);
  try {
    let changes = 0;
    let last = 0n;
    await until("100 different values read", () => {
      if (child.process.exitCode !== null) throw new Error(`the writer ended: ${child.stderr}`);
      for (let i = 0; i < 500; i++) {
        const { first, second } = pairs.get(0, { lock: true }) as { first: bigint; second: bigint };
        expect(first).toBe(second);
        if (first !== last) changes++;
        last = first;
      }
      return changes >= 100;
    });
  } finally {
    child.process.kill("SIGKILL");
    await child.finished;
  }
});

test("a map whose values have no lock says so", () => {
  using map = createMap({ type: "hash", name: "plain", key: "u32", value: "u32", maxEntries: 4 });
  for (const use of [
    () => map.get(1, { lock: true }),
    () => map.set(1, 1, { lock: true }),
    () => map.setMany([[1, 1]], { lock: true }),
  ]) {
    expect(use).toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("the option lock is for values with a struct bpf_spin_lock"),
      }),
    );
  }
  expect(() => map.get(1, { lock: 1 as never })).toThrowError('plain.get: option "lock" must be a boolean, got 1');
});
