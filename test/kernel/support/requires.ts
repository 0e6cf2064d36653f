import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { features as featuresOfKernel } from "ebpf";
import * as vitest from "vitest";
import { type AttachType, MapType, ProgramType } from "../../../lib/kernel/abi.js";
import { ATTACH_TYPE_SINCE, snakeCase } from "../../../lib/kernel/since.js";
import { native } from "../../../lib/native.js";

/** What a test needs beyond bpf(2) itself. */
export interface Requirements {
  /** Smallest kernel version, for example ">=5.13". */
  readonly kernel?: `>=${number}.${number}`;
  /** For what watches or changes the whole system, which is nobody's business on a machine that others use too. */
  readonly vm?: true;
  /** The kernel's own types in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF). */
  readonly btf?: true;
  /** For what is a matter of the package or of libbpf: virtual machines have other kernels, and the same of these. */
  readonly notInVm?: true;
  /** kprobes and kretprobes (CONFIG_KPROBES). */
  readonly kprobes?: true;
  /** uprobes and uretprobes. */
  readonly uprobes?: true;
  /** Counters of the processor's own, which virtual machines rarely have. */
  readonly hardwareEvents?: true;
  /** A feature that the libbpf in use may be too old for, by the name that it has in `features().libbpf`. */
  readonly libbpf?: string;
  /** fentry, fexit and fmod_ret: programs of type tracing at functions. A system that refuses them may have tp_btf and iterators (attachType). */
  readonly tracing?: true;
  /** A cgroup v2 hierarchy in which this process may make groups. */
  readonly cgroup2?: true;
  /** Network namespaces of the test's own, made with ip(8). */
  readonly netns?: true;
  /** nf_tables in the kernel and nft(8). */
  readonly nftables?: true;
  readonly mapType?: keyof typeof MapType | readonly (keyof typeof MapType)[];
  /** A way to attach that came after the oldest kernels, or that depends on the kernel's configuration. */
  readonly attachType?: keyof typeof AttachType;
  readonly programType?: keyof typeof ProgramType | readonly (keyof typeof ProgramType)[];
}

type Body = (context: vitest.TestContext) => void | Promise<void>;

interface Gate {
  /** Why the test cannot run here; undefined when it can. */
  readonly reason: string | undefined;
  /** Vitest's `test`: skipped with the reason where a requirement is not met. */
  test(name: string, body: Body, timeout?: number): void;
  /** Vitest's `describe`, likewise. */
  describe(name: string, body: () => void): void;
}

interface Feature {
  readonly name: string;
  /** The first kernel version that has it; Debian's kernels have it from there on. None: a matter of configuration. */
  readonly since?: string;
  readonly present: () => boolean;
  readonly missing: string;
}

/**
 * Says what the tests that follow need:
 *
 *     requires({ kprobes: true, kernel: ">=5.13" }).test("sees the call", async () => { ... });
 *
 * Where it is not there the test is skipped, with a reason that names it. Not so in the project's virtual machines: a
 * Debian kernel that is new enough must have it, so its absence is a failure there, of the kernel, the machine or the probe.
 */
export function requires(wanted: Requirements): Gate {
  const unmet = [...features(wanted)].find((feature) => !met(feature));
  if (unmet === undefined) return { reason: undefined, test: vitest.test, describe: vitest.describe };
  const { reason, mustRun } = verdict(unmet);
  if (mustRun) {
    const fail = () => {
      throw new Error(reason);
    };
    return {
      reason,
      test: (name) => vitest.test(name, fail),
      describe: (name) => vitest.describe(name, () => vitest.test("has what it requires", fail)),
    };
  }
  return {
    reason,
    test: (name) => vitest.test(name, ({ skip }) => skip(reason)),
    // A suite has no place for a note; the reporter finds the reason in its name.
    describe: (name, body) => vitest.describe.skip(`${name} [skipped: ${reason}]`, body),
  };
}

/** The version of the virtual machine's kernel, by the runner; undefined on the machine itself. */
const vm = process.env["EBPF_VM"];

function met(feature: Feature): boolean {
  // A version says no with certainty: probing an old kernel for something new would only be slower.
  if (vm !== undefined && feature.since !== undefined && !atLeast(feature.since)) return false;
  return feature.present();
}

function verdict({ name, since, missing }: Feature): { reason: string; mustRun: boolean } {
  if (vm === undefined) return { reason: missing, mustRun: false };
  if (since === undefined) return { reason: missing, mustRun: false };
  if (!atLeast(since))
    return { reason: `${name} needs kernel ${since} or newer, this is ${release()}`, mustRun: false };
  return { reason: `Debian's ${release()} must have ${name} (kernel ${since}), and yet: ${missing}`, mustRun: true };
}

