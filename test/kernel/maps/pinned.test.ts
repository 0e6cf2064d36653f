import { existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfError, createMap, HashMap, openMap } from "ebpf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MapsPinned } from "../../fixtures/maps_pinned.bpf.js";
import { BpfFs } from "../support/bpffs.js";
import { fixture } from "../support/fixture.js";
import { Child } from "../support/run.js";

const PACKET = new Uint8Array(64);
const VISIT = fileURLToPath(new URL("../children/visit.mjs", import.meta.url));

let fs: BpfFs;
beforeEach(() => {
  fs = new BpfFs();
});
afterEach(() => fs[Symbol.dispose]());

/** Beside what a bpf file system has of itself: maps.debug, progs.debug. */
const pins = () => readdirSync(fs.path).filter((name) => !name.endsWith(".debug"));

const load = () => MapsPinned.load({ pinRoot: fs.path });

test("LIBBPF_PIN_BY_NAME: made by the first, used by whoever comes after, in this process and in others", async () => {
  {
    using first = await load();
    expect(first.maps.visits.get(1)).toBeUndefined();
    first.programs.visit.testRun({ data: PACKET });
    expect(first.maps.visits.get(1)).toBe(1n);
  }
  expect(pins()).toEqual(["visits"]);
  const child = new Child(process.execPath, [VISIT, fixture("maps_pinned"), fs.path]);
  expect(await child.output()).toBe("2\n");
  using again = await load();
  expect(again.maps.visits.get(1)).toBe(2n);
  using opened = openMap(join(fs.path, "visits"), HashMap<number, bigint>);
  expect(opened.info().id).toBe(again.maps.visits.info().id);
  again.programs.visit.testRun({ data: PACKET });
  expect(opened.get(1)).toBe(3n);
  unlinkSync(join(fs.path, "visits"));
  using anew = await load();
  expect(anew.maps.visits.get(1)).toBeUndefined();
  expect(opened.get(1)).toBe(3n);
});

test("pinPath goes before the name, and none turns it off", async () => {
  const opened = MapsPinned.open({ pinRoot: fs.path });
  expect(opened.maps.visits.pinPath).toBe(join(fs.path, "visits"));
  opened.maps.visits.pinPath = join(fs.path, "elsewhere");
  (await opened.load()).close();
  expect(pins()).toEqual(["elsewhere"]);
  const unpinned = MapsPinned.open({ pinRoot: fs.path });
  unpinned.maps.visits.pinPath = undefined;
  (await unpinned.load()).close();
  expect(existsSync(join(fs.path, "visits"))).toBe(false);
});

test("a map that somebody else made is read as this object declares it: type ids are those of each one's own BTF", async () => {
  using theirs = createMap({ type: "hash", key: "u32", value: "u64", maxEntries: 4 });
  theirs.set(1, 41n);
  theirs.pin(join(fs.path, "visits"));
  using object = await load();
  object.programs.visit.testRun({ data: PACKET });
  expect(object.maps.visits.get(1)).toBe(42n);
  expect(theirs.get(1)).toBe(42n);
  expect(object.maps.visits.info().id).toBe(theirs.info().id);
});

test("what is pinned there and is another map is refused, saying in what it differs", async () => {
  const path = join(fs.path, "visits");
  const refusal = async (): Promise<BpfError> => {
    const error: unknown = await load().then(
      (object) => object.close(),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  };
  {
    using larger = createMap({ type: "hash", key: "u32", value: "u64", maxEntries: 8, flags: ["no_prealloc"] });
    larger.pin(path);
  }
  const { code, message, errno } = await refusal();
  expect({ code, errno }).toEqual({ code: "INVALID_ARGUMENT", errno: 22 });
  expect(message).toContain(
    `the map pinned at ${path} cannot take the place of visits: its maxEntries is 8, not 4, its flags is no_prealloc, not none; unpin it, or set another pinPath or pinRoot`,
  );
  unlinkSync(path);
  {
    using other = createMap({ type: "array", value: "u32", maxEntries: 4 });
    other.pin(path);
  }
  expect((await refusal()).message).toContain("its type is array, not hash, its valueSize is 4, not 8;");
});

test("a pin root that is in no bpf file system is refused, saying so", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ebpf-pins-"));
  try {
    await expect(MapsPinned.load({ pinRoot: folder })).rejects.toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(`${folder}/visits is not in a bpf file system (mount -t bpf bpf /sys/fs/bpf)`),
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
