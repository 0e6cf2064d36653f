import { closeSync, openSync, readSync } from "node:fs";
import { BpfObject, kernelBtf, listBtf } from "ebpf";
import { describe, expect } from "vitest";
import { AttachExt } from "../../fixtures/attach_ext.bpf.js";
import { Actor } from "../support/actor.js";
import { type Opened, openOnly, runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { fixture } from "../support/fixture.js";
import { bpfIsAnLsm, NO_BPF_LSM } from "../support/lsm.js";
import { Receiver } from "../support/receiver.js";
import { requires } from "../support/requires.js";
import { FRAME, SendingPair, TEXT } from "../support/sending_pair.js";

nothingStaysOpen();

/** Whether the signal that ends nobody was let through. */
function wink(): "sent" | string {
  try {
    process.kill(process.pid, "SIGWINCH");
    return "sent";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
}

const refuseUs = (opened: Opened<"attach_trace">, errno = 1) => {
  opened.rodata["only_tgid"] = process.pid;
  opened.rodata["refuse_tgid"] = process.pid;
  opened.rodata["refuse_with"] = errno;
};
/** Errors that kill(2) has none of by itself, and node a name for. */
const EXDEV = 18;
const ENOTEMPTY = 39;

/** read(2) of a directory, in five bytes. */
function readFive(): void {
  const fd = openSync("/proc", "r");
  try {
    readSync(fd, Buffer.alloc(5), 0, 5, null);
  } catch {
    // EISDIR
  } finally {
    closeSync(fd);
  }
}

describe("attach type", () => {
  requires({ vm: true, tracing: true, kernel: ">=5.7" }).test("modify_return", async () => {
    using watched = await Watched.load("attach_trace", ["on_fmod_ret"], (opened) => refuseUs(opened, ENOTEMPTY));
    const outcomes: string[] = [];
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_fmod_ret").attach(),
      cause: () => outcomes.push(wink()),
      expected: { what: 1, a: 28n, tgid: process.pid, result: 0n, cookie: 0n },
    });
    expect(outcomes).toEqual(["sent", "ENOTEMPTY", "sent"]);
    expect(link).toMatchObject({ kind: "fmod_ret", target: "security_task_kill" });
  });

  requires({ vm: true, tracing: true, kernel: ">=6.0" }).test("modify_return with a cookie", async () => {
    using watched = await Watched.load("attach_trace", ["on_fmod_ret"], (opened) => refuseUs(opened, EXDEV));
    const outcomes: string[] = [];
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_fmod_ret").attachTrace({ cookie: 0xfeed_beef_0000_0001n }),
      cause: () => outcomes.push(wink()),
      expected: { what: 1, a: 28n, cookie: 0xfeed_beef_0000_0001n },
    });
    expect(outcomes).toEqual(["sent", "EXDEV", "sent"]);
  });

  requires({ vm: true, programType: "lsm", kernel: ">=5.7" }).test("lsm_mac", async ({ skip }) => {
    if (!bpfIsAnLsm()) skip(NO_BPF_LSM);
    using watched = await Watched.load("attach_trace", ["on_lsm"], (opened) => refuseUs(opened, EXDEV));
    const outcomes: string[] = [];
    await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("on_lsm").attachLsm(),
      cause: () => outcomes.push(wink()),
      expected: { what: 2, a: 28n },
    });
    expect(outcomes).toEqual(["sent", "EXDEV", "sent"]);
  });

  requires({ vm: true, programType: "lsm", kernel: ">=6.0", cgroup2: true }).test("lsm_cgroup", async ({ skip }) => {
    if (!bpfIsAnLsm()) skip(NO_BPF_LSM);
    await using cgroup = new TestCgroup();
    await using other = new TestCgroup();
    const actor = await Actor.start(cgroup);
    const bystander = await Actor.start(other);
    const OPEN =
      'const socket = dgram.createSocket("udp4"); socket.bind(0, "127.0.0.1"); await once(socket, "listening"); socket.close();';
    for (const refuse of [false, true]) {
      using watched = await Watched.load("attach_trace", ["on_lsm_cgroup"], (opened) => {
        opened.rodata["refuse_cgroup"] = refuse;
      });
      const outcomes: (string | undefined)[] = [];
      const link = await runsOnlyWhileAttached(
        watched,
        {
          attach: () => watched.object.program("on_lsm_cgroup").attach({ cgroup: cgroup.path }),
          cause: async () => outcomes.push((await actor.do(OPEN)).error),
          // AF_INET, SOCK_DGRAM.
          expected: { what: 3, a: 2n, b: 2n },
        },
        async () => {
          // A process of another cgroup is not seen, nor refused.
          const { produced } = watched;
          expect((await bystander.do(OPEN)).error).toBeUndefined();
          expect(watched.produced).toBe(produced);
        },
      );
      expect(outcomes).toEqual([undefined, refuse ? "EACCES" : undefined, undefined]);
      expect(link).toMatchObject({ kind: "cgroup", target: cgroup.path });
    }
  });

  requires({ tracing: true, kernel: ">=6.0" }).test("fentry with a cookie", async () => {
    using watched = await Watched.load("attach_trace", ["with_cookie"], (opened) => refuseUs(opened));
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("with_cookie").attachTrace({ cookie: 77n }),
        cause: readFive,
        expected: { what: 4, a: 5n, cookie: 77n },
      },
      (attached) => {
        const info = attached.info();
        expect(info).toMatchObject({ type: "tracing", attachType: "trace_fentry" });
        if (info.type !== "tracing") return;
        // The kernel's own BTF, and the function in it.
        const target = listBtf().find(({ id }) => id === info.targetObjectId);
        expect(target).toMatchObject({ name: "vmlinux", kernel: true });
        expect(kernelBtf().name(info.targetBtfId)).toBe("generic_read_dir");
        if (requires({ kernel: ">=6.16" }).reason === undefined) expect(info).toMatchObject({ cookie: 77n });
      },
    );
    expect(link).toMatchObject({ kind: "fentry", target: "generic_read_dir" });
  });

  requires({ tracing: true, kernel: ">=6.0" }).test("fexit with a cookie", async () => {
    using watched = await Watched.load("attach_trace", ["exit_with_cookie"], (opened) => refuseUs(opened));
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("exit_with_cookie").attachTrace({ cookie: 1n << 63n }),
      cause: readFive,
      // EISDIR
      expected: { what: 6, a: 5n, result: -21n, cookie: 1n << 63n },
    });
    expect(link).toMatchObject({ kind: "fexit", target: "generic_read_dir" });
  });

  requires({ attachType: "traceRawTp", kernel: ">=6.10" }).test("tp_btf with a cookie", async () => {
    using watched = await Watched.load("attach_trace", ["tp_with_cookie"], (opened) => refuseUs(opened));
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("tp_with_cookie").attachTrace({ cookie: 78 }),
      cause: wink,
      expected: { what: 5, a: 28n, cookie: 78n },
    });
    expect(link).toMatchObject({ kind: "tp_btf", target: "signal_generate" });
  });

  const PACKET = new Uint8Array(64);

  requires({ tracing: true, programType: "ext", kernel: ">=5.10" }).test("freplace", async () => {
    using object = await openOnly("attach_trace", ["target"]).load();
    const target = object.program("target");
    using watched = await Watched.load("attach_ext", ["replacement"], (opened) => {
      opened.program("replacement").setAttachTarget("replaceable", target);
    });
    const returned: number[] = [];
    const link = await runsOnlyWhileAttached(watched, {
      attach: () => watched.object.program("replacement").attachFreplace(target, "replaceable"),
      cause: () => returned.push(target.testRun({ data: PACKET }).returnValue),
      expected: { what: 1, a: BigInt(PACKET.length) },
    });
    expect(returned).toEqual([1, 42, 1]);
    expect(link).toMatchObject({ kind: "freplace", target: "target:replaceable" });
    const unknown = await errorOf(() => watched.object.program("replacement").attachFreplace(target, "no_such"));
    expect(unknown).toMatchObject({ code: "NOT_FOUND" });
  });

  requires({ tracing: true, kernel: ">=5.10" }).test("fentry and fexit on another BPF program", async () => {
    using object = await openOnly("attach_trace", ["target"]).load();
    const target = object.program("target");
    for (const [program, what, returns] of [
      ["on_entry", 2, false],
      ["on_exit", 3, true],
    ] as const) {
      using watched = await Watched.load("attach_ext", [program], (opened) => {
        opened.program(program).setAttachTarget("target", target);
      });
      // The target tells packets of more than 80 bytes by what it returns.
      const lengths = [64, 100, 81, 80];
      const told: number[] = [];
      const link = await runsOnlyWhileAttached(watched, {
        attach: () => watched.object.program(program).attach(),
        cause: () => {
          for (const length of lengths) told.push(target.testRun({ data: new Uint8Array(length) }).returnValue);
        },
        expected: { what },
      });
      // It is watched, and not changed.
      expect(told).toEqual([1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1]);
      expect((await watched.settled()).map(({ a, result }) => [a, result])).toEqual(
        lengths.map((length) => [BigInt(length), returns ? (length > 80 ? 2n : 1n) : 0n]),
      );
      expect(link).toMatchObject({ kind: program === "on_entry" ? "fentry" : "fexit" });
    }
    using opened = AttachExt.open();
    const unknown = await errorOf(() => opened.program("on_entry").setAttachTarget("targte", target));
    expect(unknown).toMatchObject({ code: "NOT_FOUND" });
  });

  requires({ tracing: true, programType: "ext", netns: true, kernel: ">=5.10" }).test(
    "fentry, fexit and freplace of a BPF program that packets run",
    async () => {
      await using pair = await SendingPair.open();
      await using receiver = await Receiver.open(pair.b);
      using object = await openOnly("attach_trace", ["target"]).load();
      const target = object.program("target");
      using _filter = target.attachTc("veth0", "ingress", { netns: pair.b.path });
      const long = TEXT.padEnd(100, "x");
      /** A long datagram, and a short one: what arrives. The target's 2 is TC_ACT_SHOT, and any other number lets pass. */
      const arrives = async () => {
        await pair.send("10.99.0.2", long.length);
        await pair.send();
        return await receiver.receive(TEXT);
      };
      const frames = [FRAME - TEXT.length + long.length, FRAME].map(BigInt);
      for (const [program, what, results] of [
        ["on_entry", 2, [0n, 0n]],
        ["on_exit", 3, [2n, 1n]],
      ] as const) {
        using watched = await Watched.load("attach_ext", [program], (opened) => {
          opened.program(program).setAttachTarget("target", target);
        });
        const arrived: string[][] = [];
        await runsOnlyWhileAttached(watched, {
          attach: () => watched.object.program(program).attach(),
          cause: async () => arrived.push(await arrives()),
          expected: { what, a: BigInt(FRAME) },
        });
        // It is watched, and not changed.
        expect(arrived).toEqual([[TEXT], [TEXT], [TEXT]]);
        const datagrams = (await watched.settled()).filter(({ a }) => frames.includes(a));
        expect(datagrams.map(({ a, result }) => [a, result])).toEqual(frames.map((frame, i) => [frame, results[i]]));
      }
      using watched = await Watched.load("attach_ext", ["replacement"], (opened) => {
        opened.program("replacement").setAttachTarget("replaceable", target);
      });
      const arrived: string[][] = [];
      await runsOnlyWhileAttached(watched, {
        attach: () => watched.object.program("replacement").attachFreplace(target, "replaceable"),
        cause: async () => arrived.push(await arrives()),
        expected: { what: 1, a: frames[0] as bigint },
      });
      expect(arrived).toEqual([[TEXT], [long, TEXT], [TEXT]]);
    },
  );
});

