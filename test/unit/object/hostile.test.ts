/** Objects that somebody else made: what is in them may be wrong in any way, and the worst that may come of it is an error. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BpfError, BpfObject } from "ebpf";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../lib/btf/btf.js";
import type { BtfKind } from "../../../lib/btf/types.js";
import { native } from "../../../lib/native.js";

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}.bpf.o`, import.meta.url));
const script = (name: string) => fileURLToPath(new URL(`children/${name}.mjs`, import.meta.url));

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** The last that it wrote there. */
  readonly stderr: string;
}

/** In a process of its own, for it may crash, and may not return. */
function inChild(child: string, args: readonly string[], milliseconds: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [script(child), ...args], { timeout: milliseconds, killSignal: "SIGKILL" });
    let [stdout, stderr] = ["", ""];
    running.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    running.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4000);
    });
    running.once("error", reject);
    running.once("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

describe("words of .BTF changed at random", () => {
  test.each([
    ["globals", 7],
    ["maps", 7],
  ])("%s, seed %i", { timeout: 120_000 }, async (name, seed) => {
    expect(existsSync(fileURLToPath(new URL("../../../dist/index.js", import.meta.url)))).toBe(true);
    const { status, signal, stdout, stderr } = await inChild("hostile", [fixture(name), String(seed), "250"], 100_000);
    expect({ status, signal }, after(stderr)).toEqual({ status: 0, signal: null });
    const counts = JSON.parse(stdout) as Record<string, number>;
    // It did something: neither is all refused, nor nothing.
    expect(counts["open: ok"]).toBeGreaterThan(20);
    expect(counts["open: BTF_INVALID"]).toBeGreaterThan(50);
    expect(counts["header: ok"]).toBe(counts["open: ok"]);
  });
});

describe("headers, sections, words within them and lengths changed at random", () => {
  // Data and externs; maps, rings and constants; an arena; CO-RE.
  test.each([
    ["globals", 4],
    ["skeleton", 4],
    ["maps_arena", 6],
    ["variants", 3],
  ])(
    "%s, seed %i: opened, read, inspected, made a skeleton and a header of",
    { timeout: 120_000 },
    async (name, seed) => {
      const { status, signal, stdout, stderr } = await inChild("mutated", [String(seed), "80", fixture(name)], 100_000);
      expect({ status, signal }, after(stderr)).toEqual({ status: 0, signal: null });
      const counts = JSON.parse(stdout) as Record<string, number>;
      const sum = (prefix: string) =>
        Object.entries(counts).reduce((all, [what, count]) => all + (what.startsWith(prefix) ? count : 0), 0);
      for (const what of ["open: ", "raw: ", "header: ", "gen: "]) expect(sum(what), what).toBe(80);
      expect(sum("inspect: ")).toBe(160);
      // It did something: neither is all refused, nor nothing.
      for (const what of ["open: ok", "raw: ok", "header: ok", "inspect: 0", "gen: 0"])
        expect(counts[what], what).toBeGreaterThan(10);
      for (const what of ["open: OBJECT_INVALID", "inspect: 1", "gen: 1"])
        expect(counts[what], what).toBeGreaterThan(10);
      // What a skeleton is made of was opened, and what could not be opened has none.
      expect(counts["gen: 0"]).toBe(counts["open: ok"]);
    },
  );
});

/** The changes that it was at, and what it said of them. */
function after(stderr: string): string {
  return `after ${stderr.trim().split("\n").slice(-25).join("\n")}`;
}

/** Words of a record beyond its three, and for each element in it. */
const FIXED: Partial<Record<BtfKind, number>> = { int: 1, array: 3, var: 1, decl_tag: 1 };
const PER_ELEMENT: Partial<Record<BtfKind, number>> = {
  struct: 3,
  union: 3,
  enum: 2,
  enum64: 3,
  func_proto: 2,
  datasec: 3,
};

/** A fixture in whose .BTF words of types are set, each by its index in the type's record. */
function changed(name: string, change: (btf: Btf, set: (id: number, word: number, value: number) => void) => void) {
  const object = Buffer.from(readFileSync(fixture(name)));
  const section = native().readSection(object, ".BTF") as Uint8Array;
  const btf = Btf.parse(section);
  let at = object.indexOf(section) + 24;
  const records = new Map<number, number>();
  for (const { id, kind } of btf.types()) {
    records.set(id, at);
    const elements = object.readUInt32LE(at + 4) & 0xffff;
    at += 4 * (3 + (FIXED[kind] ?? 0) + (PER_ELEMENT[kind] ?? 0) * elements);
  }
  change(btf, (id, word, value) => object.writeUInt32LE(value, (records.get(id) as number) + 4 * word));
  return object;
}

function errorOf(action: () => unknown): BpfError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  return expect.fail("nothing was thrown");
}

