/** `ebpf features`: what this kernel can do, and what this user may. */
import { type Feature, type Features, features as probe } from "../features/features.js";
import { json } from "./json.js";
import { type Output, plural, type Stream, styleOf, table, wrapped } from "./output.js";

export interface FeaturesCommandOptions {
  readonly json?: boolean | undefined;
  readonly helpers?: boolean | undefined;
}

export function features(options: FeaturesCommandOptions, out: Output): void {
  const found = probe({ helpers: options.helpers });
  out.stdout.write(options.json ? json(found) : describe(found, out.stdout));
}

function describe(found: Features, stream: Stream): string {
  const { bold, dim } = styleOf(stream);
  const { process: own, mounts } = found;
  const yes = (value: boolean | undefined) => (value === undefined ? "not known" : value ? "yes" : "no");
  const capabilities = Object.entries(own.capabilities ?? {}).flatMap(([name, has]) => (has ? [name] : []));
  const { limit, counts } = own.memlock;
  const rows: [string, string][] = [
    ["libbpf", found.libbpf.version],
    ["BTF of the kernel, of modules", `${yes(found.btf.vmlinux)}, ${yes(found.btf.modules)}`],
    ["kprobes, uprobes", `${yes(found.kprobes)}, ${yes(found.uprobes)}`],
    ["ring buffer", found.ringBuffer === undefined ? "not known: refused to this process" : yes(found.ringBuffer)],
    ["JIT compiler", found.jit ?? "not known"],
    ["lockdown", found.lockdown ?? "not known"],
    ["LSM programs run", yes(found.bpfLsm)],
    ["BPF tokens", yes(found.token)],
    ["BPF without privileges", yes(found.unprivilegedBpf)],
    ["perf_event_paranoid", `${found.perfEventParanoid ?? "not known"}`],
    ["bpf file systems", mounts.bpf.join(", ") || "none mounted"],
    ["tracefs", mounts.tracefs ?? "not mounted"],
    ["cgroup v2", mounts.cgroup2 ?? "not mounted"],
    ["this process", own.root ? "root" : "not root"],
    [
      "locked memory",
      `${limit === undefined ? "not known" : limit === null ? "no limit" : `${limit} bytes`}${counts ? "" : ", which BPF does not count against"}`,
    ],
  ];
  const names = (entries: readonly (readonly [string, Feature])[]) => entries.map(([name]) => name);
  const group = (title: string, all: Readonly<Record<string, Feature>>) => {
    const by = (support: Feature["support"]) =>
      Object.entries(all).filter(([, feature]) => feature.support === support);
    const [has, refused, lacks] = [by("yes"), by("refused"), by("no")];
    const lines = [`\n${bold(title)} (${has.length} of ${Object.keys(all).length})\n`];
    if (has.length > 0) lines.push(wrapped(names(has), stream));
    if (refused.length > 0)
      lines.push(`  ${bold("refused to this process:")}
${wrapped(names(refused), stream, "    ")}`);
    if (lacks.length > 0) {
      const since = lacks.map(([name, { since, missingConfig }]) => `${name} (${missingConfig ?? since})`);
      lines.push(
        dim(`  not in this kernel, and since when there are, or the option it was built without:
${wrapped(since, stream, "    ")}`),
      );
    }
    return lines.join("");
  };
  const helpers = Object.entries(found.helpers ?? {}).map(
    ([type, list]) => `\n${bold(`Helpers of ${type}`)} (${list.length})\n${wrapped(list, stream)}`,
  );
  return [
    `${bold(`Linux ${found.kernel}`)}\n`,
    table(rows),
    `  ${bold("capabilities:")}\n${wrapped(capabilities.length > 0 ? capabilities : ["none that BPF needs"], stream, "    ")}`,
    group("Program types", found.programTypes),
    group("Map types", found.mapTypes),
    group("Attach types", found.attachTypes),
    group("Link types", found.linkTypes),
    ...helpers,
    found.helpers === undefined
      ? dim(`\nHelpers are listed with --helpers, everything with --json.\n`)
      : `\n${plural(helpers.length, "program type")} with helpers\n`,
  ].join("");
}
