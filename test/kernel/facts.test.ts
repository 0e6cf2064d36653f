/** What features() says, held against what the kernel says elsewhere, or does. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { type CreatableType, createMap, features, VerifierError } from "ebpf";
import { afterAll, describe, expect } from "vitest";
import { inspectObject } from "../../lib/cli/inspect.js";
import { helperName } from "../../lib/features/helpers.js";
import { probedAttachTypes } from "../../lib/kernel/probe.js";
import { snakeCase } from "../../lib/kernel/since.js";
import { native } from "../../lib/native.js";
import { Refused } from "../fixtures/refused.bpf.js";
import { type FixtureName, openOnly, Watched } from "./support/attach.js";
import { BpfFs } from "./support/bpffs.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { fixture } from "./support/fixture.js";
import { Tracefs } from "./support/mounted.js";
import { readDirectory } from "./support/read_directory.js";
import { requires } from "./support/requires.js";
import { Child, run } from "./support/run.js";

nothingStaysOpen();
// What was different while a test ran is not what later ones are to be told.
afterAll(() => void features({ refresh: true }));

const gate = requires({});
const inVm = requires({ vm: true });

/** A function that is in kernels built with the option, and in no other. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  CONFIG_BPF_LSM: "bpf_lsm_verify_prog",
  CONFIG_FPROBE: "register_fprobe",
  CONFIG_UPROBES: "uprobe_register",
  CONFIG_KPROBES: "register_kprobe",
  CONFIG_NETFILTER_BPF_LINK: "bpf_nf_link_attach",
  CONFIG_BPF_LIRC_MODE2: "lirc_prog_attach",
  CONFIG_LWTUNNEL_BPF: "bpf_build_state",
};

/** What one pass over a long text finds: where every instruction is emulated, more would take minutes. */
function found(path: string, pattern: RegExp): ReadonlySet<string> {
  return new Set(Array.from(readFileSync(path, "latin1").matchAll(pattern), ([, name = ""]) => name));
}

/** Names in the strings of the kernel's BTF, read as bytes: enumerators and structs are among them. */
let strings: ReadonlySet<string> | undefined;
function inBtf(name: string): boolean {
  strings ??= found("/sys/kernel/btf/vmlinux", /\0(BPF_[A-Z0-9_]+|bpf_map_memory)(?=\0)/g);
  return strings.has(name);
}

let symbols: ReadonlySet<string> | undefined;
function inKallsyms(name: string): boolean {
  symbols ??= found("/proc/kallsyms", new RegExp(` (${Object.values(FUNCTIONS).join("|")})$`, "gm"));
  return symbols.has(name);
}