function atLeast(version: string): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
  const [wantedMajor = 0, wantedMinor = 0] = version.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function* features(wanted: Requirements): Generator<Feature> {
  if (wanted.vm) {
    const present = () => vm !== undefined;
    yield { name: "a virtual machine", present, missing: "concerns the whole system: runs in virtual machines only" };
  }
  if (wanted.notInVm) {
    const present = () => vm === undefined;
    yield {
      name: "the machine itself",
      present,
      missing: "no matter of the kernel: runs outside of the virtual machines",
    };
  }
  yield { name: "root", since: "0.0", present: () => process.geteuid?.() === 0, missing: "needs root" };
  if (wanted.kernel !== undefined) {
    const version = wanted.kernel.slice(2);
    yield {
      name: "the test",
      since: version,
      present: () => atLeast(version),
      missing: `needs kernel ${version} or newer, this is ${release()}`,
    };
  }
  if (wanted.btf) {
    const present = () => existsSync("/sys/kernel/btf/vmlinux");
    yield { name: "BTF", since: "5.4", present, missing: "this kernel has no /sys/kernel/btf/vmlinux" };
  }
  if (wanted.kprobes) {
    const present = () => existsSync("/sys/bus/event_source/devices/kprobe");
    yield { name: "kprobes", since: "4.17", present, missing: "this kernel has no kprobes (CONFIG_KPROBES)" };
  }
  if (wanted.uprobes) {
    const present = () => existsSync("/sys/bus/event_source/devices/uprobe");
    yield { name: "uprobes", since: "4.17", present, missing: "this kernel has no uprobes (CONFIG_UPROBES)" };
  }
  if (wanted.hardwareEvents) {
    const present = () => existsSync("/sys/bus/event_source/devices/cpu");
    yield { name: "hardware events", present, missing: "this machine counts no hardware events (no PMU)" };
  }
  if (wanted.libbpf !== undefined) {
    const { libbpf } = wanted;
    const present = () => native().libbpfFeatures.includes(libbpf);
    yield { name: libbpf, present, missing: `libbpf ${native().libbpfVersion} has no ${libbpf}` };
  }
  if (wanted.tracing)
    yield programType("tracing", "this kernel refuses programs of type tracing at functions (fentry, fexit, fmod_ret)");
  if (wanted.cgroup2) {
    const present = () => readFileSync("/proc/self/mountinfo", "utf8").includes(" - cgroup2 ");
    yield { name: "cgroup v2", since: "4.5", present, missing: "cgroup v2 is not mounted" };
  }
  if (wanted.netns) {
    const present = () => works("ip", "netns", "list") && existsSync("/proc/self/ns/net");
    yield { name: "network namespaces", since: "3.0", present, missing: "needs ip(8) and network namespaces" };
  }
  if (wanted.nftables) {
    yield {
      name: "nf_tables",
      since: "3.13",
      present: () => works("nft", "list", "tables"),
      missing: "nft(8) does not work here: no nf_tables in this kernel, or no nftables package",
    };
  }
  for (const name of [wanted.mapType ?? []].flat()) {
    const since = MAP_TYPE_SINCE[name];
    yield {
      name: `the map type ${name}`,
      ...(since === undefined ? {} : { since }),
      present: () => native().probeMapType(MapType[name]) === 1,
      missing: `this kernel has no map type ${name}`,
    };
  }
  if (wanted.attachType !== undefined) {
    const name = wanted.attachType;
    const { support, missingConfig } = featuresOfKernel().attachTypes[snakeCase(name)] ?? {};
    const without = missingConfig === undefined ? "" : `: it was built without ${missingConfig}`;
    yield {
      name: `the attach type ${snakeCase(name)}`,
      // What a kernel was built without is no matter of its version.
      ...(missingConfig === undefined ? { since: ATTACH_TYPE_SINCE[name] } : {}),
      present: () => support === "yes",
      missing: `this kernel has no attach type ${snakeCase(name)}${without}`,
    };
  }
  for (const name of [wanted.programType ?? []].flat()) {
    yield programType(name, `this kernel refuses programs of type ${name}`);
  }
}

function programType(name: keyof typeof ProgramType, missing: string): Feature {
  const since = PROGRAM_TYPE_SINCE[name];
  return {
    name: `the program type ${name}`,
    ...(since === undefined ? {} : { since }),
    present: () => native().probeProgramType(ProgramType[name]) === 1,
    missing,
  };
}

function works(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** Kernel versions that brought a type, for those younger than the oldest kernel tested on, or near it. */
const MAP_TYPE_SINCE: Partial<Record<keyof typeof MapType, string>> = {
  hash: "3.19",
  array: "3.19",
  perCpuHash: "4.6",
  perCpuArray: "4.6",
  lruHash: "4.10",
  lruPerCpuHash: "4.10",
  lpmTrie: "4.11",
  arrayOfMaps: "4.12",
  hashOfMaps: "4.12",
  queue: "4.20",
  stack: "4.20",
  stackTrace: "4.6",
  skStorage: "5.2",
  structOps: "5.6",
  ringbuf: "5.8",
  inodeStorage: "5.10",
  taskStorage: "5.11",
  bloomFilter: "5.16",
  userRingbuf: "6.1",
  cgrpStorage: "6.2",
  arena: "6.9",
};

const PROGRAM_TYPE_SINCE: Partial<Record<keyof typeof ProgramType, string>> = {
  socketFilter: "3.19",
  kprobe: "4.1",
  schedCls: "4.1",
  tracepoint: "4.7",
  xdp: "4.8",
  perfEvent: "4.9",
  cgroupSkb: "4.10",
  sockOps: "4.13",
  cgroupSockAddr: "4.17",
  rawTracepoint: "4.17",
  tracing: "5.5",
  structOps: "5.6",
  ext: "5.6",
  lsm: "5.7",
  skLookup: "5.9",
  syscall: "5.14",
  netfilter: "6.4",
};
