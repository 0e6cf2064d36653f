/**
 * Every method that attaches, given every program that it is not for, and every option misspelt. The programs are not loaded: what they are is
 * known from the object, and the method must say so before it asks the kernel for anything, so that nothing can come to be attached.
 */
import { type LoadedObject as Loaded, LoadedObject, Program } from "ebpf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FixtureName, openOnly } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { requires } from "../support/requires.js";

type Method = Extract<keyof Program, `attach${string}`>;

interface Row {
  /** Kinds of sections that the method is for; their programs are told that they are not loaded. */
  readonly kinds: readonly string[];
  /** Arguments before the options: of what is nowhere. */
  readonly args: readonly unknown[];
  /** Options that must be given. */
  readonly given?: object;
  readonly options: readonly string[];
}

const SINGLE = ["kprobe", "kretprobe", "ksyscall", "kretsyscall", "uprobe", "uretprobe", "usdt"];
const KERNEL_MULTI = ["kprobe.multi", "kretprobe.multi", "kprobe.session"];
const TC = ["tc", "tcx", "netkit"];
const ANCHORS = ["before", "after", "revision"];
const NOWHERE = "ebpf-nowhere";

/** Whatever one of the methods is called with: none of it is there. */
const ROWS: Readonly<Record<Method, Row>> = {
  attach: { kinds: [], args: [], options: ["cgroup", "device", "netns"] },
  attachKprobe: { kinds: SINGLE, args: [NOWHERE], options: ["cookie", "offset", "maxActive", "mode"] },
  attachKretprobe: { kinds: SINGLE, args: [NOWHERE], options: ["cookie", "offset", "maxActive", "mode"] },
  attachKprobeMulti: {
    kinds: [...SINGLE, ...KERNEL_MULTI],
    args: [[NOWHERE]],
    options: ["at", "cookies", "limit"],
  },
  attachKsyscall: { kinds: SINGLE, args: [NOWHERE], options: ["cookie"] },
  attachKretsyscall: { kinds: SINGLE, args: [NOWHERE], options: ["cookie"] },
  attachUprobe: {
    kinds: SINGLE,
    args: [`/${NOWHERE}`, "f"],
    options: ["cookie", "pid", "offset", "refCounterOffset", "mode"],
  },
  attachUretprobe: {
    kinds: SINGLE,
    args: [`/${NOWHERE}`, "f"],
    options: ["cookie", "pid", "offset", "refCounterOffset", "mode"],
  },
  attachUprobeMulti: {
    kinds: ["uprobe.multi", "uretprobe.multi", "uprobe.session"],
    args: [`/${NOWHERE}`, ["f"]],
    options: ["at", "cookies", "limit", "pid"],
  },
  attachUsdt: { kinds: SINGLE, args: [`/${NOWHERE}`, "provider", "probe"], options: ["cookie", "pid"] },
  attachTracepoint: { kinds: ["tracepoint"], args: ["nowhere", NOWHERE], options: ["cookie"] },
  attachRawTracepoint: { kinds: ["raw_tp"], args: [NOWHERE], options: ["cookie"] },
  attachTrace: { kinds: ["fentry", "fexit", "fmod_ret", "tp_btf"], args: [], options: ["cookie"] },
  attachFreplace: { kinds: ["freplace"], args: [{ fd: 1, name: NOWHERE }, "f"], options: [] },
  attachLsm: { kinds: ["lsm"], args: [], options: [] },
  attachIter: { kinds: ["iter"], args: [], options: ["map", "cgroup", "order", "pid", "tid"] },
  attachPerfEvent: {
    kinds: ["perf_event"],
    args: ["cpu-clock"],
    options: ["cookie", "frequency", "period", "pid", "inherit", "cgroup", "cpu"],
  },
  attachXdp: { kinds: ["xdp"], args: [NOWHERE], options: ["netns", "mode", "by", "replace"] },
  attachTc: { kinds: TC, args: ["lo", "ingress"], options: ["netns", "handle", "priority", "replace"] },
  attachTcx: { kinds: TC, args: [NOWHERE, "ingress"], options: ["netns", ...ANCHORS] },
  attachNetkit: { kinds: TC, args: [NOWHERE, "primary"], options: ["netns", ...ANCHORS] },
  attachNetfilter: {
    kinds: ["netfilter"],
    args: [],
    given: { family: "ipv4", hook: "localIn" },
    options: ["netns", "family", "hook", "priority", "defrag"],
  },
  attachCgroup: { kinds: ["cgroup", "lsm_cgroup", "sockops"], args: ["/"], options: [...ANCHORS, "mode"] },
  attachSockmap: { kinds: ["sk_msg", "sk_skb"], args: [{ fd: 1, name: NOWHERE }], options: [] },
  attachNetns: { kinds: ["sk_lookup", "flow_dissector"], args: ["/proc/self/ns/net"], options: [] },
  attachSocketFilter: { kinds: ["socket"], args: [1], options: [] },
  attachPacketSocket: { kinds: ["socket"], args: [NOWHERE], options: ["netns", "protocol"] },
  attachReuseport: { kinds: ["sk_reuseport", "socket"], args: [1], options: [] },
  attachLwt: {
    kinds: ["lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local"],
    args: ["10.0.0.0/8"],
    given: { device: NOWHERE },
    options: ["netns", "device", "via", "table", "headroom"],
  },
};

