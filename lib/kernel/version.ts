import { release } from "node:os";

/** A kernel version, major and minor, for example `5.15`. */
export type KernelVersion = `${number}.${number}`;

/** Compares two versions; negative, 0 or positive as `a` is older than, the same as or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split(".").map((part) => Number.parseInt(part, 10));
  const [majorB = 0, minorB = 0] = b.split(".").map((part) => Number.parseInt(part, 10));
  return majorA - majorB || minorA - minorB;
}

/** Whether the running kernel is of that version or newer. What a distribution has ported back it does not know. */
export function kernelAtLeast(version: string): boolean {
  return compareVersions(release(), version) >= 0;
}
