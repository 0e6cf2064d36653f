/** Holds docs/links.md against the kernel: each kind is attached, and pinned, updated, detached, and left behind. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { listAttachments, listPrograms } from "ebpf";
import { describe, expect, test } from "vitest";
import { kernelAtLeast } from "../../lib/kernel/version.js";
import { AttachStructOpsLink } from "../fixtures/attach_struct_ops_link.bpf.js";
import { attachKind, KINDS } from "./children/link_kinds.mjs";
import { openOnly } from "./support/attach.js";
import { BpfFs } from "./support/bpffs.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { NEEDS, Places } from "./support/link_kinds.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

nothingStaysOpen();

interface Row {
  readonly kind: string;
  readonly linkSince: string;
  readonly left: string;
  readonly update: string;
  readonly detach: string;
}

const ROWS: readonly Row[] = readFileSync(fileURLToPath(new URL("../../docs/links.md", import.meta.url)), "utf8")
  .split("\n")
  .filter((line) => /^\| (?!kind|---)/.test(line))
  .map((line) => {
    const [, kind = "", , linkSince = "", left = "", update = "", detach = ""] = line.split("|").map((s) => s.trim());
    return { kind, linkSince, left, update, detach };
  });

/** A cell that says since when: whether it holds on this kernel. */
function holds(cell: string): boolean {
  return cell === "yes" || (cell !== "no" && kernelAtLeast(cell.replace(/,.*$/, "")));
}

function succeeds(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

test("docs/links.md has a row for each kind", () => {
  expect(ROWS.map(({ kind }) => kind)).toEqual(Object.keys(KINDS));
  expect(Object.keys(NEEDS)).toEqual(Object.keys(KINDS));
});

describe("pinned, updated and detached, as docs/links.md has it", () => {
  for (const { kind, linkSince, update, detach } of ROWS) {
    requires({ netns: true, cgroup2: true, ...NEEDS[kind] }).test(kind, async () => {
      await using places = new Places();
      using bpffs = new BpfFs();
      using target = kind === "freplace" ? await openOnly("attach_trace", ["target"]).load() : undefined;
      const place = target === undefined ? places.place : { ...places.place, target: target.program("target") };
      using structOps = kind.includes(".struct_ops.link") ? await AttachStructOpsLink.load() : undefined;
      const { object, program, link } = await attachKind(kind, place);
      using _object = object;
      const pinned = succeeds(() => link.pin(`${bpffs.path}/link`));
      if (pinned) link.unpin();
      expect({
        pin: pinned,
        info: succeeds(() => link.info()),
        update: succeeds(() => link.update(structOps?.maps.by_link ?? program)),
        detach: succeeds(() => link.detach()),
      }).toEqual({
        pin: holds(linkSince),
        info: holds(linkSince) && kernelAtLeast("5.8"),
        update: holds(update),
        detach: holds(detach),
      });
    });
  }
});

describe("left behind, as docs/links.md has it", () => {
  const script = fileURLToPath(new URL("children/leave_kinds.mjs", import.meta.url));
  const unmet = ROWS.map(({ kind }) => [kind, requires({ ...NEEDS[kind] }).reason] as const);
  const kinds = unmet.filter(([, reason]) => reason === undefined).map(([kind]) => kind);
  for (const [kind, reason] of unmet)
    if (reason !== undefined) test(`${kind}, by a killed process`, ({ skip }) => skip(reason));

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    requires({ netns: true, cgroup2: true }).test(`by a process that ends by ${signal}`, async () => {
      await using places = new Places();
      const before = places.found;
      const child = new Child(process.execPath, [script, JSON.stringify(places.place), ...kinds]);
      await until("the child to have attached", () => child.stdout.includes("\n") || child.process.exitCode !== null);
      expect(child.stderr).toBe("");
      const ids = JSON.parse(child.stdout) as Record<string, number>;
      expect(Object.keys(ids)).toEqual(kinds);
      const there = () => {
        const programs = new Set(listPrograms().map(({ id }) => id));
        return Object.keys(ids).filter((kind) => programs.has(ids[kind] as number));
      };
      expect(there()).toEqual(kinds);
      child.process.kill(signal);
      expect((await child.finished).signal).toBe(signal);
      const stays = ROWS.filter(({ kind, left }) => kinds.includes(kind) && !left.startsWith("nothing"));
      const attached = stays.filter(({ left }) => !left.includes("runs nothing")).map(({ kind }) => kind);
      const expected = signal === "SIGKILL" ? { programs: attached, found: stays.length } : { programs: [], found: 0 };
      const now = () => ({ programs: there(), found: places.found.length - before.length });
      // The kernel frees programs some time after the last that held them.
      await until("the kernel to free what nobody holds", () => there().length <= expected.programs.length);
      expect(now()).toEqual(expected);
      for (const left of listAttachments({ netns: places.place.netns, cgroup: places.place.cgroup }))
        if (!before.includes(`${left.kind} ${left.target}`)) left.remove();
      await until("what was left to go", () => there().length === 0);
      expect(places.found).toEqual(before);
    });
  }
});
