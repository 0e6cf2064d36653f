import { release } from "node:os";
import { type BpfError, features, kernelBtf } from "ebpf";
import { describe, expect, test } from "vitest";
import { AttachType, LinkType, MapType, ProgramType } from "../../lib/kernel/abi.js";
import { explainVerifierReason } from "../../lib/kernel/refusal.js";
import {
  ATTACH_TYPE_SINCE,
  helperSince,
  LINK_TYPE_SINCE,
  MAP_TYPE_SINCE,
  PROGRAM_TYPE_SINCE,
  snakeCase,
} from "../../lib/kernel/since.js";
import { kernelAtLeast } from "../../lib/kernel/version.js";
import { AttachMulti } from "../fixtures/attach_multi.bpf.js";
import { AttachStructOps } from "../fixtures/attach_struct_ops.bpf.js";
import { AttachTrace } from "../fixtures/attach_trace.bpf.js";
import { errorOf } from "./support/errors.js";
import { requires } from "./support/requires.js";

/** Values of an enum of the running kernel, without its limits. */
function enumValues(name: string): Map<number, string> {
  const btf = kernelBtf();
  const type = btf.type(btf.get(name, "enum"));
  if (type.kind !== "enum") throw new Error(`${name} is no enum`);
  return new Map(
    type.values.filter((value) => !/MAX|UNSPEC/.test(value.name)).map(({ name: text, value }) => [value, text]),
  );
}

const gate = requires({});
const vm = requires({ vm: true });

describe("features", () => {
  gate.test("is plain data, kept, and tells of this kernel and process", () => {
    const found = features();
    expect(features()).toBe(found);
    expect(JSON.parse(JSON.stringify(found))).toMatchObject({
      kernel: release(),
      programTypes: { socket_filter: { support: "yes", since: "3.19" } },
      mapTypes: { hash: { support: "yes", since: "3.19" } },
      process: { root: true },
    });
    expect(Object.keys(found.programTypes)).toHaveLength(Object.keys(ProgramType).length);
    expect(Object.keys(found.attachTypes)).toHaveLength(Object.keys(AttachType).length);
    expect(found.process.capabilities?.CAP_SYS_ADMIN).toBe(true);
    expect(features({ refresh: true })).toEqual({ ...found, helpers: undefined });
  });

  gate.test("helpers by program type", () => {
    const { helpers } = features({ helpers: true });
    expect(helpers?.["xdp"]).toContain("bpf_xdp_adjust_head");
    expect(helpers?.["xdp"]).not.toContain("bpf_sk_redirect_map");
    expect(helpers?.["sk_skb"]).toContain("bpf_sk_redirect_map");
  });

  /** Numbers that a kernel had before what they stand for: a link of struct_ops was the kernel's own until 6.4. */
  const EARLY: Readonly<Record<string, string>> = { structOps: "5.19" };

  /** A documented minimum that a kernel contradicts, either way, is wrong. */
  for (const [name, table, since] of [
    ["bpf_prog_type", ProgramType, PROGRAM_TYPE_SINCE],
    ["bpf_map_type", MapType, MAP_TYPE_SINCE],
    ["bpf_attach_type", AttachType, ATTACH_TYPE_SINCE],
    ["bpf_link_type", LinkType, LINK_TYPE_SINCE],
  ] as const) {
    gate.test(`the documented minimum kernels hold for enum ${name}`, () => {
      const values = enumValues(name);
      const wrong = Object.entries(table as Record<string, number>).flatMap(([key, number]) => {
        const version = (since as Record<string, string>)[key] ?? "";
        const numbered = (name === "bpf_link_type" ? EARLY[key] : undefined) ?? version;
        return values.has(number) === kernelAtLeast(numbered) ? [] : [`${snakeCase(key)}: documented since ${version}`];
      });
      expect(wrong).toEqual([]);
    });
  }

  gate.test("the documented minimum kernels hold for helpers", () => {
    const values = enumValues("bpf_func_id");
    const wrong = Array.from({ length: 211 }, (_, i) => i + 1).filter(
      (id) => values.has(id) !== kernelAtLeast(helperSince(id) ?? "99.0"),
    );
    expect(wrong.map((id) => `helper ${id}: documented since ${helperSince(id)}`)).toEqual([]);
    expect(helperSince(0)).toBeUndefined();
    expect(helperSince(212)).toBeUndefined();
  });

  vm.test("Debian's kernels have what their version has, but for what they were built without", () => {
    // Drivers and options that Debian leaves out of one or another.
    const optional = ["lirc_mode2", "netkit_primary", "netkit_peer", "trace_kprobe_multi", "trace_kprobe_session"];
    for (const table of [features().programTypes, features().attachTypes]) {
      for (const [name, { support, since, missingConfig }] of Object.entries(table)) {
        if (missingConfig !== undefined) expect(optional).toContain(name);
        const has = kernelAtLeast(since) && missingConfig === undefined;
        expect(`${name}: ${support}`).toBe(`${name}: ${has ? "yes" : "no"}`);
      }
    }
  });
});

describe("refusals are explained", () => {
  requires({ programType: "structOps" }).test("what the kernel calls ENOTSUPP, which no C library knows", async () => {
    using object = await AttachStructOps.load();
    // map_freeze() of kernel/bpf/syscall.c: a struct_ops is not frozen.
    const error = await errorOf(() => object.maps.by_map.freeze());
    expect(error).toMatchObject({ code: "KERNEL_UNSUPPORTED", errno: 524 });
    expect(error.message).toMatch(/^cannot freeze .*by_map: .*\(ENOTSUPP\)/);
  });

  test("a helper that came later, or is not for this type of program", () => {
    expect(explainVerifierReason("unknown func bpf_map_lookup_elem#1")).toContain(
      "(since 3.19), but not for programs of this type",
    );
    expect(explainVerifierReason("invalid access to packet")).toBeUndefined();
    if (!kernelAtLeast("6.2"))
      expect(explainVerifierReason("unknown func bpf_cgrp_storage_get#210")).toContain("came with kernel 6.2");
  });

  test("a program type that this kernel lacks, or does not give to anybody", async ({ skip }) => {
    const given = features().attachTypes["trace_fentry"]?.support;
    if (given === "yes") skip("this kernel takes fentry programs");
    const opened = AttachTrace.open();
    for (const program of Object.values(opened.programs)) program.autoload = program.name === "with_cookie";
    const error = await opened.load().then(
      () => undefined,
      (reason: BpfError) => reason,
    );
    expect(error?.code).toBe("PERMISSION_DENIED");
    expect(error?.message).toContain(
      "refuses all programs of type tracing for trace_fentry (with_cookie, section fentry/generic_read_dir)",
    );
    expect(error?.message).toContain("use a kprobe");
  });

  test("an attach type that came later", async ({ skip }) => {
    if (kernelAtLeast("5.18")) skip("this kernel has kprobe.multi");
    const opened = AttachMulti.open();
    for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_kprobe_multi";
    const error = await opened.load().then(
      (object) => {
        object.close();
        return undefined;
      },
      (reason: BpfError) => reason,
    );
    expect(error?.message).toMatch(/came with kernel 5\.1[58], and this is 5\.|trace_kprobe_multi.*5\.18/);
  });
});
