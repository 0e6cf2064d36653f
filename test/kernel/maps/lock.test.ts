/** BPF_F_LOCK: a value is read and written under the lock that programs take. */
import { fileURLToPath } from "node:url";
import { createMap } from "ebpf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MapsLock } from "../../fixtures/maps_lock.bpf.js";
import { fixture } from "../support/fixture.js";
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
