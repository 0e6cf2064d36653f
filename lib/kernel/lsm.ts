/** The security modules that the kernel was started with. */
import { readFileSync } from "node:fs";
import { BpfError } from "../errors.js";

const LIST = "/sys/kernel/security/lsm";

/** Their names in order; undefined where securityfs is not mounted, so that there is no telling. */
export function activeSecurityModules(): string[] | undefined {
  try {
    return readFileSync(LIST, "utf8").trim().split(",");
  } catch {
    return undefined;
  }
}

/**
 * Inode storage lies in a part of the inode that only the BPF LSM has set aside. A kernel that has it compiled in but was not started
 * with it writes into what belongs to other modules (include/linux/bpf_lsm.h: bpf_inode), and crashes sooner or later.
 * @throws BpfError KERNEL_UNSUPPORTED
 */
export function mustHaveBpfLsm(operation: string): void {
  const active = activeSecurityModules();
  if (active?.includes("bpf")) return;
  const reason =
    active === undefined
      ? `whether it does cannot be seen: mount securityfs (mount -t securityfs securityfs /sys/kernel/security)`
      : `this one runs ${active.join(", ")}: add bpf to the lsm= of its command line`;
  throw new BpfError({
    code: "KERNEL_UNSUPPORTED",
    message: `${operation}: inode storage is safe only where the BPF security module runs (kernels without it overwrite memory that is not theirs), and ${reason}`,
  });
}
