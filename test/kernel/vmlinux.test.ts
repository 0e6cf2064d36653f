/** `ebpf vmlinux` of this kernel, against what bpftool writes. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect } from "vitest";
import { KERNEL_BTF } from "../../lib/build/vmlinux.js";
import { requires } from "./support/requires.js";

const COMMAND = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

function output(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (error !== undefined) throw error;
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** Where two texts differ first: a diff of 130,000 lines says nothing to anybody. */
function difference(ours: string, theirs: string): string | undefined {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  const at = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => i).find((i) => a[i] !== b[i]);
  return at === undefined
    ? undefined
    : `line ${at + 1}: ours ${JSON.stringify(a[at])}, bpftool's ${JSON.stringify(b[at])}`;
}

const { describe, test } = requires({ btf: true });

describe("vmlinux.h", () => {
  let theirs: string;
  beforeAll(() => {
    // Debian's /usr/sbin is not on every PATH.
    expect(output("/usr/sbin/bpftool", ["version"])).toContain("using libbpf v1.1");
    theirs = output("/usr/sbin/bpftool", ["btf", "dump", "file", KERNEL_BTF, "format", "c"]);
    expect(theirs).toContain("\nstruct task_struct {\n");
  });

  test("is bpftool's to the byte, but for the size of enums that are not an int wide: its libbpf 1.1 does not say it", () => {
    const ours = output(process.execPath, [COMMAND, "vmlinux"]);
    expect(
      difference(ours.replaceAll(/\n} __attribute__\(\(mode\((?:byte|word)\)\)\);/g, "\n};"), theirs),
    ).toBeUndefined();
  });
});
