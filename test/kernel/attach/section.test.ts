/** What sections say enough of, attached by `object.attach()` alone. */
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadedObject } from "ebpf";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { childBinary, ProbedChild, type Seen, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { readDirectory } from "../support/read_directory.js";
import { type Requirements, requires } from "../support/requires.js";

/** As the sections of attach_section.bpf.c and attach_usdt.bpf.c name it. */
const NAME = "ebpf-test-section";

let folder: string;
let child: ProbedChild | undefined;
const { PATH } = process.env;
beforeAll(async () => {
  if (requires({ uprobes: true }).reason !== undefined) return;
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ebpf-section-")));
  copyFileSync(childBinary(), join(folder, NAME));
  process.env["PATH"] = `${folder}:${PATH ?? ""}`;
  child = await ProbedChild.start(join(folder, NAME));
});
afterAll(async () => {
  Object.assign(process.env, { PATH });
  await child?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

nothingStaysOpen();

/** The kernel's functions of the sections, called by this process: generic_read_dir() and kill(2). */
function call(): void {
  readDirectory(71);
  process.kill(process.pid, 0);
}

interface Case {
  readonly program: string;
  readonly needs: Requirements;
  readonly link: { readonly kind: string; readonly target: string };
  /** What is seen of one call. */
  readonly seen: readonly Partial<Seen>[];
}

const multi = { vm: true, attachType: "traceKprobeMulti" } as const;
const KERNEL: readonly Case[] = [
  {
    program: "by_kprobe_multi",
    needs: multi,
    link: { kind: "kprobe.multi", target: "generic_read_di?" },
    seen: [{ what: 1, b: 71n }],
  },
  {
    program: "by_kretprobe_multi",
    needs: multi,
    link: { kind: "kprobe.multi", target: "generic_read_dir" },
    seen: [{ what: 2, result: -21n }],
  },
  {
    program: "by_kprobe_session",
    needs: { vm: true, attachType: "traceKprobeSession" },
    link: { kind: "kprobe.session", target: "generic_read_dir" },
    seen: [{ what: 3 }, { what: 3 }],
  },
  {
    program: "by_ksyscall",
    needs: { vm: true, kprobes: true },
    link: { kind: "ksyscall", target: "kill" },
    seen: [{ what: 4 }],
  },
  {
    program: "by_kretsyscall",
    needs: { vm: true, kprobes: true },
    link: { kind: "kretsyscall", target: "kill" },
    seen: [{ what: 5, result: 0n }],
  },
  {
    program: "by_kprobe",
    needs: { vm: true, kprobes: true },
    link: { kind: "kprobe", target: "generic_read_dir" },
    seen: [{ what: 6, b: 71n }],
  },
];

const uprobes = { attachType: "traceUprobeMulti" } as const;
const USER: readonly Case[] = [
  {
    program: "by_uprobe",
    needs: { uprobes: true },
    link: { kind: "uprobe", target: "probe_add" },
    seen: [{ what: 7, a: 5n }],
  },
  {
    program: "by_uretprobe",
    needs: { uprobes: true },
    link: { kind: "uretprobe", target: "probe_multiply" },
    seen: [{ what: 8, result: 15n }],
  },
  {
    program: "by_uprobe_multi",
    needs: uprobes,
    link: { kind: "uprobe.multi", target: "probe_*" },
    seen: [
      { what: 9, a: 5n, b: 2n },
      { what: 9, a: 5n, b: 3n },
    ],
  },
  {
    program: "by_uretprobe_multi",
    needs: uprobes,
    link: { kind: "uprobe.multi", target: "probe_add" },
    seen: [{ what: 10, result: 7n }],
  },
  {
    program: "by_uprobe_session",
    needs: { attachType: "traceUprobeSession" },
    link: { kind: "uprobe.session", target: "probe_add" },
    seen: [{ what: 11 }, { what: 11 }],
  },
  {
    program: "by_usdt",
    // Without a process, which a section cannot name.
    needs: { uprobes: true, kernel: ">=5.15" },
    link: { kind: "usdt", target: "ebpf_test:tick" },
    seen: [{ what: 12, a: 5n, b: BigInt.asUintN(64, -5n) }],
  },
];

/** Attaches all that is loaded, which is one program; nothing more is seen when that is closed. */
async function attachAndCall({ program, link, seen }: Case, prefix: string, tgid: number, cause: () => unknown) {
  using watched = await Watched.load(program === "by_usdt" ? "attach_usdt" : "attach_section", [program], (opened) => {
    opened.rodata["only_tgid"] = tgid;
  });
  await cause();
  // The object has a program, which is not loaded, that attachUsdt() alone attaches.
  const attached = (watched.object as unknown as LoadedObject).attach();
  expect(attached).toMatchObject([{ program, kind: link.kind, target: `${prefix}${link.target}` }]);
  await cause();
  expect(await watched.settled()).toMatchObject(seen);
  attached[0]?.close();
  await cause();
  expect(watched.produced).toBe(seen.length);
}

describe("by section alone", () => {
  for (const entry of KERNEL)
    requires(entry.needs).test(entry.program, () => attachAndCall(entry, "", process.pid, call));

  for (const entry of USER) {
    requires(entry.needs).test(entry.program, async () => {
      if (child === undefined) throw new Error("uprobes, and no child");
      const running = child;
      await attachAndCall(entry, `${running.binary}:`, running.pid, () => running.call(5));
    });
  }

  requires({ uprobes: true }).test("not what is not to be attached (autoattach = false)", async () => {
    if (child === undefined) throw new Error("uprobes, and no child");
    const { pid } = child;
    using watched = await Watched.load("attach_section", ["by_uprobe", "by_uretprobe"], (opened) => {
      opened.rodata["only_tgid"] = pid;
      opened.program("by_uprobe").autoattach = false;
    });
    expect(watched.object.attach().map(({ program }) => program)).toEqual(["by_uretprobe"]);
    await child.call(6);
    expect(await watched.settled()).toMatchObject([{ what: 8, result: 18n }]);
    // On request it is.
    watched.object.program("by_uprobe").attach();
    await child.call(7);
    await watched.saw({ what: 7, a: 7n });
  });
});
