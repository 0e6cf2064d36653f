import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import {
  enableStatistics,
  features,
  Link,
  listAttachments,
  listBtf,
  listLinks,
  listMaps,
  listPrograms,
  ProgramHandle,
} from "ebpf";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { runCommand } from "../../lib/cli/command.js";
import { Actor } from "./support/actor.js";
import { Watched } from "./support/attach.js";
import { BpfFs } from "./support/bpffs.js";
import { TestCgroup } from "./support/cgroup.js";
import { bpfDescriptors } from "./support/descriptors.js";
import { errorOf } from "./support/errors.js";
import { fixture } from "./support/fixture.js";
import { NamespacePair } from "./support/namespace.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

let before: string[];
beforeEach(() => {
  before = bpfDescriptors();
});
afterEach(() => {
  expect(bpfDescriptors()).toEqual(before);
});

const CONNECT = `
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = net.connect(server.address().port, "127.0.0.1");
  try { await once(client, "connect"); } finally { client.destroy(); server.close(); }
`;

const gate = requires({ cgroup2: true, kernel: ">=5.9" });

describe("the life of a link", () => {
  gate.test(
    "pinned, it outlives its handle and its object; opened from the pin, it is the same; unpinned and closed, it is gone",
    async () => {
      await using cgroup = new TestCgroup();
      using bpffs = new BpfFs();
      const actor = await Actor.start(cgroup);
      const pin = `${bpffs.path}/connect`;
      const watched = await Watched.load("attach_cgroup", ["on_connect4"], (opened) => {
        opened.rodata["allow"] = 0;
      });
      const link = watched.object.program("on_connect4").attachCgroup(cgroup.path);
      const { id } = link.info();
      expect(link.pinPath).toBeUndefined();
      expect((await errorOf(() => link.unpin())).message).toContain("is not pinned");
      expect(await errorOf(() => link.pin("/tmp/not-a-bpffs"))).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await errorOf(() => link.pin(`${bpffs.path}/no/such/folder/x`)).then(({ code }) => code)).toMatch(
        /NOT_FOUND|INVALID_ARGUMENT|SYSTEM|PERMISSION_DENIED/,
      );
      link.pin(pin);
      expect(link.pinPath).toBe(pin);
      expect(existsSync(pin)).toBe(true);
      expect(await errorOf(() => link.pin(`${pin}2`))).toMatchObject({ code: "BUSY" });
      watched.close();
      expect(link.closed).toBe(true);
      expect((await actor.do(CONNECT)).error).toBe("EPERM");

      const again = Link.fromPin(pin);
      expect(again).toMatchObject({ program: "on_connect4", kind: "cgroup", pinPath: pin });
      expect(again.info()).toMatchObject({ id, type: "cgroup", cgroupId: cgroup.id });
      again.unpin();
      expect(existsSync(pin)).toBe(false);
      expect((await actor.do(CONNECT)).error).toBe("EPERM");
      again.close();
      again.close();
      expect((await actor.do(CONNECT)).error).toBeUndefined();
      expect(listLinks().some((found) => found.id === id)).toBe(false);
      expect(await errorOf(() => again.info())).toMatchObject({ code: "CLOSED" });
    },
  );

  gate.test("pinned, it outlives a process that is killed; another finds it, takes it over and ends it", async () => {
    await using cgroup = new TestCgroup();
    using bpffs = new BpfFs();
    const pin = `${bpffs.path}/connect`;
    const actor = await Actor.start(cgroup);
    const script = fileURLToPath(new URL("children/pin_and_wait.mjs", import.meta.url));
    const child = new Child(process.execPath, [script, fixture("attach_cgroup"), cgroup.path, pin]);
    await until("the child to have pinned", () => child.stdout.includes("\n") || child.process.exitCode !== null);
    expect(child.stderr).toBe("");
    const id = Number(child.stdout);
    expect((await actor.do(CONNECT)).error).toBe("EPERM");
    child.process.kill("SIGKILL");
    expect((await child.finished).signal).toBe("SIGKILL");
    expect((await actor.do(CONNECT)).error).toBe("EPERM");
    const found = listLinks().find((link) => link.id === id);
    expect(found).toMatchObject({ type: "cgroup", cgroupId: cgroup.id });
    let said = "";
    const output = { write: (text: string) => (said += text) };
    expect(await runCommand(["link", "--json"], { stdout: output, stderr: output })).toBe(0);
    expect((JSON.parse(said) as { links: { id: number }[] }).links).toContainEqual(
      expect.objectContaining({ id, type: "cgroup" }),
    );
    // No attachment without a link, which would be for `ebpf link remove`.
    expect(listAttachments({ cgroup: cgroup.path }).filter(({ kind }) => kind === "cgroup")).toEqual([]);
    const taken = Link.fromPin(pin);
    expect(taken).toMatchObject({ program: "on_connect4", pinPath: pin });
    expect(taken.info()).toMatchObject({ id });
    taken.unpin();
    expect((await actor.do(CONNECT)).error).toBe("EPERM");
    taken.close();
    expect((await actor.do(CONNECT)).error).toBeUndefined();
    expect(listLinks().some((link) => link.id === id)).toBe(false);
  });

  gate.test("a pin that is another's by now is not removed, and what is no link is not opened", async () => {
    await using cgroup = new TestCgroup();
    using bpffs = new BpfFs();
    using watched = await Watched.load("attach_cgroup", ["on_connect4", "on_bind4"]);
    const [connect, bind] = [watched.object.program("on_connect4"), watched.object.program("on_bind4")];
    const pin = `${bpffs.path}/one`;
    using first = connect.attachCgroup(cgroup.path);
    using second = bind.attachCgroup(cgroup.path);
    first.pin(pin);
    using other = Link.fromPin(pin);
    other.unpin();
    second.pin(pin);
    const error = await errorOf(() => first.unpin());
    expect(error).toMatchObject({ code: "INVALID_STATE" });
    expect(error.message).toContain("another link is pinned by now");
    expect(existsSync(pin)).toBe(true);
    second.unpin();
    connect.pin(pin);
    expect((await errorOf(() => Link.fromPin(pin))).message).toContain("is a prog and not a link");
    {
      using handle = ProgramHandle.fromPin(pin);
      expect(handle).toMatchObject({ name: "on_connect4", type: "cgroup_sock_addr" });
      expect(handle.info().id).toBe(connect.info().id);
      expect(await errorOf(() => bind.unpin(pin))).toMatchObject({ code: "INVALID_STATE" });
      handle.unpin(pin);
      handle.close();
      expect(await errorOf(() => handle.fd)).toMatchObject({ code: "CLOSED" });
    }
    expect(await errorOf(() => Link.fromPin(pin))).toMatchObject({ code: "NOT_FOUND" });
    expect(await errorOf(() => Link.fromId(0))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await errorOf(() => Link.fromId(0x7fffffff))).toMatchObject({ code: "NOT_FOUND" });
  });

  gate.test("its program is exchanged in place, and it is detached by force", async () => {
    await using cgroup = new TestCgroup();
    const actor = await Actor.start(cgroup);
    using lets = await Watched.load("attach_cgroup", ["on_connect4", "on_sockops"]);
    using refuses = await Watched.load("attach_cgroup", ["on_connect4"], (opened) => {
      opened.rodata["allow"] = 0;
    });
    const link = lets.object.program("on_connect4").attachCgroup(cgroup.path);
    const { id } = link.info();
    expect((await actor.do(CONNECT)).error).toBeUndefined();
    link.update(refuses.object.program("on_connect4"));
    expect((await actor.do(CONNECT)).error).toBe("EPERM");
    expect(link.info()).toMatchObject({ id, programId: refuses.object.program("on_connect4").info().id });
    expect(await errorOf(() => link.update(lets.object.program("on_sockops")))).toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    using same = Link.fromId(id);
    link.detach();
    link.detach();
    expect((await actor.do(CONNECT)).error).toBeUndefined();
    expect(same.info()).toMatchObject({ id, cgroupId: 0n });
    link.close();
  });

  requires({}).test("a kind that the kernel does not detach by force says so", async () => {
    using watched = await Watched.load("attach_net", ["on_socket"]);
    using link = watched.object.program("on_socket").attachPacketSocket("lo");
    expect((await errorOf(() => link.info())).code).toBe("INVALID_STATE");
    expect((await errorOf(() => link.fd)).code).toBe("INVALID_STATE");
    link.detach();
    const late = await errorOf(() => link.update(watched.object.program("on_socket")));
    expect(late).toMatchObject({ code: "INVALID_STATE", message: expect.stringContaining("it is detached already") });
    // @ts-expect-error: for those who write JavaScript.
    for (const update of [() => link.update(undefined), () => link.update({ name: "opened" })])
      expect(await errorOf(update)).toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("what a process leaves", () => {
  const script = fileURLToPath(new URL("children/leave_attached.mjs", import.meta.url));
  const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
  for (const [end, how] of [
    ["end", "when it ends"],
    ["exit", "by process.exit()"],
    ["throw", "by an error that nobody catches"],
    ["SIGTERM", "by SIGTERM"],
    ["SIGINT", "by SIGINT"],
    ["SIGHUP", "by SIGHUP"],
    ["SIGKILL", "by SIGKILL"],
  ] as const) {
    // The other ways are Node's and ours, whatever the kernel.
    const everywhere = end === "exit" || end === "SIGTERM" || end === "SIGKILL";
    const place = everywhere ? {} : { notInVm: true as const };
    requires({ cgroup2: true, netns: true, kernel: ">=5.10", ...place }).test(how, async () => {
      using pair = new NamespacePair();
      await using cgroup = new TestCgroup();
      const found = () =>
        listAttachments({ netns: pair.b.path, cgroup: cgroup.path })
          .map(({ kind }) => kind)
          .sort();
      expect(found()).toEqual([]);
      const child = new Child(process.execPath, [script, fixtures, pair.b.path, cgroup.path, end]);
      await until(
        "the child to have attached",
        () => child.stdout.includes("attached") || child.process.exitCode !== null,
      );
      expect(found()).toEqual(["cgroup", "lwt", "tc", "xdp"]);
      if (end.startsWith("SIG")) child.process.kill(end as NodeJS.Signals);
      else child.process.stdin?.write("\n");
      const { signal } = await child.finished;
      // A signal that was caught to clean up is still what the process ended by.
      expect(signal).toBe(end.startsWith("SIG") ? end : null);
      const left = listAttachments({ netns: pair.b.path, cgroup: cgroup.path });
      if (end !== "SIGKILL") {
        expect(found()).toEqual([]);
        expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).not.toContain("clsact");
        return;
      }
      // What the kernel has no link for is still there, and can be found and removed. The link is gone.
      expect(found()).toEqual(["cgroup", "lwt", "tc", "xdp"]);
      expect(left.map(({ program }) => program).sort()).toEqual(["on_connect4", "on_lwt_out", "on_tc", "on_xdp"]);
      for (const attachment of left) attachment.remove();
      expect(found()).toEqual([]);
    });
  }
});

describe("what two threads of a process have attached", () => {
  const script = fileURLToPath(new URL("children/attach_in_two_threads.mjs", import.meta.url));
  for (const [what, attached, how] of [
    ["both", ["tc", "xdp"], "is undone when a signal ends it"],
    ["second", ["tc"], "is undone also when the first has none any more"],
    ["handled", ["tc", "xdp"], "stays when the process handles the signal"],
  ] as const) {
    requires({ netns: true, notInVm: true }).test(how, async () => {
      using pair = new NamespacePair();
      const found = () =>
        listAttachments({ netns: pair.b.path })
          .map(({ kind }) => kind)
          .sort();
      const child = new Child(process.execPath, [script, fixture("attach_net"), pair.b.path, what]);
      try {
        await until("the child to have attached", () => child.stdout !== "" || child.process.exitCode !== null);
        expect(child.stderr).toBe("");
        expect(found()).toEqual(attached);
        child.process.kill("SIGTERM");
        if (what === "handled") {
          await until("the child to have handled it", () => child.stdout.includes("handled"));
          expect(found()).toEqual(attached);
          child.process.kill("SIGINT");
        }
        await until("the child to end", () => child.process.signalCode !== null);
        expect(child.process.signalCode).toBe(what === "handled" ? "SIGINT" : "SIGTERM");
      } finally {
        child.process.kill("SIGKILL");
        await child.finished;
      }
      expect(found()).toEqual([]);
      expect(pair.b.run("tc", "qdisc", "show", "dev", "veth0")).not.toContain("clsact");
    });
  }
});

requires({ netns: true }).test("what cannot be detached when it is closed goes with the process", async () => {
  using pair = new NamespacePair();
  const found = () => listAttachments({ netns: pair.b.path }).map(({ kind }) => kind);
  const script = fileURLToPath(new URL("children/fail_to_detach.mjs", import.meta.url));
  // Of descriptors as many as node and the object take, and some.
  const limited = ["-c", 'ulimit -n 256 && exec "$0" "$@"', process.execPath, script];
  const child = new Child("sh", [...limited, fixture("attach_net"), pair.b.path]);
  await until("the child to have closed", () => child.stdout.includes("\n") || child.process.exitCode !== null);
  expect(child.stderr).toBe("");
  expect(JSON.parse(child.stdout)).toEqual({ errno: constants.errno.EMFILE, closed: true });
  expect(found()).toEqual(["xdp"]);
  child.process.stdin?.write("\n");
  await child.output();
  expect(found()).toEqual([]);
});

describe("what is in the kernel", () => {
  gate.test("programs, maps, links and BTF by id", async () => {
    await using cgroup = new TestCgroup();
    using watched = await Watched.load("attach_cgroup", ["on_connect4"]);
    const program = watched.object.program("on_connect4");
    using link = program.attachCgroup(cgroup.path);
    const info = program.info();
    expect(info).toMatchObject({ name: "on_connect4", type: "cgroup_sock_addr", gplCompatible: true, uid: 0 });
    expect(info.tag).toMatch(/^[0-9a-f]{16}$/);
    expect(info.translatedSize).toBeGreaterThan(0);
    expect(info.memory).toBeGreaterThan(0);
    if (features().jit !== undefined) expect(info.jitedSize > 0).toBe(features().jit !== "off");
    expect(info.btfId).toBeGreaterThan(0);
    expect(info.mapIds.length).toBeGreaterThan(0);
    const { mapIds } = info;
    expect(listPrograms().find(({ id }) => id === info.id)).toMatchObject({ tag: info.tag, mapIds });
    const maps = listMaps();
    for (const id of mapIds) expect(maps.some((map) => map.id === id)).toBe(true);
    expect(maps.find(({ name }) => name === "sightings")).toMatchObject({ type: "ringbuf" });
    expect(listLinks()).toContainEqual(link.info());
    const btf = listBtf();
    expect(btf.some(({ id }) => id === info.btfId)).toBe(true);
    if (requires({ kernel: ">=5.11" }).reason === undefined)
      expect(btf).toContainEqual(expect.objectContaining({ name: "vmlinux", kernel: true }));
    using handle = ProgramHandle.fromId(info.id);
    expect(handle.info().tag).toBe(info.tag);
  });

  gate.test("run time and runs, while statistics are on", async () => {
    using watched = await Watched.load("attach_net", ["on_xdp"]);
    const program = watched.object.program("on_xdp");
    const run = (repeat: number) => program.testRun({ data: new Uint8Array(64), repeat });
    // Somebody else may have switched them on; only that they count while ours is held is ours to say.
    const start = program.info().runCount;
    {
      using _statistics = enableStatistics();
      run(100);
      if (requires({ kernel: ">=5.12" }).reason === undefined) {
        expect(program.info().runCount - start).toBe(100n);
        expect(program.info().runTimeNs).toBeGreaterThan(0n);
      }
    }
  });
});