// Not what the table of docs/kernels.md is made of.
describe("variants of one probe", () => {
  requires({ tracing: true, programType: "ext", kernel: ">=5.10" }).test(
    "an attach target holds when the variant before was rejected",
    async () => {
      using object = await openOnly("attach_trace", ["target"]).load();
      const target = object.program("target");
      using opened = BpfObject.open(fixture("attach_ext"), { variants: { watch: ["replacement", "on_entry"] } });
      // The replacement is not told of what program it is one.
      opened.program("on_entry").setAttachTarget("target", target);
      opened.program("on_exit").autoload = false;
      using loaded = await opened.load();
      expect(loaded.variants["watch"]).toMatchObject({
        chosen: ["on_entry"],
        rejected: [{ programs: ["replacement"] }],
      });
      using link = loaded.program("on_entry").attach();
      expect(link).toMatchObject({ kind: "fentry", target: "target" });
    },
  );

  requires({ tracing: true, programType: "ext", kernel: ">=5.10" }).test(
    "an attach target holds when the variant before could not be attached",
    async () => {
      using object = await openOnly("attach_trace", ["target"]).load();
      const target = object.program("target");
      const open = () => {
        const opened = BpfObject.open(fixture("attach_ext"), { variants: { watch: ["replacement", "on_entry"] } });
        opened.program("replacement").setAttachTarget("replaceable", target);
        opened.program("on_entry").setAttachTarget("target", target);
        opened.program("on_exit").autoload = false;
        return opened;
      };
      using before = await open().load();
      using replaced = await open().load();
      // A function is replaced once.
      expect(replaced.attach()).toMatchObject([{ kind: "freplace" }]);
      expect(before.attach()).toMatchObject([{ kind: "fentry", target: "target" }]);
      expect(before.variant("watch")).toMatchObject({
        chosen: ["on_entry"],
        rejected: [{ programs: ["replacement"] }],
      });
    },
  );
});
