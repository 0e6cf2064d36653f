import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { BpfError, BpfObject, cgroup2Mount, HashMap, LruHashMap, PerCpuHashMap, VerifierError } from "ebpf";
import { build } from "ebpf/build";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Reject } from "../fixtures/reject.bpf.js";
import { Ring } from "../fixtures/ring.bpf.js";
import { Sockops } from "../fixtures/sockops.bpf.js";
import { bpfDescriptors } from "./support/descriptors.js";
import { fixture } from "./support/fixture.js";
import { Child } from "./support/run.js";

/** The error that `call` throws or rejects with. */
async function errorOf(call: () => unknown): Promise<BpfError> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  return expect.fail("nothing was thrown");
}

describe("bad input gets a clear error and leaves nothing behind", () => {
  let before: string[];
  beforeEach(() => {
    before = bpfDescriptors();
  });
  afterEach(() => {
    expect(bpfDescriptors()).toEqual(before);
  });

  test("no such file", async () => {
    const error = await errorOf(() => BpfObject.open("/nowhere/x.bpf.o"));
    expect(error).toMatchObject({ code: "NOT_FOUND", message: "open: no such file: /nowhere/x.bpf.o" });
  });

  test("a folder", async () => {
    expect(await errorOf(() => BpfObject.open("/tmp"))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("not an ELF file", async () => {
    const error = await errorOf(() => BpfObject.open(Buffer.from("#!/bin/sh\necho hello\n")));
    expect(error.code).toBe("OBJECT_INVALID");
    expect(error.message).toContain("is not an ELF file: compile it with clang -target bpf");
  });

  test("an ELF file of another machine", async () => {
    const error = await errorOf(() => BpfObject.open(process.execPath));
    expect(error.code).toBe("OBJECT_INVALID");
    expect(error.message).toContain("another machine");
  });

  test("an object truncated anywhere", async () => {
    const whole = readFileSync(fixture("ring"));
    // The start, the middle, the section headers at the end: and steps between that hit every kind of section.
    for (let length = 0; length < whole.length; length += Math.max(1, Math.floor(whole.length / 97))) {
      const error = await errorOf(() => BpfObject.open(whole.subarray(0, length)).close());
      expect(error.code, `${length} of ${whole.length} bytes: ${error.message}`).toBe("OBJECT_INVALID");
    }
  });

  test("an object without BTF", async () => {
    const error = await errorOf(() => BpfObject.load(fixture("no_btf")));
    expect(error.code).toBe("BTF_MISSING");
    expect(error.message).toContain("clang -g");
  });

  test("a program the verifier rejects: the reason and the C line come first, the whole log is attached", async () => {
    const error = await errorOf(() => Reject.load());
    expect(error).toBeInstanceOf(VerifierError);
    const rejected = error as VerifierError;
    expect(rejected.message.split("\n")[0]).toBe(rejected.reason);
    expect(rejected.reason).toMatch(/R\d.*invalid mem access|invalid access/);
    expect(rejected.sourceLine).toContain("REJECTED HERE");
    expect(rejected.log).toContain(rejected.reason);
    expect(rejected.log).toMatch(/processed \d+ insns/);
    expect(rejected.program).not.toBe("");
    // Whoever prints it has the message, and not thousands of lines.
    expect(inspect(rejected)).not.toMatch(/processed \d+ insns/);
  });

  test("what the verifier says in its own terms is explained in the user's", async () => {
    const { object } = await build({
      code: `
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        SEC("xdp") int moved(struct xdp_md *ctx) {
          asm volatile("%0 += 4" : "+r"(ctx));
          return *(volatile __u32 *)ctx;
        }
        char _license[] SEC("license") = "GPL";`,
    });
    const { message } = await errorOf(() => BpfObject.load(object));
    expect(message).toMatch(/^dereference of modified ctx ptr .*\n.*\n? *a context's members are read one at a time/);
    expect(message).toContain("BPF_CORE_READ_INTO(&to, ctx, member)");
  });

  test("a map that does not exist names the nearest", async () => {
    using object = await BpfObject.load(fixture("ring"));
    expect((await errorOf(() => object.map("recrods"))).message).toContain(
      'no map named "recrods"'.replace("map named", `map in ${fixture("ring")} named`),
    );
    expect((await errorOf(() => object.map("recrods"))).message).toContain('did you mean "records"?');
    expect((await errorOf(() => object.program("generat"))).message).toContain('did you mean "generate"?');
    expect((await errorOf(() => object.hash("records"))).message).toBe("map records is a ringbuf, not a hash map");
  });

  test("a map that is of another class than the one that is asked for", async () => {
    using object = await BpfObject.load(fixture("maps"));
    const map = object.map("recent", LruHashMap<number, bigint>);
    expect(map).toBe(object.map("recent"));
    // What it is is a hash map too.
    expect(object.map("recent", HashMap)).toBe(map);
    const refusal = async (name: string, type: unknown) =>
      (await errorOf(() => object.map(name, type as typeof HashMap))).message;
    expect(await refusal("recent", PerCpuHashMap)).toBe("map recent is a lru_hash, not a PerCpuHashMap");
    expect(await refusal("recent", "hash")).toBe("map recent is a lru_hash, not a hash");
    expect(await refusal("recnt", HashMap)).toContain('did you mean "recent"?');
    using ring = await BpfObject.load(fixture("ring"));
    expect((await errorOf(() => ring.map("records", HashMap))).message).toBe("map records is a ringbuf, not a HashMap");
    expect(map.closed).toBe(false);
  });

  test("unknown and wrong options", async () => {
    const misspelt = { logLevl: 1 } as object;
    expect((await errorOf(() => BpfObject.open(fixture("ring"), misspelt))).message).toBe(
      'open: unknown option "logLevl" (did you mean "logLevel"?)',
    );
    expect((await errorOf(() => BpfObject.open(fixture("ring"), { logLevel: 9 }))).message).toBe(
      'open: option "logLevel" must be a whole number from 0 to 7, got 9',
    );
  });

  test("variables: an unknown name, a value that does not fit", async () => {
    using opened = BpfObject.open(fixture("ring"));
    expect((await errorOf(() => (opened.rodata["frist_seq"] = 1n))).message).toContain('did you mean "first_seq"?');
    expect((await errorOf(() => (opened.rodata["per_run"] = -1))).code).toBe("VALUE_INVALID");
    expect((await errorOf(() => (opened.rodata["per_run"] = "many"))).message).toContain("expected number, got string");
  });

  test("use after close, of everything", async () => {
    const object = await Ring.load();
    const ring = object.maps.records;
    const { bss } = object;
    const program = object.programs.generate;
    object.close();
    object.close();
    for (const use of [
      () => object.maps.records,
      () => bss.attempted,
      () => program.fd,
      () => program.attach({ device: "lo" }),
      () => ring.available,
      () => object.section(".bss"),
    ]) {
      expect((await errorOf(use)).code).toBe("CLOSED");
    }
  });

  test("an opened object is not usable while or after it loads", async () => {
    const opened = Ring.open();
    const loading = opened.load();
    expect((await errorOf(() => (opened.rodata.per_run = 1))).code).toBe("INVALID_STATE");
    expect((await errorOf(() => opened.load())).code).toBe("INVALID_STATE");
    (await loading).close();
    expect((await errorOf(() => opened.maps.records.maxEntries)).code).toBe("CLOSED");
  });

  test("an opened object that is closed while it loads", async () => {
    const opened = Ring.open();
    const loading = opened.load();
    opened.close();
    expect((await errorOf(() => loading)).code).toBe("CLOSED");
    expect((await errorOf(() => opened.load())).code).toBe("CLOSED");
  });

  test("a cgroup path that is not one", async () => {
    using object = await Sockops.load();
    const program = object.programs.on_sockops;
    expect((await errorOf(() => program.attach({ cgroup: "/nowhere" }))).code).toBe("NOT_FOUND");
    const wrong = await errorOf(() => program.attach({ cgroup: "/tmp" }));
    expect(wrong.code).toBe("INVALID_ARGUMENT");
    expect(wrong.message).toContain("/tmp is not a cgroup v2 directory");
    expect((await errorOf(() => object.program("on_sockops").attach())).message).toContain(
      'say which, attach({ cgroup: "/sys/fs/cgroup/..." })',
    );
  });

  test("no privileges at all", async () => {
    const child = new Child(process.execPath, [
      fileURLToPath(new URL("children/unprivileged.mjs", import.meta.url)),
      fixture("ring"),
      cgroup2Mount() ?? "",
    ]);
    const { errors, left } = JSON.parse(await child.output()) as {
      errors: { code: string; message: string }[];
      left: string[];
    };
    // By hand, and by the programs that are ready-made.
    expect(errors).toHaveLength(3);
    for (const error of errors) {
      expect(error, error.message).toMatchObject({ code: "PERMISSION_DENIED" });
      expect(error.message).toContain("CAP_BPF");
    }
    expect(left).toEqual([]);
  });
});
