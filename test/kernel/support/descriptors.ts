import { readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, expect } from "vitest";

/** What this process holds open that is the kernel's BPF: one entry per descriptor, by what /proc calls it. */
export function bpfDescriptors(): string[] {
  const found: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (/bpf|btf|perf_event/.test(target)) found.push(target);
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return found.sort();
}

/** From here on each test of the file, or of the suite, must close what it opens. */
export function nothingStaysOpen(): void {
  let before: string[];
  beforeEach(() => {
    before = bpfDescriptors();
  });
  afterEach(() => {
    expect(bpfDescriptors()).toEqual(before);
  });
}
