import { mkdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BpfError, cgroupId, listAttachments } from "ebpf";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { Actor } from "../support/actor.js";
import { childBinary, runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { CGROUP_KINDS, TCP4 } from "../support/cgroup_kinds.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { Dialogue } from "../support/dialogue.js";
import { errorOf } from "../support/errors.js";
import { requires } from "../support/requires.js";

const SOCK_DGRAM = 2n;

let cgroup: TestCgroup;
let actor: Actor;
beforeAll(async () => {
  if (needed.reason !== undefined) return;
  cgroup = new TestCgroup();
  actor = await Actor.start(cgroup);
});
afterAll(async () => {
  await cgroup?.close();
});

nothingStaysOpen();

const needed = requires({ cgroup2: true });

describe("attach type", () => {
  for (const { name, program, what, action, expected = {}, needs = {} } of CGROUP_KINDS) {
    requires({ cgroup2: true, ...needs }).test(name, async () => {
      using watched = await Watched.load("attach_cgroup", [program]);
      const errors: (string | undefined)[] = [];
      const link = await runsOnlyWhileAttached(
        watched,
        {
          attach: () => watched.object.program(program).attach({ cgroup: cgroup.path }),
          cause: async () => errors.push((await actor.do(action)).error),
          expected: { what, ...expected },
        },
        (attached) => {
          if (requires({ kernel: ">=5.8" }).reason === undefined)
            expect(attached.info()).toMatchObject({ type: "cgroup", cgroupId: cgroup.id, attachType: name });
        },
      );
      // It let everything pass.
      expect(errors).toEqual([undefined, undefined, undefined]);
      expect(link).toMatchObject({ kind: "cgroup", target: cgroup.path });
    });
  }

  for (const [name, program, what] of [
    ["cgroup_unix_connect", "on_connect_unix", 24],
    ["cgroup_unix_sendmsg", "on_sendmsg_unix", 25],
    ["cgroup_unix_recvmsg", "on_recvmsg_unix", 26],
    ["cgroup_unix_getpeername", "on_getpeername_unix", 27],
    ["cgroup_unix_getsockname", "on_getsockname_unix", 28],
  ] as const) {
    requires({ cgroup2: true, kernel: ">=6.7" }).test(name, async () => {
      const path = join(tmpdir(), `ebpf-test-${process.pid}.sock`);
      await using child = await Dialogue.start(cgroup.spawn(childBinary(), ["unix", path]));
      using watched = await Watched.load("attach_cgroup", [program]);
      await runsOnlyWhileAttached(watched, {
        attach: () => watched.object.program(program).attachCgroup(cgroup.path),
        cause: async () => expect(await child.ask("go")).toContain(` ${path} ${path}`),
        // AF_UNIX, SOCK_DGRAM
        expected: { what, a: 1n, result: SOCK_DGRAM },
      });
    });
  }
});

describe("cgroups", () => {
  needed.test("have an id, which is what the kernel calls them by", async () => {
    using watched = await Watched.load("attach_cgroup", ["on_connect4"]);
    const link = watched.object.program("on_connect4").attachCgroup(cgroup.path);
    expect(link.info()).toMatchObject({ type: "cgroup", cgroupId: cgroupId(cgroup.path) });
    const missing = await errorOf(() => cgroupId(join(cgroup.path, "nosuch")));
    expect(missing.code).toBe("NOT_FOUND");
    expect(missing.message).toMatch(/^cgroupId: .*nosuch is not a cgroup: no such directory/);
    expect(await errorOf(() => cgroupId(tmpdir()))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  needed.test("a program that refuses, and one that lets pass again", async () => {
    using watched = await Watched.load("attach_cgroup", ["on_connect4"], (opened) => {
      opened.rodata["allow"] = 0;
    });
    expect((await actor.do(TCP4)).error).toBeUndefined();
    const link = watched.object.program("on_connect4").attachCgroup(cgroup.path);
    expect((await actor.do(TCP4)).error).toBe("EPERM");
    link.close();
    expect((await actor.do(TCP4)).error).toBeUndefined();
  });

  needed.test("with flags, as before links: multi, override, exclusive", async () => {
    using watched = await Watched.load("attach_cgroup", ["on_connect4", "on_bind4"]);
    const program = watched.object.program("on_connect4");
    const below = join(cgroup.path, "below");
    mkdirSync(below);
    try {
      await runsOnlyWhileAttached(
        watched,
        {
          attach: () => program.attachCgroup(cgroup.path, { mode: "multi" }),
          cause: () => actor.do(TCP4),
          expected: { what: 7 },
        },
        async (link) => {
          const found = () => listAttachments({ cgroup: cgroup.path }).filter(({ kind }) => kind === "cgroup");
          expect(found()).toMatchObject([
            { target: `${cgroup.path} cgroup_inet4_connect`, program: "on_connect4", programId: program.info().id },
          ]);
          expect((await errorOf(() => link.pin("/sys/fs/bpf/ebpf-test"))).code).toBe("INVALID_STATE");
          // Beside it, by a link: that is none without a link.
          using _link = program.attachCgroup(cgroup.path);
          expect(found()).toHaveLength(1);
        },
      );
      const exclusive = program.attachCgroup(cgroup.path, { mode: "exclusive" });
      const refused = (call: () => unknown): Promise<BpfError> => errorOf(call);
      expect(await refused(() => program.attachCgroup(below, { mode: "exclusive" }))).toMatchObject({
        code: "PERMISSION_DENIED",
      });
      expect(await refused(() => program.attachCgroup(cgroup.path))).toMatchObject({ code: "PERMISSION_DENIED" });
      exclusive.close();
      const override = program.attachCgroup(cgroup.path, { mode: "override" });
      program.attachCgroup(below, { mode: "override" }).close();
      // Removed by another than its link, as `ebpf link` does for what a killed process left.
      for (const attachment of listAttachments({ cgroup: cgroup.path }))
        if (attachment.kind === "cgroup") attachment.remove();
      override.close();
      const anchored = await errorOf(() => program.attachCgroup(cgroup.path, { mode: "multi", before: "first" }));
      expect(anchored.message).toContain("anchors go with links");
    } finally {
      rmdirSync(below);
    }
    const wrong = await errorOf(() => program.attachXdp("lo"));
    expect(wrong.message).toContain("on_connect4 is a cgroup_sock_addr program");
  });

  needed.test("which programs run for a process in a cgroup below: with links, multi and override", async () => {
    await using below = new TestCgroup(cgroup);
    await using inside = await Actor.start(below);
    using outer = await Watched.load("attach_cgroup", ["on_connect4"]);
    using inner = await Watched.load("attach_cgroup", ["on_connect4"]);
    const above = outer.object.program("on_connect4");
    const own = inner.object.program("on_connect4");
    /** How often each ran for one connection of the process below, and what became of the connection. */
    const runs = async () => {
      const before = [outer.produced, inner.produced] as const;
      const { error } = await inside.do(TCP4);
      return { error, outer: outer.produced - before[0], inner: inner.produced - before[1] };
    };
    const both = async (mode?: "multi" | "override") => {
      const options = mode === undefined ? {} : { mode };
      using _above = above.attachCgroup(cgroup.path, options);
      using _own = own.attachCgroup(below.path, options);
      return await runs();
    };
    expect(await runs()).toEqual({ error: undefined, outer: 0, inner: 0 });
    // Links are "multi": all of them run, from the inside out.
    expect(await both()).toEqual({ error: undefined, outer: 1, inner: 1 });
    expect(await both("multi")).toEqual({ error: undefined, outer: 1, inner: 1 });
    expect(await both("override")).toEqual({ error: undefined, outer: 0, inner: 1 });
    {
      // With nothing of its own, it is under what is above; once more when the inner program is gone.
      using _above = above.attachCgroup(cgroup.path, { mode: "override" });
      expect(await runs()).toEqual({ error: undefined, outer: 1, inner: 0 });
      own.attachCgroup(below.path, { mode: "override" }).close();
      expect(await runs()).toEqual({ error: undefined, outer: 1, inner: 0 });
      // Several below override what is above just as one does.
      using _own = own.attachCgroup(below.path, { mode: "multi" });
      expect(await runs()).toEqual({ error: undefined, outer: 0, inner: 1 });
    }
    // One refusal is enough, whoever refuses.
    using strict = await Watched.load("attach_cgroup", ["on_connect4"], (opened) => {
      opened.rodata["allow"] = 0;
    });
    using _refusing = strict.object.program("on_connect4").attachCgroup(below.path);
    using _allowing = above.attachCgroup(cgroup.path);
    expect((await runs()).error).toBe("EPERM");
    expect((await actor.do(TCP4)).error).toBeUndefined();
  });

  requires({ cgroup2: true, kernel: ">=6.16" }).test("the order in which programs run, by anchors", async () => {
    using first = await Watched.load("attach_cgroup", ["on_connect4"]);
    using second = await Watched.load("attach_cgroup", ["on_connect4"], (opened) => {
      opened.rodata["allow"] = 0;
    });
    using link = first.object.program("on_connect4").attachCgroup(cgroup.path);
    using _before = second.object.program("on_connect4").attachCgroup(cgroup.path, { before: link });
    const elsewhere = await errorOf(() =>
      first.object.program("on_connect4").attachCgroup(cgroup.path, { before: { programId: 0x7fffffff } }),
    );
    expect(elsewhere.code).toMatch(/NOT_FOUND|INVALID_ARGUMENT/);
    expect((await actor.do(TCP4)).error).toBe("EPERM");
    expect([second.produced, first.produced]).toEqual([1, 1]);
  });
});
