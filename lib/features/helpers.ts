import { kernelBtf } from "../btf/sources.js";
import { ProgramType } from "../kernel/abi.js";
import { HELPER_COUNT, snakeCase } from "../kernel/since.js";
import { native } from "../native.js";

let names: ReadonlyMap<number, string> | undefined;

/** Names of helpers by number, as the kernel's BTF has them; without it, `helper 130`. */
export function helperName(helper: number): string {
  names ??= readNames();
  return names.get(helper) ?? `helper ${helper}`;
}

function readNames(): ReadonlyMap<number, string> {
  try {
    const btf = kernelBtf();
    const id = btf.find("bpf_func_id", "enum");
    const type = id === undefined ? undefined : btf.type(id);
    if (type?.kind !== "enum") return new Map();
    return new Map(type.values.map(({ name, value }) => [value, name.replace(/^BPF_FUNC_/, "bpf_")]));
  } catch {
    return new Map();
  }
}

/** Helpers that programs of each type may call. A type whose programs cannot be probed alone (tracing, ext, lsm, struct_ops) is left out. */
export function helpersOf(
  programTypes: Readonly<Record<string, { readonly support: string }>>,
): Record<string, string[]> {
  const addon = native();
  const found: Record<string, string[]> = {};
  for (const [key, type] of Object.entries(ProgramType)) {
    const name = snakeCase(key);
    if (programTypes[name]?.support !== "yes" || addon.probeHelper(type, 1) < 0) continue;
    found[name] = [];
    for (let helper = 1; helper <= HELPER_COUNT; helper++) {
      if (addon.probeHelper(type, helper) === 1) found[name].push(helperName(helper));
    }
  }
  return found;
}
