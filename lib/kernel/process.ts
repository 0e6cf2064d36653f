/** What this process may do, and what the system allows anybody. */
import { readFileSync } from "node:fs";
import { geteuid } from "node:process";

/** Numbers of include/uapi/linux/capability.h, those that BPF asks for. */
const CAPABILITIES = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_SYSLOG: 34,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof CAPABILITIES;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The effective capabilities of this process, of those that BPF asks for; undefined without /proc. */
export function processCapabilities(): Readonly<Record<Capability, boolean>> | undefined {
  const hex = /^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  if (hex === undefined) return undefined;
  const bits = BigInt(`0x${hex}`);
  return Object.fromEntries(
    Object.entries(CAPABILITIES).map(([name, bit]) => [name, ((bits >> BigInt(bit)) & 1n) === 1n]),
  ) as Record<Capability, boolean>;
}

/** Which of these this process lacks: none with CAP_SYS_ADMIN, which stands for all that BPF asks for, and none where /proc does not tell. */
export function lackedCapabilities(...wanted: Capability[]): Capability[] {
  const held = processCapabilities();
  return held === undefined || held.CAP_SYS_ADMIN ? [] : wanted.filter((name) => !held[name]);
}

export function isRoot(): boolean {
  return geteuid?.() === 0;
}

/** kernel.unprivileged_bpf_disabled: 0 anybody may use some of BPF, 1 nobody without CAP_BPF until reboot, 2 nobody for now. */
export function unprivilegedBpf(): boolean | undefined {
  const value = read("/proc/sys/kernel/unprivileged_bpf_disabled");
  return value === undefined ? undefined : value === "0";
}

/** `none`, `integrity` or `confidentiality`; undefined where the kernel has no lockdown or securityfs is not mounted. */
export function lockdown(): string | undefined {
  return /\[(\w+)\]/.exec(read("/sys/kernel/security/lockdown") ?? "")?.[1];
}

/** Active security modules, such as `bpf`; undefined where securityfs is not mounted. */
export function securityModules(): readonly string[] | undefined {
  return read("/sys/kernel/security/lsm")?.split(",");
}

/** net.core.bpf_jit_enable: 0 off, 1 on, 2 on with debugging. Without the file, as in another network namespace, undefined. */
export function jit(): "off" | "on" | "debug" | undefined {
  const value = read("/proc/sys/net/core/bpf_jit_enable");
  return value === "0" ? "off" : value === "1" ? "on" : value === "2" ? "debug" : undefined;
}

export function perfEventParanoid(): number | undefined {
  const value = read("/proc/sys/kernel/perf_event_paranoid");
  return value === undefined ? undefined : Number(value);
}

/** Bytes of memory that this process may lock, which kernels before 5.11 count BPF against; Infinity for no limit. */
export function memlockLimit(): number | undefined {
  const soft = /^Max locked memory\s+(\S+)/m.exec(read("/proc/self/limits") ?? "")?.[1];
  return soft === undefined ? undefined : soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}