describe("what the kernel knows", () => {
  for (const [table, prefix] of [
    ["programTypes", "BPF_PROG_TYPE_"],
    ["mapTypes", "BPF_MAP_TYPE_"],
    ["attachTypes", "BPF_"],
    ["linkTypes", "BPF_LINK_TYPE_"],
  ] as const) {
    requires({ btf: true }).test(`${table}: enumerators of the kernel's own types`, () => {
      for (const [name, { support, missingConfig }] of Object.entries(features()[table])) {
        const known = inBtf(`${prefix}${name.toUpperCase()}`);
        // A number that came before what it stands for: see test/kernel/features.test.ts.
        if (table === "linkTypes" && name === "struct_ops") continue;
        if (missingConfig !== undefined) {
          expect(support, name).toBe("no");
          const proof = FUNCTIONS[missingConfig];
          if (proof !== undefined) expect(inKallsyms(proof), `${name}: ${missingConfig}, ${proof}()`).toBe(false);
        } else expect(support !== "no", `${name}: ${support}`).toBe(known);
      }
    });
  }

  gate.test("its configuration: functions that it has, and has not", ({ skip }) => {
    const { config } = features();
    if (config === undefined) skip("this kernel's configuration is nowhere to be read");
    for (const [option, name] of Object.entries(FUNCTIONS)) {
      // Of a module that is not loaded there are no functions.
      if (config?.[option] === "m") continue;
      const old = option === "CONFIG_FPROBE" ? "5.18" : option === "CONFIG_NETFILTER_BPF_LINK" ? "6.4" : "5.7";
      if (requires({ kernel: `>=${old}` as ">=5.18" }).reason !== undefined) continue;
      expect(config?.[option] === "y", `${option}: ${name}()`).toBe(inKallsyms(name));
    }
    if (existsSync("/proc/config.gz")) {
      const text = gunzipSync(readFileSync("/proc/config.gz")).toString();
      for (const [option, value] of Object.entries(config ?? {}))
        expect(text).toMatch(new RegExp(`^${option}="?${value.replace(/[^\w]/g, "\\$&")}"?$`, "m"));
    }
  });

  gate.test("probes, BTF, tokens, the compiler", async () => {
    const found = features();
    expect(found.kernel).toBe(run("uname", "-r").trim());
    expect(found.kprobes).toBe(inKallsyms("register_kprobe"));
    expect(found.uprobes).toBe(inKallsyms("uprobe_register"));
    expect(found.btf.vmlinux).toBe(readdirSync("/sys/kernel/btf").includes("vmlinux"));
    // Modules without BTF are few; where there is a module with it, the kernel has it of modules.
    const modules = existsSync("/proc/modules") ? readFileSync("/proc/modules", "utf8").split("\n").length - 1 : 0;
    if (modules > 0) expect(found.btf.modules).toBe(readdirSync("/sys/kernel/btf").length > 1);
    expect(found.token).toBe(inBtf("BPF_TOKEN_CREATE") && native().libbpfFeatures.includes("token"));
    // Kernels that count BPF as locked memory have a struct for it; the others use the cgroup's (5.11).
    expect(found.process.memlock.counts).toBe(inBtf("bpf_map_memory"));
    using watched = await Watched.load("attach_net", ["on_xdp"]);
    const { jitedSize } = watched.object.program("on_xdp").info();
    if (found.jit !== undefined) expect(found.jit !== "off").toBe(jitedSize > 0);
    expect(found.ringBuffer).toBe(watched.object.ringBuffer("sightings").totals.produced === 0);
  });

  requires({ vm: true, kprobes: true }).test("a kprobe and a uprobe attach where features() has them", async () => {
    using watched = await Watched.load("attach_section", ["by_kprobe"], (opened) => {
      opened.rodata["only_tgid"] = process.pid;
    });
    using _link = watched.object.program("by_kprobe").attach();
    readDirectory(71);
    await watched.saw({ what: 6, b: 71n });
    expect(features()).toMatchObject({ kprobes: true, uprobes: true });
  });
});

/** For each program type a program of it, which is loaded alone. */
const PROGRAMS: Readonly<Record<string, readonly [fixture: FixtureName, program: string]>> = {
  socket_filter: ["attach_net", "on_socket"],
  kprobe: ["attach_section", "by_kprobe"],
  sched_cls: ["attach_net", "on_tc"],
  tracepoint: ["attach_user", "on_tracepoint"],
  xdp: ["attach_net", "on_xdp"],
  perf_event: ["attach_user", "on_perf_event"],
  cgroup_skb: ["attach_cgroup", "on_egress"],
  cgroup_sock: ["attach_cgroup", "on_sock_create"],
  lwt_in: ["attach_net", "on_lwt_in"],
  lwt_out: ["attach_net", "on_lwt_out"],
  lwt_xmit: ["attach_net", "on_lwt_xmit"],
  sock_ops: ["attach_cgroup", "on_sockops"],
  sk_skb: ["attach_sock", "on_parser"],
  cgroup_device: ["attach_cgroup", "on_device"],
  sk_msg: ["attach_sock", "on_msg"],
  cgroup_sock_addr: ["attach_cgroup", "on_connect4"],
  lwt_seg6local: ["attach_net", "on_seg6local"],
  sk_reuseport: ["attach_sock", "on_reuseport"],
  flow_dissector: ["attach_net", "on_flow_dissector"],
  cgroup_sysctl: ["attach_cgroup", "on_sysctl"],
  cgroup_sockopt: ["attach_cgroup", "on_getsockopt"],
  tracing: ["attach_trace", "tp_plain"],
  lsm: ["attach_trace", "on_lsm"],
  sk_lookup: ["attach_sock", "on_lookup"],
  syscall: ["attach_sock", "add"],
  netfilter: ["attach_netfilter", "on_netfilter"],
};

/** Attach types that features() tells of one by one. */
const BY_ATTACH_TYPE: Readonly<Record<string, readonly [fixture: FixtureName, program: string]>> = {
  trace_raw_tp: ["attach_trace", "tp_plain"],
  trace_fentry: ["attach_trace", "with_cookie"],
  trace_fexit: ["attach_trace", "exit_with_cookie"],
  modify_return: ["attach_trace", "on_fmod_ret"],
  trace_iter: ["attach_iter", "dump_text"],
  lsm_mac: ["attach_trace", "on_lsm"],
  lsm_cgroup: ["attach_trace", "on_lsm_cgroup"],
};