describe("what libbpf would not survive", () => {
  test("a map whose definition is a typedef of itself", () => {
    const object = changed("maps", (btf, set) => {
      const own = btf.get("__be16", "typedef");
      set(own, 2, own);
      set(btf.get("flows", "var"), 2, own);
    });
    expect(errorOf(() => BpfObject.open(object))).toMatchObject({
      code: "BTF_INVALID",
      message: expect.stringMatching(
        /^\.BTF of object in memory is not valid BTF: type \d+ \(typedef\) refers to itself$/,
      ),
    });
  });

  test("an int of 2 GiB", () => {
    const object = changed("globals", (btf, set) => set(btf.get("int", "int"), 2, 0x80000004));
    expect(errorOf(() => BpfObject.open(object)).message).toMatch(/\(int\) has a size of 2147483652 bytes$/);
  });

  test("a struct with a function in it", () => {
    const object = changed("globals", (btf, set) => {
      const report = btf.type(btf.get("report", "func"));
      set(btf.get("__u32", "typedef"), 2, report.kind === "func" ? report.type : 0);
    });
    expect(errorOf(() => BpfObject.open(object)).message).toMatch(
      /\(struct\) has member 0 of type \d+, which has no size$/,
    );
  });
});

describe("what libbpf takes, and is wrong all the same", () => {
  test("a map of a type that there cannot be", () => {
    const object = changed("maps", (btf, set) => {
      const flows = btf.type(btf.get("flows", "var"));
      const definition = btf.type(flows.kind === "var" ? flows.type : 0);
      const member = definition.kind === "struct" ? definition.members.find(({ name }) => name === "type") : undefined;
      // __uint(type, ...): a pointer to an array that long.
      const pointer = btf.type(member?.type ?? 0);
      set(pointer.kind === "ptr" ? pointer.type : 0, 5, 0x80000006);
    });
    using opened = BpfObject.open(object);
    expect(opened.map("flows").type).toBe("type 2147483654");
  });

  test("a variable outside of its section", () => {
    const object = changed("globals", (btf, set) => {
      const bss = btf.get(".bss", "datasec");
      set(bss, 2, 4096);
      set(bss, 4, 4000);
    });
    expect(errorOf(() => BpfObject.open(object))).toMatchObject({
      code: "BTF_INVALID",
      message: expect.stringMatching(
        /^object in memory: BTF has variable version from byte 4000 to 4004 of \.bss, which has \d+$/,
      ),
    });
  });

  test("BTF cut short is not called missing", () => {
    const object = changed("maps", () => {});
    const section = native().readSection(object, ".BTF") as Uint8Array;
    object.writeUInt32LE(section.byteLength, object.indexOf(section) + 12);
    expect(errorOf(() => BpfObject.open(object))).toMatchObject({
      code: "BTF_INVALID",
      message: expect.stringMatching(/^\.BTF of object in memory is not valid BTF: the type section .* ends past/),
    });
  });
});
