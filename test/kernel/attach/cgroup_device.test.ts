/** What programs of a cgroup see of devices, and what they refuse: opening one, and making one. */
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { Actor } from "../support/actor.js";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { requires } from "../support/requires.js";

const needed = requires({ cgroup2: true });
nothingStaysOpen();

/** BPF_DEVCG_ACC_* and BPF_DEVCG_DEV_CHAR of include/uapi/linux/bpf.h; a program gets both in one word. */
const [MKNOD, READ, WRITE, CHAR] = [1, 2, 4, 2];
/** Memory devices: /dev/zero and /dev/full. */
const [MEM, ZERO, FULL] = [1, 5, 7];

const seen = (minor: number, access: number) => ({
  what: 24,
  a: BigInt(MEM),
  b: BigInt(minor),
  result: BigInt((access << 16) | CHAR),
});

function refusing(access: number): Promise<Watched> {
  return Watched.load("attach_rewrite", ["to_refuse_device"], ({ rodata }) => {
    Object.assign(rodata, { major: MEM, minor: ZERO, refused_access: access });
  });
}

describe("devices of a cgroup", () => {
  needed.test("which is opened, and what for", async () => {
    await using cgroup = new TestCgroup();
    const actor = await Actor.start(cgroup);
    using watched = await refusing(WRITE);
    const came: unknown[] = [];
    const open = `
      const came = [];
      for (const [device, how] of [["zero", "r"], ["zero", "a"], ["zero", "r+"], ["full", "r+"]]) {
        try {
          fs.closeSync(fs.openSync("/dev/" + device, how));
          came.push("opened");
        } catch ({ code }) {
          came.push(code);
        }
      }
      return came;
    `;
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("to_refuse_device").attachCgroup(cgroup.path),
      cause: async () => came.push((await actor.do(open)).value),
      expected: seen(ZERO, READ),
    });
    expect(watched.seen).toMatchObject([
      seen(ZERO, READ),
      seen(ZERO, WRITE),
      seen(ZERO, READ | WRITE),
      seen(FULL, READ | WRITE),
    ]);
    const all = ["opened", "opened", "opened", "opened"];
    expect(came).toEqual([all, ["opened", "EPERM", "EPERM", "opened"], all]);
  });

  needed.test("which is made by mknod(2)", async () => {
    await using cgroup = new TestCgroup();
    using watched = await refusing(MKNOD);
    const folder = mkdtempSync(join(tmpdir(), "ebpf-test-"));
    try {
      /** Makes both, and says which are there. */
      const make = async () => {
        for (const minor of [ZERO, FULL]) {
          const path = join(folder, String(minor));
          const { code, stderr } = await cgroup.spawn("mknod", [path, "c", String(MEM), String(minor)]).finished;
          if (code !== 0) expect(stderr).toContain("Operation not permitted");
          else expect(statSync(path).rdev).toBe((MEM << 8) | minor);
        }
        const made = [ZERO, FULL].filter((minor) => existsSync(join(folder, String(minor))));
        for (const minor of made) rmSync(join(folder, String(minor)));
        return made;
      };
      const made: unknown[] = [];
      await runsOnlyWhileAttached(watched, {
        attach: () => watched.object.program("to_refuse_device").attachCgroup(cgroup.path),
        cause: async () => made.push(await make()),
        expected: seen(ZERO, MKNOD),
      });
      // What the command itself opens is not of interest. An overlay asks for itself, and for the file system that it is made of.
      const nodes = watched.seen.filter(({ result }) => result >> 16n === BigInt(MKNOD));
      for (const node of nodes) expect(node).toMatchObject(seen(Number(node.b), MKNOD));
      expect([...new Set(nodes.map(({ b }) => Number(b)))]).toEqual([ZERO, FULL]);
      expect(made).toEqual([[ZERO, FULL], [FULL], [ZERO, FULL]]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
