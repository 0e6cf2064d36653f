/** What an object takes from where it is opened, and variables that a program writes while they are read. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type OpenOptions, snapshot } from "ebpf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kernelBtf } from "../../lib/btf/sources.js";
import { BtfBuilder } from "../../lib/map/btf_builder.js";
import { Globals, type GlobalsObject } from "../fixtures/globals.bpf.js";
import { fixture } from "./support/fixture.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

const PACKET = new Uint8Array(64);
const KCONFIG = 'CONFIG_EBPF_SWITCH=y\nCONFIG_EBPF_NUMBER=4711\nCONFIG_EBPF_TEXT="text"\n';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ebpf-globals-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("kconfig: what open() is given reaches the program, and is read back", async () => {
  using globals = await Globals.load({ kconfig: KCONFIG });
  globals.programs.report.testRun({ data: PACKET });
  expect(globals.bss).toMatchObject({ switched: true, number: 4711, letter: "e".charCodeAt(0) });
  const [major = 0, minor = 0] = release().split(".").map(Number);
  expect(globals.bss.version >>> 8).toBe((major << 8) + minor);
  expect(globals.section(".kconfig")).toMatchObject({
    CONFIG_EBPF_SWITCH: true,
    CONFIG_EBPF_NUMBER: 4711,
    CONFIG_EBPF_TEXT: "text",
    LINUX_KERNEL_VERSION: globals.bss.version,
  });
  expect(() => {
    (globals.section(".kconfig") as { CONFIG_EBPF_NUMBER: number }).CONFIG_EBPF_NUMBER = 1; // past the compiler
  }).toThrow(/what load\(\) finds in the kernel's configuration/);
});

test("kconfig: a variable that is set before load would be set again by libbpf, and so cannot be", () => {
  using opened = Globals.open({ kconfig: KCONFIG });
  const variables = opened.section(".kconfig");
  expect(() => {
    variables.CONFIG_EBPF_NUMBER = 1;
  }).toThrow(
    expect.objectContaining({ code: "INVALID_STATE", message: expect.stringContaining("by its option kconfig") }),
  );
});

test.each(["a.b", "my.object.of.many.words", "data.rodata", ""])(
  "name %j: sections are what they are",
  async (name) => {
    const opened = Globals.open({ kconfig: KCONFIG, name });
    opened.bss.wide = 3n;
    using globals = await opened.load();
    expect(globals.name).toBe(name);
    expect(globals.bss.wide).toBe(3n);
  },
);

test("kconfig: what does not fit is an error", async () => {
  await expect(Globals.load({ kconfig: "CONFIG_EBPF_NUMBER=99999999999\n" })).rejects.toThrow(
    expect.objectContaining({ message: expect.stringContaining("CONFIG_EBPF_NUMBER") }),
  );
});

test("btfPath: an object is relocated to the types of that file, in place of the kernel's", async () => {
  const knows = async (options: OpenOptions<GlobalsObject>) => {
    using globals = await Globals.load({ kconfig: KCONFIG, ...options });
    globals.programs.report.testRun({ data: PACKET });
    return globals.bss.knows_tasks;
  };
  expect(kernelBtf().find("task_struct", "struct")).toBeGreaterThan(0);
  expect(await knows({})).toBe(true);
  const path = join(folder, "int.btf");
  const builder = new BtfBuilder();
  builder.integer("int", 4, true);
  writeFileSync(path, builder.bytes());
  expect(await knows({ btfPath: path })).toBe(false);
  const none = join(folder, "none.btf");
  expect(() => Globals.open({ btfPath: none })).toThrow(
    expect.objectContaining({ code: "NOT_FOUND", message: `open: option "btfPath": no such file: ${none}` }),
  );
});

test("aligned variables of 4 and 8 bytes are read whole while a program writes them", async () => {
  using globals = await Globals.load({ kconfig: KCONFIG });
  const { bss } = globals;
  const script = fileURLToPath(new URL("children/flip.mjs", import.meta.url));
  const child = new Child(process.execPath, [script, String(globals.programs.flip.info().id)]);
  try {
    await until("the program to run", () => bss.wide !== 0n || child.process.exitCode !== null);
    const seen = new Set<bigint | number>();
    for (let i = 0; i < 50_000 || (seen.size < 4 && child.process.exitCode === null && i < 50_000_000); i++)
      seen.add(bss.wide).add(bss.narrow);
    expect(seen).toEqual(new Set([0n, 0, 0xffffffff, 0xffffffffffffffffn]));
  } finally {
    child.process.kill("SIGKILL");
    await child.finished;
  }
});

test("what is written to 4 and 8 aligned bytes, in structs and arrays too, a program reads whole", async () => {
  using globals = await Globals.load({ kconfig: KCONFIG });
  const { bss } = globals;
  const { nested } = bss.outside;
  const { elements } = bss;
  const script = fileURLToPath(new URL("children/flip.mjs", import.meta.url));
  const child = new Child(process.execPath, [script, String(globals.programs.look.info().id)]);
  try {
    await until("the program to have looked at many writes", () => {
      if (child.process.exitCode !== null) throw new Error(`the reader ended: ${child.stderr}`);
      for (let i = 0; i < 1000; i++) {
        const all = i % 2 === 0;
        nested.narrow = all ? 0xffffffff : 0;
        nested.wide = all ? 0xffffffffffffffffn : 0n;
        elements[2] = all ? 0xffffffffffffffffn : 0n;
      }
      // Of three looks, some at ones and some at zeros.
      return bss.looks > 20_000n && bss.ones > 100n && bss.ones < bss.looks * 3n;
    });
    expect(bss.torn).toBe(0n);
  } finally {
    child.process.kill("SIGKILL");
    await child.finished;
  }
});

test("variables are read and written without a system call on their map", async () => {
  const script = fileURLToPath(new URL("children/closed_maps.mjs", import.meta.url));
  const child = new Child(process.execPath, [script, fixture("globals")]);
  await child.finished;
  expect(child.stderr).toBe("");
  expect(JSON.parse(child.stdout)).toEqual([true, 5, 6, 7]);
});

test(".rodata.*: set before load, a constant for the program and for us after it", async () => {
  const opened = Globals.open({ kconfig: KCONFIG });
  const before = opened.section(".rodata.tuning");
  expect(before.tuning).toBe(5);
  before.tuning = 21;
  using globals = await opened.load();
  const { programs, bss } = globals;
  programs.report.testRun({ data: PACKET });
  expect(bss.tuned).toBe(42);
  const after = globals.section(".rodata.tuning") as { tuning: number }; // past the compiler
  expect(after.tuning).toBe(21);
  expect(() => {
    after.tuning = 1;
  }).toThrow(
    expect.objectContaining({ code: "INVALID_STATE", message: expect.stringContaining("constant from load() on") }),
  );
  expect(() => {
    before.tuning = 1;
  }).toThrow(expect.objectContaining({ code: "INVALID_STATE" }));
});

describe("records of an opened object that are kept", () => {
  const closedBy = (state: string) =>
    expect.objectContaining({
      name: "BpfError",
      code: "INVALID_STATE",
      message: expect.stringMatching(
        new RegExp(`^\\.bss: .*globals\\.bpf\\.o ${state}; this is for an opened object, before load\\(\\)$`),
      ),
    });

  function kept(kconfig = KCONFIG) {
    const opened = Globals.open({ kconfig });
    const { bss } = opened;
    const { outside, elements } = bss;
    const { nested } = outside;
    bss.wide = 1n;
    nested.narrow = 2;
    elements[3] = 3n;
    const uses = {
      "read a variable": () => bss.wide,
      "read a member": () => nested.narrow,
      "read an element": () => elements[3],
      "copy all": () => snapshot(bss),
      "set a variable": () => {
        bss.wide = 7n;
      },
      "set a struct": () => {
        bss.outside = { before: 7, nested: { narrow: 7, wide: 7n } };
      },
      "set a struct in a struct": () => {
        outside.nested = { narrow: 7, wide: 7n };
      },
      "set a member": () => {
        nested.narrow = 7;
      },
      "set an element": () => {
        elements[3] = 7n;
      },
    };
    const refused = (state: string) => {
      for (const [use, action] of Object.entries(uses)) expect(action, use).toThrowError(closedBy(state));
    };
    return { opened, refused };
  }

  test("are neither read nor set while it loads and once it is loaded: nothing is lost without a word", async () => {
    const { opened, refused } = kept();
    const loading = opened.load();
    refused("is loading already");
    using globals = await loading;
    refused("is loaded already");
    // What was set in time is there, and nothing that came too late.
    expect(snapshot(globals.bss)).toMatchObject({
      wide: 1n,
      outside: { before: 0, nested: { narrow: 2, wide: 0n } },
      elements: [0n, 0n, 0n, 3n],
    });
  });

  test("nor when it did not load", async () => {
    // A bool of C's is no module: libbpf finds it when it loads.
    const { opened, refused } = kept("CONFIG_EBPF_SWITCH=m\n");
    await expect(opened.load()).rejects.toThrowError(expect.objectContaining({ name: "BpfError" }));
    refused("could not be loaded");
  });

  test("nor when it is closed", () => {
    const { opened } = kept();
    const { bss } = opened;
    opened.close();
    expect(() => bss.wide).toThrowError(expect.objectContaining({ code: "CLOSED" }));
  });
});

test("testRun: a packet is a value of its C type, as it goes in and as it comes back", async () => {
  using globals = await Globals.load({ kconfig: KCONFIG });
  const { answer } = globals.programs;
  const ping = { port: 443, letters: Uint8Array.of(1, 2), number: 1000, sum: 0n };
  const { data, returnValue } = answer.testRun({ dataType: "struct ping", data: ping });
  expect(returnValue).toBe(3); // XDP_TX
  expect(data).toEqual({ port: 444, letters: Uint8Array.of(1, 1), number: 1000, sum: 1443n });
  expect(globals.bss.last).toEqual(data);
  expect(() => answer.testRun({ dataType: "struct ping", data: { ...ping, port: 65536 } })).toThrow(
    expect.objectContaining({ code: "VALUE_INVALID", message: expect.stringContaining(".port: expected") }),
  );
  expect(() => answer.testRun({ dataType: "struct pong", data: ping })).toThrow(
    expect.objectContaining({ code: "BTF_NOT_FOUND", message: expect.stringContaining('did you mean "ping"?') }),
  );
  // Without a type they are bytes.
  const bytes = answer.testRun({ data: new Uint8Array(64), dataRoom: 64 }).data as Uint8Array;
  expect([bytes.length, bytes[1]]).toEqual([64, 1]);
});
