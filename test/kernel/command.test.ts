/** `ebpf features`, `prog`, `map` and `link`, on what the test itself put into the kernel. */
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCommand } from "../../lib/cli/command.js";
import { Skeleton } from "../fixtures/skeleton.bpf.js";
import { TestCgroup } from "./support/cgroup.js";
import { NamespacePair } from "./support/namespace.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

async function ebpf(...args: string[]) {
  let stdout = "";
  let stderr = "";
  const status = await runCommand(args, {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  });
  return { status, stdout, stderr };
}

async function listed<T>(...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await ebpf(...args, "--json");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

interface Listed {
  readonly id: number;
  readonly name: string;
  readonly type: string;
}

describe("ebpf features", () => {
  test("says what this kernel can do, to people and to programs", async () => {
    const { kernel, mapTypes } = await listed<{
      kernel: string;
      mapTypes: Record<string, { support: string; since: string }>;
    }>("features");
    expect(mapTypes["hash"]).toEqual({ support: "yes", since: "3.19" });
    const text = await ebpf("features");
    expect(text).toMatchObject({ status: 0, stderr: "" });
    expect(text.stdout.startsWith(`Linux ${kernel}\n`)).toBe(true);
    expect(text.stdout).toMatch(/\nMap types \(\d+ of \d+\)\n {2}hash, array,/);
    expect(Math.max(...text.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  });
});

requires({ mapType: "ringbuf", cgroup2: true, kernel: ">=5.9" }).describe("ebpf prog, map and link", () => {
  let cgroup: TestCgroup;
  let skeleton: Skeleton;
  beforeEach(async () => {
    cgroup = new TestCgroup();
    skeleton = await Skeleton.load();
  });
  afterEach(async () => {
    skeleton.close();
    await cgroup.close();
  });

  test("list what is in the kernel", async () => {
    const programs = await listed<Listed[]>("prog");
    expect(programs).toContainEqual(
      expect.objectContaining({ name: "generate", type: "xdp", id: skeleton.programs.generate.info().id }),
    );
    const maps = await listed<Listed[]>("map");
    const table = skeleton.maps.table.info();
    expect(maps).toContainEqual(
      expect.objectContaining({ name: "table", type: "hash", id: table.id, keySize: 16, maxEntries: 16 }),
    );
    const text = await ebpf("map");
    expect(text.stdout).toMatch(/^ID +TYPE +NAME +KEY +VALUE +ENTRIES +MEMORY +FLAGS\n/);
    expect(text.stdout).toMatch(new RegExp(`^${table.id} +hash +table +16 +64 +16 `, "m"));
  });

  test("show where a program is attached, and detach it there", async () => {
    using link = skeleton.programs.on_socket.attach({ cgroup: cgroup.path });
    const { id } = link.info();
    const { links } = await listed<{ links: (Listed & { cgroupId?: string })[] }>("link", "--cgroup", cgroup.path);
    expect(links).toContainEqual(
      expect.objectContaining({ id, type: "cgroup", cgroupId: `${cgroup.id}`, attachType: "cgroup_sock_ops" }),
    );
    const text = await ebpf("link", "--cgroup", cgroup.path);
    expect(text.stdout).toMatch(
      new RegExp(`^${id} +cgroup +on_socket \\(\\d+\\) +cgroupId ${cgroup.id}, attachType cgroup_sock_ops$`, "m"),
    );

    expect(await ebpf("link", "remove", `${id}`)).toEqual({ status: 0, stdout: `${id}  removed\n`, stderr: "" });
    expect(link.info()).toMatchObject({ cgroupId: 0n });
  });

  requires({ netns: true, kernel: ">=5.10" }).test("find and remove what a killed process left", async () => {
    using pair = new NamespacePair();
    const script = fileURLToPath(new URL("children/leave_attached.mjs", import.meta.url));
    const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
    const child = new Child(process.execPath, [script, fixtures, pair.b.path, cgroup.path, "SIGKILL"]);
    await until(
      "the child to have attached",
      () => child.stdout.includes("attached") || child.process.exitCode !== null,
    );
    child.process.kill("SIGKILL");
    await child.finished;
    const place = ["--netns", pair.b.path, "--cgroup", cgroup.path];
    const left = async () => {
      const { attachments } = await listed<{ attachments: Record<"kind" | "target" | "program", string>[] }>(
        "link",
        ...place,
      );
      return attachments.filter(({ kind }) => ["xdp", "tc", "lwt", "cgroup"].includes(kind));
    };
    const found = await left();
    expect(found.map(({ kind, program }) => `${kind} ${program}`).sort()).toEqual([
      "cgroup on_connect4",
      "lwt on_lwt_out",
      "tc on_tc",
      "xdp on_xdp",
    ]);
    const text = (await ebpf("link", ...place)).stdout;
    for (const { kind, target } of found) {
      const name = `${kind}:${target}`;
      expect(text).toContain(name);
      const removed = await ebpf("link", "remove", name, ...place);
      expect(removed).toEqual({ status: 0, stdout: `${name}  removed\n`, stderr: "" });
    }
    expect(await left()).toEqual([]);
  });

  test("what a user may not is one line on stderr", async () => {
    const script = fileURLToPath(new URL("children/unprivileged_command.mjs", import.meta.url));
    const refusals = {
      prog: /^ebpf: cannot list the programs in the kernel: .*CAP_SYS_ADMIN.* \(EPERM\)\n$/,
      map: /^ebpf: cannot list the maps in the kernel: .*CAP_SYS_ADMIN.* \(EPERM\)\n$/,
      link: /^ebpf: cannot list the links in the kernel: .*CAP_SYS_ADMIN.* \(EPERM\)\n$/,
      "link remove 1": /^ebpf: cannot open the link with id 1: .*CAP_SYS_ADMIN.* \(EPERM\)\n$/,
      "vmlinux -o /proc/1/vmlinux.h": /^ebpf: cannot write \/proc\/1\/vmlinux\.h: E.*\n$/,
      "inspect /proc/1/mem": /^ebpf: .*\/proc\/1\/mem.*\n$/,
    };
    const child = new Child(process.execPath, [script, ...Object.keys(refusals)]);
    const found = JSON.parse(await child.output()) as Awaited<ReturnType<typeof ebpf>>[];
    expect(found).toEqual(
      Object.values(refusals).map((stderr) => ({ status: 1, stdout: "", stderr: expect.stringMatching(stderr) })),
    );
  });

  test("features: what this process is refused is not said to be missing", async () => {
    const script = fileURLToPath(new URL("children/unprivileged_command.mjs", import.meta.url));
    const child = new Child(process.execPath, [script, "features"]);
    const [found] = JSON.parse(await child.output()) as Awaited<ReturnType<typeof ebpf>>[];
    expect(found).toMatchObject({ status: 0, stderr: "" });
    const allowed = /BPF without privileges +yes/.test(found?.stdout ?? "");
    // A ring buffer needs CAP_BPF whatever is allowed without: kernel/bpf/syscall.c, map_create().
    if (!allowed) expect(found?.stdout).toMatch(/\n *ring buffer +not known: refused to this process\n/);
    expect(found?.stdout).toMatch(/\n *this process +not root\n/);
  });

  test("what is not there is one line on stderr", async () => {
    const gone = await ebpf("link", "remove", "4294967295");
    expect(gone).toMatchObject({ status: 1, stdout: "" });
    expect(gone.stderr).toMatch(/^ebpf: cannot open the link with id 4294967295: .*\n$/);
    const nothing = await ebpf("link", "remove", "xdp:nothing", "--cgroup", cgroup.path);
    expect(nothing).toMatchObject({
      status: 1,
      stderr: 'ebpf: nothing is attached as "xdp:nothing": ebpf link shows ids, and under WHERE what has none\n',
    });
  });
});
