/**
 * What a kernel lacks, really asked for: where it came later the error says what is missing, since which kernel there is one, and what to use
 * instead; where it is there the same loads and attaches. Both hold a version of lib/kernel/since.ts against the kernel.
 */
import { release } from "node:os";
import { features, type LoadedObject, type Program, type SockMap, VerifierError } from "ebpf";
import { describe, expect } from "vitest";
import { kernelAtLeast } from "../../lib/kernel/version.js";
import { EventsUserRing } from "../fixtures/events_user_ring.bpf.js";
import { MapsArena } from "../fixtures/maps_arena.bpf.js";
import { MapsBloom } from "../fixtures/maps_bloom.bpf.js";
import { MapsCgrp } from "../fixtures/maps_cgrp.bpf.js";
import { MapsStorage } from "../fixtures/maps_storage.bpf.js";
import { Refused } from "../fixtures/refused.bpf.js";
import { childBinary, type FixtureName, openOnly } from "./support/attach.js";
import { TestCgroup } from "./support/cgroup.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { errorOf } from "./support/errors.js";
import { NetNamespace } from "./support/namespace.js";
import { type Requirements, requires } from "./support/requires.js";

nothingStaysOpen();

/** A loaded object with one program in the kernel, which `use` attaches. */
async function withProgram(
  file: FixtureName,
  name: string,
  use: (program: Program, object: LoadedObject) => unknown = () => undefined,
): Promise<void> {
  using object = (await openOnly(file, [name]).load()) as unknown as LoadedObject;
  try {
    await use(object.program(name), object);
  } catch (error) {
    // All or nothing: what failed to attach is not half there.
    expect(object.links).toEqual([]);
    throw error;
  }
}

/** Any object, whose programs are no matter: its maps are made. */
async function withMaps(opened: { readonly programs: object; load(): Promise<Disposable> }): Promise<void> {
  for (const program of Object.values(opened.programs) as { autoload: boolean }[]) program.autoload = false;
  using _object = await opened.load();
}

async function withRefused(program: keyof Refused["programs"]): Promise<void> {
  const opened = Refused.open();
  opened.programs[program].autoload = true;
  using _object = await opened.load();
}

interface Row {
  /** As the error names it. */
  readonly what: string;
  readonly since: `${number}.${number}`;
  readonly use: () => Promise<unknown>;
  /** What the error advises; undefined where nothing does instead. */
  readonly instead: RegExp | undefined;
  readonly needs?: Requirements;
  /** By the names of `features()`: skipped where the kernel was built without it, or gives it to nobody. */
  readonly feature: readonly ["programTypes" | "attachTypes" | "mapTypes", string] | undefined;
}

const inNamespace = async (use: (netns: string) => unknown) => {
  using namespace = new NetNamespace();
  await use(namespace.path);
};
const inCgroup = async (use: (cgroup: string) => unknown) => {
  await using cgroup = new TestCgroup();
  await use(cgroup.path);
};

