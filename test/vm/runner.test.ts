import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const runner = fileURLToPath(new URL("../../scripts/vm/main.mjs", import.meta.url));
const kernels = (process.env["EBPF_VM_KERNELS"] ?? "6.1").split(",");
const scratch = mkdtempSync(join(tmpdir(), "ebpf-vm-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

function start(
  args: readonly string[],
  env: Record<string, string> = {},
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [runner, ...args], {
    cwd: scratch,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk) => stdout.push(chunk));
  child.stderr?.on("data", (chunk) => stderr.push(chunk));
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) }));
  });
  return { child, outcome };
}

const vm = (args: readonly string[], env?: Record<string, string>) => start(args, env).outcome;

/** Prints each argument on a line of its own, as JSON, then its folder and a variable. */
const SHOW = `
  for (const argument of process.argv.slice(1)) console.log(JSON.stringify(argument));
  console.log(process.cwd());
  console.log(process.env.EBPF_RUNNER_TEST, process.env.ADDED, process.env.EBPF_VM);
`;

describe("vm runner", () => {
  test("passes arguments, folder and environment on as they are", async () => {
    const odd = ["a b", "", "it's", '"quoted"', "$HOME `id` \\ *", "two\nlines", "-x", "--", "ünïcode"];
    const { status, stdout } = await vm(["--env", "ADDED=x = 'y'", "--", process.execPath, "-e", SHOW, "--", ...odd], {
      EBPF_RUNNER_TEST: "it's here",
    });
    const lines = stdout.toString().trimEnd().split("\n");
    expect(lines.slice(0, odd.length).map((line) => JSON.parse(line))).toEqual(odd);
    expect(lines.slice(odd.length)).toEqual([scratch, "it's here x = 'y' 6.1"]);
    expect(status).toBe(0);
  });

  test("keeps the two streams apart, byte by byte, and returns the exit status", async () => {
    const script = `printf 'a\\0b\\377\\r\\n'; printf 'e\\0\\r' >&2; echo again >/dev/stdout; exit 77`;
    const { status, stdout, stderr } = await vm(["--", "sh", "-c", script]);
    expect(stdout).toEqual(Buffer.from("a\0b\xff\r\nagain\n", "latin1"));
    expect(stderr).toEqual(Buffer.from("e\0\r"));
    expect(status).toBe(77);
  });

  test("loses nothing of a large output, and does not wait for what the command leaves running", async () => {
    const script = "sleep 100000 & head -c 8000000 /dev/zero | tr '\\0' x; kill -9 $$";
    const { status, stdout } = await vm(["--", "sh", "-c", script]);
    expect(stdout.length).toBe(8_000_000);
    expect(stdout.every((byte) => byte === 120)).toBe(true);
    expect(status).toBe(128 + 9);
  });

  test("throws away what is written, but for --writable", async () => {
    const inside = join(scratch, "thrown-away");
    const shared = mkdtempSync(join(scratch, "shared, with a comma "));
    const script = 'echo lost >"$1" && cat "$1" && mkdir "$2/made" && echo kept >"$2/made/file" && rm -rf "$3"';
    const removed = mkdtempSync(join(scratch, "removed-"));
    const { status, stdout } = await vm([
      "--writable",
      shared,
      "--",
      "sh",
      "-ec",
      script,
      "sh",
      inside,
      shared,
      removed,
    ]);
    expect(stdout.toString()).toBe("lost\n");
    expect(status).toBe(0);
    expect(existsSync(inside)).toBe(false);
    expect(existsSync(removed)).toBe(true);
    expect(readFileSync(join(shared, "made/file"), "utf8")).toBe("kept\n");
  });

  test("needs no root: a user without rights is root in there", async ({ skip }) => {
    if (process.geteuid?.() !== 0) skip("this is not root, so all of these tests show it");
    const nobody = (...command: string[]) =>
      spawnSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", ...command], {
        cwd: "/",
        encoding: "utf8",
        timeout: 120_000,
      });
    if (nobody("test", "-r", runner).status !== 0) skip("this folder is closed to other users");
    const { status, stdout, stderr } = nobody(process.execPath, runner, "--", "id", "-u");
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "0\n", stderr: "" });
  });

  test("stops at the time limit with 124", async () => {
    const { status, stderr } = await vm(["--timeout", "15", "--", "sh", "-c", "while :; do :; done"]);
    expect(status).toBe(124);
    expect(stderr.toString()).toContain("not done after 15 s");
  });

  test("reports a panic with the console and 125", async () => {
    const { status, stderr } = await vm(["--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"]);
    expect(status).toBe(125);
    expect(stderr.toString()).toContain("Kernel panic - not syncing: sysrq triggered crash");
    expect(stderr.toString()).toContain("Call Trace");
  });

  test("starts a guest that dies before the command anew, a few times", async () => {
    const { status, stderr } = await vm(["--append", "rdinit=/none root=/dev/none", "--", "true"]);
    expect(status).toBe(125);
    expect(stderr.toString().match(/^vm .*: Kernel panic - not syncing: VFS/gm)).toHaveLength(3);
    expect(stderr.toString().match(/starting it anew/g)).toHaveLength(2);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGKILL", null],
  ] as const)("takes the machine along on %s", async (signal, expected) => {
    const { child, outcome } = start(["--", "sh", "-c", "echo started; sleep 100000"], { TMPDIR: scratch });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const qemu = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
    expect(qemu).toMatch(/^\d+$/);
    child.kill(signal);
    expect((await outcome).status).toBe(expected);
    // Killed by the kernel together with the runner; its entry goes a moment later.
    await expect.poll(() => alive(qemu), { timeout: 10_000 }).toBe(false);
  });

  test.each([
    [["--kernel", "2.4", "--", "true"], 'no kernel "2.4"; there are 5.10, 6.1'],
    [["--kernel", "6.1"], "no command to run"],
    [["--kernle", "6.1", "--", "true"], "--kernle"],
    [["--timeout", "soon", "--", "true"], '--timeout wants a whole number above 0, got "soon"'],
    [["--env", "NAME", "--", "true"], '--env wants NAME=VALUE, got "NAME"'],
  ])("refuses %j", async (args, message) => {
    const { status, stderr } = await vm(args);
    expect(status).toBe(2);
    expect(stderr.toString()).toContain(message);
  });

  test.each(kernels)("kernel %s has BTF, its modules, the file systems and a JIT", async (kernel) => {
    const script = [
      "uname -r",
      "wc -c </sys/kernel/btf/vmlinux",
      "modprobe nf_tables && nft list ruleset && modprobe veth && echo modules",
      "cat /proc/sys/net/core/bpf_jit_enable",
      "test -e /boot/config-$(uname -r) && echo config",
      "awk '{print $5}' /proc/self/mountinfo",
    ].join("\n");
    const { status, stdout, stderr } = await vm(["--kernel", kernel, "--", "sh", "-ec", script]);
    expect(stderr.toString()).toBe("");
    expect(status).toBe(0);
    const [release = "", btf, modules, jit, config, ...mounts] = stdout.toString().trimEnd().split("\n");
    expect(release).toMatch(kernel === "newest" ? /^\d+\.\d+/ : new RegExp(`^${kernel.replace(".", "\\.")}\\.`));
    expect(Number(btf)).toBeGreaterThan(1_000_000);
    expect([modules, jit, config]).toEqual(["modules", "1", "config"]);
    expect(mounts).toEqual(
      expect.arrayContaining(["/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing", "/dev/pts"]),
    );
  });
});

function alive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
