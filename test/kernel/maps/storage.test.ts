import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CgroupStorageMap,
  CgrpStorageMap,
  cgroup2Mount,
  createMap,
  PerCpuCgroupStorageMap,
  SkStorageMap,
  TaskStorageMap,
} from "ebpf";
import { expect } from "vitest";
import { activeSecurityModules } from "../../../lib/kernel/lsm.js";
import { native } from "../../../lib/native.js";
import { MapsCgroup } from "../../fixtures/maps_cgroup.bpf.js";
import { MapsCgrp } from "../../fixtures/maps_cgrp.bpf.js";
import { MapsStorage } from "../../fixtures/maps_storage.bpf.js";
import { TestCgroup } from "../support/cgroup.js";
import { requires } from "../support/requires.js";
import { Child } from "../support/run.js";

/** Runs `inside` with this process in the cgroup. */
async function within<T>(cgroup: TestCgroup, inside: () => Promise<T>): Promise<T> {
  const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
  cgroup.add(process.pid);
  try {
    return await inside();
  } finally {
    writeFileSync(join(cgroup2Mount() as string, own, "cgroup.procs"), String(process.pid));
  }
}

/** A connection to ourselves, closed when `use` is done. */
async function connected<T>(use: (socket: Socket) => T | Promise<T>): Promise<T> {
  const server = createServer((socket) => socket.on("data", (data) => socket.write(data)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  try {
    return await use(socket);
  } finally {
    socket.end();
    socket.resume();
    await once(socket, "close");
    server.close();
  }
}

requires({ mapType: "taskStorage" }).test("task storage: a program and we share a value per process", async () => {
  using object = await MapsStorage.load();
  const usage = object.maps.task_usage;
  expect(usage).toBeInstanceOf(TaskStorageMap);
  expect(usage.get(process.pid)).toBeUndefined();
  usage.set(process.pid, { calls: 10n, limit: 42, note: "ours" });
  object.programs.count_call.testRun();
  object.programs.count_call.testRun();
  expect(usage.get(process.pid)).toEqual({ calls: 12n, limit: 42, note: "ours" });
  expect(object.bss.seen_limit).toBe(42);
  expect(usage.has(process.pid)).toBe(true);
  expect(usage.delete(process.pid)).toBe(true);
  expect(usage.delete(process.pid)).toBe(false);
  object.programs.count_call.testRun();
  expect(usage.get(process.pid)).toEqual({ calls: 1n, limit: 0, note: "" });

  const child = new Child("sleep", ["600"]);
  usage.set(child.pid, { calls: 1n, limit: 1, note: "child" }, { only: "create" });
  expect(usage.get(child.pid)?.note).toBe("child");
  expect(() => usage.set(child.pid, { calls: 1n, limit: 1, note: "child" }, { only: "create" })).toThrowError(
    expect.objectContaining({ code: "EXISTS" }),
  );
  const pidfd = native().openProcess(child.pid);
  expect(usage.get({ fd: pidfd })?.note).toBe("child");
  child.process.kill("SIGKILL");
  await child.finished;
  closeSync(pidfd);
  expect(() => usage.get(child.pid)).toThrowError(
    expect.objectContaining({ code: "NOT_FOUND", message: expect.stringContaining("there is no such process") }),
  );
  expect(() => usage.get(0)).toThrowError("task_usage.get: process must be a process id, got 0");
  expect(() => usage.get({ fd: 0 })).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => usage.set(process.pid, { calls: 1n, limit: "1" as never, note: "" })).toThrowError(
    "task_usage value .limit: expected number, got string",
  );
  expect("keys" in usage).toBe(false);
});

requires({ mapType: "skStorage", cgroup2: true }).test(
  "socket storage: what a sockops program stores of a socket is read by the socket",
  async () => {
    const opened = MapsStorage.open();
    // Sockets have had storage for longer than tasks.
    opened.programs.count_call.autoload = false;
    opened.maps.task_usage.autocreate = false;
    using object = await opened.load();
    const usage = object.maps.socket_usage;
    expect(usage).toBeInstanceOf(SkStorageMap);
    await using cgroup = new TestCgroup();
    using link = object.programs.count_socket.attachCgroup(cgroup.path);
    await within(cgroup, () =>
      connected((socket) => {
        const stored = usage.get(socket);
        expect(stored?.calls).toBeGreaterThan(0n);
        expect(stored?.limit).toBe(4); // BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        usage.set(socket, { calls: 100n, limit: 1, note: "ours" }, { only: "replace" });
        expect(usage.get(socket)).toEqual({ calls: 100n, limit: 1, note: "ours" });
        object.maps.marks.set(socket, { number: 7 });
        expect(object.maps.marks.get(socket)).toEqual({ number: 7, bytes: Uint8Array.of(7, 0, 0, 0) });
        expect(usage.delete(socket)).toBe(true);
        expect(usage.has(socket)).toBe(false);
      }),
    );
    link.close();
    await connected((socket) => expect(usage.get(socket)).toBeUndefined());
    expect(() => usage.get(1.5 as never)).toThrowError("socket_usage.get: socket must be a descriptor");
  },
);

const lsm = activeSecurityModules();
const hasBpfLsm = lsm?.includes("bpf") ?? false;

requires({ mapType: "inodeStorage" }).test(
  "inode storage: refused where it would overwrite the kernel's memory",
  ({ skip }) => {
    if (hasBpfLsm) skip("this kernel runs the BPF security module");
    using labels = createMap({ type: "inode_storage", name: "labels", value: "char[16]" });
    for (const call of [() => labels.get("/tmp"), () => labels.set("/tmp", "x"), () => labels.delete("/tmp")]) {
      expect(call).toThrowError(
        expect.objectContaining({
          code: "KERNEL_UNSUPPORTED",
          message: expect.stringContaining("inode storage is safe only where the BPF security module runs"),
        }),
      );
    }
  },
);

requires({ mapType: "inodeStorage" }).test("inode storage: by path and by open file", ({ skip }) => {
  if (!hasBpfLsm)
    skip(
      lsm === undefined
        ? "securityfs is not mounted"
        : `this kernel does not run the BPF security module (it runs ${lsm})`,
    );
  using labels = createMap({ type: "inode_storage", name: "labels", value: "char[16]" });
  const folder = mkdtempSync(join(tmpdir(), "ebpf-inode-"));
  try {
    const path = join(folder, "file");
    writeFileSync(path, "x");
    expect(labels.get(path)).toBeUndefined();
    labels.set(path, "secret");
    const fd = openSync(path, "r");
    expect(labels.get(fd)).toBe("secret");
    expect(labels.has({ fd })).toBe(true);
    closeSync(fd);
    labels.set(folder, "a folder");
    expect([labels.get(folder), labels.get(path)]).toEqual(["a folder", "secret"]);
    expect(labels.delete(path)).toBe(true);
    expect(labels.delete(path)).toBe(false);
    expect(() => labels.get(join(folder, "missing"))).toThrowError(expect.objectContaining({ code: "NOT_FOUND" }));
    expect(() => labels.set(path, "far too long for it")).toThrowError("labels value: too long: 19 bytes for char[16]");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

requires({ mapType: "cgrpStorage", kernel: ">=6.4", cgroup2: true }).test(
  "cgroup storage by cgroup: a program and we share a value",
  async () => {
    using object = await MapsCgrp.load();
    const usage = object.maps.cgroup_usage;
    expect(usage).toBeInstanceOf(CgrpStorageMap);
    await using cgroup = new TestCgroup();
    usage.set(cgroup.path, { calls: 5n, limit: 7 });
    await within(cgroup, async () => {
      object.programs.count_call.testRun();
    });
    expect(usage.get(cgroup.path)).toEqual({ calls: 6n, limit: 7 });
    expect(object.bss.seen_limit).toBe(7);
    expect(usage.delete(cgroup.path)).toBe(true);
    expect(usage.get(cgroup.path)).toBeUndefined();
    expect(() => usage.get("/tmp")).toThrowError(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("not a cgroup v2 directory"),
      }),
    );
  },
);

requires({ kernel: ">=5.9", cgroup2: true }).test(
  "the older cgroup storage: per cgroup that a program is attached to",
  async () => {
    using object = await MapsCgroup.load();
    const sent = object.maps.sent;
    const perCpu = object.maps.sent_per_cpu;
    expect(sent).toBeInstanceOf(CgroupStorageMap);
    expect(perCpu).toBeInstanceOf(PerCpuCgroupStorageMap);
    await using cgroup = new TestCgroup();
    const id = statSync(cgroup.path, { bigint: true }).ino;
    expect(() => sent.set(id, { packets: 0n, bytes: 0n })).toThrowError(
      expect.objectContaining({
        code: "NOT_FOUND",
        message: expect.stringContaining("no program that uses the map is attached to this cgroup"),
      }),
    );
    using link = object.programs.count_sent.attachCgroup(cgroup.path);
    expect([...sent.keys()]).toEqual([id]);
    sent.set(id, { packets: 1000n, bytes: 0n });
    await within(cgroup, () =>
      connected(async (socket) => {
        socket.write("hello");
        await once(socket, "data");
      }),
    );
    const traffic = sent.get(id);
    expect(traffic?.packets).toBeGreaterThan(1000n);
    expect(traffic?.bytes).toBeGreaterThan(40n);
    const [[key, counts]] = [...perCpu] as [[{ cgroup_inode_id: bigint; attach_type: number }, bigint[]]];
    expect(key).toEqual({ cgroup_inode_id: id, attach_type: 1 }); // BPF_CGROUP_INET_EGRESS
    expect(counts.reduce((sum, count) => sum + count, 0n)).toBe((traffic?.packets ?? 0n) - 1000n);
    link.close();
  },
);
