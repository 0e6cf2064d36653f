import { CpuMap, DevMap, DevMapHash } from "ebpf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MapsRedirect } from "../../fixtures/maps_redirect.bpf.js";

const XDP_DROP = 1;
const XDP_REDIRECT = 4;
/** The loopback device, which every network namespace has. */
const LOOPBACK = 1;

let object: MapsRedirect;
beforeEach(async () => {
  object = await MapsRedirect.load();
});
afterEach(() => object?.close());

/** What the program says of a slot: XDP_REDIRECT when the kernel found something there. */
function goes(program: "to_device" | "to_device_by_id" | "to_cpu", slot: number): number {
  object.bss.slot = slot;
  return object.programs[program].testRun({ data: new Uint8Array(64) }).returnValue;
}

test("devmap: a program redirects to the device that we put there", () => {
  const devices = object.maps.devices;
  expect(devices).toBeInstanceOf(DevMap);
  expect(goes("to_device", 2)).toBe(XDP_DROP);
  devices.set(2, "lo");
  expect(goes("to_device", 2)).toBe(XDP_REDIRECT);
  expect(goes("to_device", 1)).toBe(XDP_DROP);
  expect(devices.get(2)).toEqual({ ifindex: LOOPBACK, programId: undefined });
  expect(devices.get(1)).toBeUndefined();
  expect([...devices]).toEqual([[2, { ifindex: LOOPBACK, programId: undefined }]]);
  expect(devices.delete(2)).toBe(true);
  expect(goes("to_device", 2)).toBe(XDP_DROP);
  expect(() => devices.set(0, "nosuchdevice")).toThrowError(
    expect.objectContaining({
      code: "NOT_FOUND",
      message: 'devices.set: there is no device named "nosuchdevice" in this network namespace',
    }),
  );
  expect(() => devices.set(0, 0x7ffffff0)).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("no such device") }),
  );
  expect(() => devices.set(0, "../lo")).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => devices.set(4, "lo")).toThrowError(/there are 4, from 0 to 3/);
  expect(() => devices.set(0, "lo", { program: object.programs.on_device })).toThrowError(/have no room for a program/);
});

test("devmap_hash: by any number, with a program of its own", () => {
  const devices = object.maps.devices_by_id;
  expect(devices).toBeInstanceOf(DevMapHash);
  devices.set(0xfffffff0, LOOPBACK, { program: object.programs.on_device }).set(7, "lo");
  expect(goes("to_device_by_id", 0xfffffff0)).toBe(XDP_REDIRECT);
  expect(goes("to_device_by_id", 7)).toBe(XDP_REDIRECT);
  expect(goes("to_device_by_id", 8)).toBe(XDP_DROP);
  expect(devices.get(7)).toEqual({ ifindex: LOOPBACK, programId: undefined });
  expect(devices.get(0xfffffff0)).toEqual({ ifindex: LOOPBACK, programId: expect.any(Number) });
  expect([...devices].map(([id]) => id).sort()).toEqual([7, 0xfffffff0].sort());
  for (let id = 100; id < 102; id++) devices.set(id, "lo");
  expect(() => devices.set(200, "lo")).toThrowError(expect.objectContaining({ code: "FULL" }));
  // A program for another kind of map is refused.
  expect(() => devices.set(7, "lo", { program: object.programs.on_cpu })).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
  devices.clear();
  expect([...devices]).toEqual([]);
  expect(goes("to_device_by_id", 7)).toBe(XDP_DROP);
});

test("cpumap: a program redirects to the CPU that we gave a queue", () => {
  const cpus = object.maps.cpus;
  expect(cpus).toBeInstanceOf(CpuMap);
  expect(goes("to_cpu", 0)).toBe(XDP_DROP);
  cpus.set(0, 192, { program: object.programs.on_cpu });
  expect(goes("to_cpu", 0)).toBe(XDP_REDIRECT);
  expect(cpus.get(0)).toEqual({ queueSize: 192, programId: expect.any(Number) });
  cpus.set(0, 64);
  expect([...cpus]).toEqual([[0, { queueSize: 64, programId: undefined }]]);
  expect(cpus.delete(0)).toBe(true);
  expect(goes("to_cpu", 0)).toBe(XDP_DROP);
  expect(() => cpus.set(0, 0)).toThrowError("cpus.set: queue size must be a whole number from 1 to 16384, got 0");
  expect(() => cpus.set(0, 64, { programm: 5 } as never)).toThrowError(
    'cpus.set: unknown option "programm" (did you mean "program"?)',
  );
  cpus.clear();
});