/** What a program of each kind of section is to be attached by. */
const RIGHT: Readonly<Record<string, string>> = {
  kprobe: "attachKprobe()",
  kretprobe: "attachKretprobe()",
  ksyscall: "attachKsyscall()",
  kretsyscall: "attachKretsyscall()",
  "kprobe.multi": "attachKprobeMulti()",
  "kretprobe.multi": "attachKprobeMulti()",
  "kprobe.session": "attachKprobeMulti()",
  uprobe: "attachUprobe()",
  uretprobe: "attachUretprobe()",
  "uprobe.multi": "attachUprobeMulti()",
  "uretprobe.multi": "attachUprobeMulti()",
  "uprobe.session": "attachUprobeMulti()",
  usdt: "attachUsdt()",
  tracepoint: "attachTracepoint()",
  raw_tp: "attachRawTracepoint()",
  fentry: "attachTrace()",
  fexit: "attachTrace()",
  fmod_ret: "attachTrace()",
  tp_btf: "attachTrace()",
  freplace: "attachFreplace()",
  lsm: "attachLsm()",
  iter: "attachIter()",
  perf_event: "attachPerfEvent()",
  xdp: "attachXdp()",
  tc: "attachTc() or attachTcx()",
  tcx: "attachTcx()",
  netkit: "attachNetkit()",
  netfilter: "attachNetfilter()",
  cgroup: "attachCgroup()",
  lsm_cgroup: "attachCgroup()",
  sockops: "attachCgroup()",
  sk_msg: "attachSockmap()",
  sk_skb: "attachSockmap()",
  sk_lookup: "attachNetns()",
  flow_dissector: "attachNetns()",
  socket: "attachSocketFilter() or attachPacketSocket()",
  sk_reuseport: "attachReuseport()",
  lwt_in: "attachLwt()",
  lwt_out: "attachLwt()",
  lwt_xmit: "attachLwt()",
  lwt_seg6local: "attachLwt()",
  syscall: "testRun()",
};

/** `cgroup_skb/egress` and `cgroup/connect4` -> `cgroup`. */
function kindOf(section: string): string {
  const [kind = ""] = section.split("/");
  return kind.startsWith("cgroup") ? "cgroup" : kind;
}

const FIXTURES: readonly FixtureName[] = [
  "attach_cgroup",
  "attach_ext",
  "attach_iter",
  "attach_ksyscall",
  "attach_multi",
  "attach_net",
  "attach_netfilter",
  "attach_section",
  "attach_sock",
  "attach_trace",
  "attach_usdt",
  "attach_user",
];

const objects: Loaded[] = [];
/** One program of each section. */
const programs = new Map<string, Program>();
beforeAll(async () => {
  for (const name of FIXTURES) {
    const object = (await openOnly(name, []).load()) as unknown as Loaded;
    objects.push(object);
    for (const program of Object.values(object.programs)) programs.set(program.section, program);
  }
});
afterAll(() => {
  for (const object of objects) object.close();
});

nothingStaysOpen();

const gate = requires({});

/** Calls a method by its name, as JavaScript does. */
function call(program: Program, method: string, ...args: readonly unknown[]): unknown {
  return (program[method as Method] as (...args: readonly unknown[]) => unknown).call(program, ...args);
}