/** Types of which the tests have no program that every kernel with the type takes; their enumerators are looked for above. */
const NOT_LOADED = ["sched_act", "lirc_mode2", "raw_tracepoint", "raw_tracepoint_writable", "struct_ops", "ext"];

/** BPF_FUNC_get_attach_cookie. */
const ATTACH_COOKIE = 174;

async function loads(load: () => Promise<Disposable> | Disposable): Promise<boolean> {
  try {
    (await load())[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

describe("what the kernel takes", () => {
  gate.test("a program of each type loads, or does not", async () => {
    const { programTypes } = features();
    expect([...Object.keys(PROGRAMS), ...NOT_LOADED].toSorted()).toEqual(Object.keys(programTypes).toSorted());
    for (const [type, [file, name]] of Object.entries(PROGRAMS)) {
      const loaded = await loads(() => openOnly(file, [name]).load() as Promise<Disposable>);
      expect(`${type}: ${loaded}`).toBe(`${type}: ${programTypes[type]?.support === "yes"}`);
    }
  });

  gate.test("a program at each kind of place in the kernel loads, or does not", async () => {
    const { attachTypes } = features();
    expect(Object.keys(BY_ATTACH_TYPE).toSorted()).toEqual(probedAttachTypes().map(snakeCase).toSorted());
    for (const [type, [file, name]] of Object.entries(BY_ATTACH_TYPE)) {
      const loaded = await loads(() => openOnly(file, [name]).load() as Promise<Disposable>);
      expect(`${type}: ${loaded}`).toBe(`${type}: ${attachTypes[type]?.support === "yes"}`);
    }
  });

  gate.test("a map of each type is made, or is not", async () => {
    const { mapTypes } = features();
    using inner = createMap({ type: "array", value: "u32", maxEntries: 1 });
    const without = ["struct_ops"];
    for (const [type, { support }] of Object.entries(mapTypes)) {
      if (without.includes(type)) continue;
      const page = Number(run("getconf", "PAGESIZE"));
      const sizes = /storage/.test(type) ? {} : { maxEntries: /ringbuf/.test(type) ? page : 1 };
      const key = /hash$/.test(type) ? { key: "u32" } : type === "lpm_trie" ? { key: "ipv4" } : {};
      const plain = /^(lru_|percpu_|lru_percpu_)?(hash|array)$|lpm|queue|^stack$|bloom|storage/.test(type);
      const options = {
        type: type as CreatableType,
        ...sizes,
        ...key,
        ...(plain ? { value: "u32" } : {}),
        ...(/of_maps/.test(type) ? { inner, key: "u32" } : {}),
      };
      const made = await loads(() => createMap(options as Parameters<typeof createMap>[0]) as unknown as Disposable);
      expect(`${type}: ${made}`).toBe(`${type}: ${support === "yes"}`);
    }
  });

  gate.test("helpers: those that loaded programs call are listed, and one that is not listed is refused", async () => {
    const { helpers, programTypes } = features({ helpers: true });
    let seen = 0;
    for (const [type, [file, name]] of Object.entries(PROGRAMS)) {
      const list = helpers?.[type];
      if (list === undefined || programTypes[type]?.support !== "yes") continue;
      const called = inspectObject(fixture(file)).programs.find((program) => program.name === name)?.helpers ?? [];
      for (const helper of called) {
        // Called only where the kernel has it: attach_seen.h.
        if (helper === helperName(ATTACH_COOKIE)) continue;
        expect(list, `${type} (${name})`).toContain(helper);
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(40);
    for (const [program, type, helper] of [
      ["calls_redirect", "xdp", "bpf_sk_redirect_map"],
      ["calls_redirect_fitting", "sk_skb", "bpf_sk_redirect_map"],
      ["calls_tai", "xdp", "bpf_ktime_get_tai_ns"],
    ] as const) {
      const opened = Refused.open();
      opened.programs[program].autoload = true;
      const verdict = await opened.load().then(
        (object) => object.close(),
        (error: unknown) => error,
      );
      if (verdict !== undefined) expect(verdict).toBeInstanceOf(VerifierError);
      expect(`${program}: ${verdict === undefined}`).toBe(`${program}: ${helpers?.[type]?.includes(helper)}`);
    }
  });
});

const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** What features() says in a process that is started by setpriv(1) and prlimit(1). */
async function factsOf(...command: readonly string[]): Promise<Record<string, unknown>> {
  const script = fileURLToPath(new URL("children/facts.mjs", import.meta.url));
  const [first = "", ...rest] = [...command, process.execPath, script];
  return JSON.parse(await new Child(first, rest).output()) as Record<string, unknown>;
}

/** Capabilities that it has, by name. */
const held = (facts: Record<string, unknown>): string[] =>
  Object.entries(facts["capabilities"] as Record<string, boolean>).flatMap(([name, has]) => (has ? [name] : []));

describe("what the process may", () => {
  // Of the process, whatever the kernel; and probing takes long where it is emulated.
  requires({ notInVm: true }).test("one that may nothing, one that may little, one that may nearly all", async () => {
    const none = await factsOf("prlimit", "--memlock=65536:65536", ...NOBODY);
    expect(none).toMatchObject({
      root: false,
      memlock: { limit: 65536 },
      socketFilter: features().unprivilegedBpf ? "yes" : "refused",
    });
    expect(held(none)).toEqual([]);
    const little = await factsOf(...NOBODY, "--inh-caps=+net_admin,+syslog", "--ambient-caps=+net_admin,+syslog");
    expect(little["root"]).toBe(false);
    expect(held(little)).toEqual(["CAP_NET_ADMIN", "CAP_SYSLOG"]);
    const without = await factsOf("setpriv", "--bounding-set=-syslog,-net_raw");
    expect(without["root"]).toBe(true);
    const all = Object.entries(features().process.capabilities ?? {}).flatMap(([name, has]) => (has ? [name] : []));
    expect(held(without)).toEqual(all.filter((name) => name !== "CAP_SYSLOG" && name !== "CAP_NET_RAW"));
    expect(all).toEqual(expect.arrayContaining(["CAP_SYSLOG", "CAP_SYS_ADMIN"]));
  });

  inVm.test("what the system allows anybody: as it is set", async () => {
    const settings = ["kernel.unprivileged_bpf_disabled", "kernel.perf_event_paranoid"] as const;
    const before = settings.map((name) => run("sysctl", "-n", name).trim());
    try {
      for (const [disabled, paranoid] of [
        ["2", "3"],
        ["0", "-1"],
      ] as const) {
        run("sysctl", "-qw", `${settings[0]}=${disabled}`, `${settings[1]}=${paranoid}`);
        expect(features({ refresh: true })).toMatchObject({
          unprivilegedBpf: disabled === "0",
          perfEventParanoid: Number(paranoid),
        });
      }
      // And so it does: a socket filter is what anybody may load, if anything.
      expect(await factsOf(...NOBODY)).toMatchObject({ unprivilegedBpf: true, socketFilter: "yes" });
    } finally {
      run("sysctl", "-qw", ...settings.map((name, i) => `${name}=${before[i]}`));
    }
  });
});

describe("what is mounted", () => {
  gate.test("file systems of BPF, tracing, cgroups and security", async () => {
    using _tracefs = new Tracefs();
    using bpffs = new BpfFs();
    const { mounts, bpfLsm, lockdown } = features({ refresh: true });
    const found = (type: string) => {
      try {
        return run("findmnt", "--noheadings", "--list", "--output", "TARGET", "--types", type).trim().split("\n");
      } catch {
        return [];
      }
    };
    expect(mounts.bpf.toSorted()).toEqual(found("bpf").toSorted());
    expect(mounts.bpf).toContain(bpffs.path);
    expect(existsSync(`${mounts.tracefs}/events/syscalls`)).toBe(true);
    if (mounts.cgroup2 === undefined) expect(found("cgroup2")).toEqual([]);
    else expect(found("cgroup2")).toContain(mounts.cgroup2);
    // Where securityfs is not mounted nothing is known; here it is, for a moment, elsewhere.
    const folder = mkdtempSync(join(tmpdir(), "ebpf-securityfs-"));
    try {
      run("mount", "-t", "securityfs", "securityfs", folder);
      try {
        const told = (name: string) =>
          existsSync(`${folder}/${name}`) ? readFileSync(`${folder}/${name}`, "utf8") : "";
        const mounted = found("securityfs").includes("/sys/kernel/security");
        expect(bpfLsm).toBe(mounted ? told("lsm").split(",").includes("bpf") : undefined);
        expect(lockdown).toBe(mounted ? /\[(.*)\]/.exec(told("lockdown"))?.[1] : undefined);
      } finally {
        run("umount", folder);
      }
    } catch (error) {
      // A kernel without security modules has no such file system.
      if (!/unknown filesystem|No such device/.test(String(error))) throw error;
      expect({ bpfLsm, lockdown }).toEqual({ bpfLsm: undefined, lockdown: undefined });
    } finally {
      rmdirSync(folder);
    }
  });
});