const ROWS: readonly Row[] = [
  {
    what: "program type syscall",
    since: "5.14",
    use: () => withProgram("attach_sock", "add"),
    instead: /use a raw tracepoint program/,
    feature: ["programTypes", "syscall"],
  },
  {
    what: "netfilter",
    since: "6.4",
    use: () => withProgram("attach_netfilter", "on_netfilter"),
    instead: /use tc or XDP/,
    feature: ["programTypes", "netfilter"],
  },
  {
    what: "sk_skb/verdict",
    since: "5.13",
    use: () =>
      withProgram("attach_sock", "on_verdict", (program, object) =>
        program.attachSockmap(object.map("few") as SockMap),
      ),
    instead: /use section sk_skb\/stream_verdict/,
    feature: ["attachTypes", "sk_skb_verdict"],
  },
  {
    what: "lsm_cgroup",
    since: "6.0",
    use: () =>
      inCgroup((cgroup) => withProgram("attach_trace", "on_lsm_cgroup", (program) => program.attach({ cgroup }))),
    instead: /use section lsm/,
    needs: { vm: true, cgroup2: true },
    feature: ["attachTypes", "lsm_cgroup"],
  },
  {
    what: "kprobe.multi",
    since: "5.18",
    use: () =>
      withProgram("attach_section", "by_kprobe_multi", (program) => program.attachKprobeMulti(["generic_read_dir"])),
    instead: /use section kprobe/,
    needs: { vm: true },
    feature: ["attachTypes", "trace_kprobe_multi"],
  },
  {
    what: "kprobe session",
    since: "6.10",
    use: () =>
      withProgram("attach_section", "by_kprobe_session", (program) =>
        program.attachKprobeMulti(["generic_read_dir"], { at: "session" }),
      ),
    instead: /use a kprobe and a kretprobe/,
    needs: { vm: true },
    feature: ["attachTypes", "trace_kprobe_session"],
  },
  {
    what: "uprobe.multi",
    since: "6.6",
    use: () =>
      withProgram("attach_section", "by_uprobe_multi", (program) =>
        program.attachUprobeMulti(childBinary(), ["probe_add"]),
      ),
    instead: /a uprobe each/,
    needs: { uprobes: true },
    feature: ["attachTypes", "trace_uprobe_multi"],
  },
  {
    what: "uprobe session",
    since: "6.13",
    use: () =>
      withProgram("attach_section", "by_uprobe_session", (program) =>
        program.attachUprobeMulti(childBinary(), ["probe_add"], { at: "session" }),
      ),
    instead: /a uprobe and a uretprobe/,
    needs: { uprobes: true },
    feature: ["attachTypes", "trace_uprobe_session"],
  },
  {
    what: "tcx",
    since: "6.6",
    use: () =>
      inNamespace((netns) =>
        withProgram("attach_net", "on_tcx", (program) => program.attachTcx("lo", "ingress", { netns })),
      ),
    instead: /attachTc\(\)/,
    needs: { netns: true },
    feature: ["attachTypes", "tcx_ingress"],
  },
  {
    what: "cgroup_unix_connect",
    since: "6.7",
    use: () =>
      inCgroup((cgroup) => withProgram("attach_cgroup", "on_connect_unix", (program) => program.attach({ cgroup }))),
    instead: undefined,
    needs: { cgroup2: true },
    feature: ["attachTypes", "cgroup_unix_connect"],
  },
  {
    what: "map type bloom_filter",
    since: "5.16",
    use: () => withMaps(MapsBloom.open()),
    instead: undefined,
    feature: ["mapTypes", "bloom_filter"],
  },
  {
    what: "map type task_storage",
    since: "5.11",
    use: () => withMaps(MapsStorage.open()),
    instead: undefined,
    feature: ["mapTypes", "task_storage"],
  },
  {
    what: "map type user_ringbuf",
    since: "6.1",
    use: () => withMaps(EventsUserRing.open()),
    instead: undefined,
    feature: ["mapTypes", "user_ringbuf"],
  },
  {
    what: "map type cgrp_storage",
    since: "6.2",
    use: () => withMaps(MapsCgrp.open()),
    instead: undefined,
    feature: ["mapTypes", "cgrp_storage"],
  },
  {
    what: "map type arena",
    since: "6.9",
    use: () => withMaps(MapsArena.open()),
    instead: undefined,
    feature: ["mapTypes", "arena"],
  },
  {
    what: "helper #208",
    since: "6.1",
    use: () => withRefused("calls_tai"),
    instead: undefined,
    feature: undefined,
  },
  {
    what: "atomic operation",
    since: "5.12",
    use: () => withRefused("adds_and_uses"),
    instead: /read the variable before or after/,
    feature: undefined,
  },
];

describe("what came with a later kernel", () => {
  for (const { what, since, use, instead, needs = {}, feature } of ROWS) {
    requires(needs).test(what, async ({ skip }) => {
      const found = feature === undefined ? undefined : features()[feature[0]][feature[1]];
      if (kernelAtLeast(since)) {
        if (found !== undefined && found.support !== "yes")
          skip(`${what} is ${found.missingConfig ?? found.support} here`);
        await use();
        return;
      }
      const error = await errorOf(use);
      expect(error.message).toContain(what);
      expect(error.message).toContain(since);
      expect(error.message).toContain(release());
      if (instead !== undefined) expect(error.message).toMatch(instead);
      if (/^(helper|atomic)/.test(what)) expect(error).toBeInstanceOf(VerifierError);
      else expect(error).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
      // What the features say of it is the same.
      if (found !== undefined) expect(found).toMatchObject({ support: "no", since });
    });
  }
});

describe("a helper that is there", () => {
  requires({}).test("but not for this type of program", async () => {
    const error = await errorOf(() => withRefused("calls_redirect"));
    expect(error).toBeInstanceOf(VerifierError);
    expect(error.message).toContain("this kernel has helper bpf_sk_redirect_map (since 4.14)");
    expect(error.message).toContain("but not for programs of this type");
    await withRefused("calls_redirect_fitting");
  });

  requires({}).test("but not for a licence that is none of the GPL's", async () => {
    const error = await errorOf(() => withRefused("calls_gpl_only"));
    expect(error).toBeInstanceOf(VerifierError);
    expect(error.message).toMatch(/GPL/);
  });
});