test("each method that attaches has a row, and each kind of section its method", () => {
  const methods = Object.getOwnPropertyNames(Program.prototype).filter((name) => name.startsWith("attach"));
  expect(Object.keys(ROWS).toSorted()).toEqual(methods.toSorted());
  const ofObject = Object.getOwnPropertyNames(LoadedObject.prototype).filter((name) => name.startsWith("attach"));
  expect(ofObject.toSorted()).toEqual(["attach", "attachStructOps"]);
  expect(Object.keys(RIGHT).toSorted()).toEqual([...new Set([...programs.keys()].map(kindOf))].toSorted());
  for (const { kinds } of Object.values(ROWS)) for (const kind of kinds) expect(RIGHT).toHaveProperty([kind]);
});

describe("a program that the method is not for", () => {
  for (const [method, { kinds, args, given }] of Object.entries(ROWS)) {
    if (method === "attach") continue;
    gate.test(method, async () => {
      for (const [section, program] of programs) {
        const kind = kindOf(section);
        const error = await errorOf(() => call(program, method, ...args, ...(given === undefined ? [] : [given])));
        if (kinds.includes(kind)) {
          expect(error, `${section}: ${error.message}`).toMatchObject({ code: "INVALID_STATE" });
          continue;
        }
        expect(error, `${section}: ${error.message}`).toMatchObject({ code: "INVALID_ARGUMENT" });
        expect(error.message).toContain(`${program.name}.${method}: ${program.name} `);
        expect(error.message).toContain(`(section ${section})`);
        expect(error.message, section).toContain(`: use ${RIGHT[kind]}`);
      }
      expect(objects.flatMap(({ links }) => links)).toEqual([]);
    });
  }

  requires({ programType: "structOps" }).test("a program of a struct_ops, of any method", async () => {
    using object = await openOnly("attach_struct_ops", [
      "ebpf_test_init",
      "ebpf_test_ssthresh",
      "ebpf_test_undo_cwnd",
      "ebpf_test_cong_avoid",
    ]).load();
    const program = (object as unknown as Loaded).program("ebpf_test_init");
    for (const [method, { args, given }] of Object.entries(ROWS)) {
      const error = await errorOf(() => call(program, method, ...args, ...(given === undefined ? [] : [given])));
      expect(error, `${method}: ${error.message}`).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(error.message, method).toContain("object.attachStructOps");
    }
    const noMap = await errorOf(() => (object as unknown as Loaded).attachStructOps("by_mpa"));
    expect(noMap.message).toContain('did you mean "by_map"?');
    expect((object as unknown as Loaded).links).toEqual([]);
  });
});

/** One that stands where another should, as fingers do it: `cookie` -> `ocokie`. */
function misspelt(option: string): readonly string[] {
  const swapped = `${option[1]}${option[0]}${option.slice(2)}`;
  const doubled = `${option}${option.at(-1)}`;
  return [swapped, doubled].filter((word) => word !== option);
}

describe("a misspelt option", () => {
  /** A program for the method, or any where there is none. */
  const programFor = ({ kinds }: Row): Program => {
    const found = [...programs].find(([section]) => kinds.length === 0 || kinds.includes(kindOf(section)));
    if (found === undefined) throw new Error(`no program of ${kinds.join(", ")}`);
    return found[1];
  };

  for (const [method, row] of Object.entries(ROWS)) {
    if (row.options.length === 0) continue;
    gate.test(method, async () => {
      const program = programFor(row);
      const refusal = (options: object) =>
        errorOf(() => call(program, method, ...row.args, { ...row.given, ...options }));
      for (const option of row.options) {
        for (const word of misspelt(option)) {
          const error = await refusal({ [word]: 1 });
          expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
          expect(error.message).toBe(`${program.name}.${method}: unknown option "${word}" (did you mean "${option}"?)`);
        }
      }
      // These are all that there are.
      const { message } = await refusal({ "none of them": 1 });
      const told = [...(/\(there (?:is|are) (.*)\)$/.exec(message)?.[1] ?? "").matchAll(/"(\w+)"/g)].map(
        ([, name]) => name,
      );
      expect(told.toSorted()).toEqual(row.options.toSorted());
    });
  }

  gate.test("of the whole object's attach(), whatever it has to attach", async () => {
    using object = (await openOnly("attach_net", []).load()) as unknown as Loaded;
    const error = await errorOf(() => object.attach({ devcie: "lo" } as object));
    expect(error.message).toBe('attach: unknown option "devcie" (did you mean "device"?)');
  });
});
