import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { kernelSymbols, listAttachments } from "ebpf";
import { describe, expect } from "vitest";
import { kernelFunctions } from "../../../lib/kernel/functions.js";
import { globMatcher } from "../../../lib/kernel/glob.js";
import { runsOnlyWhileAttached, Watched } from "../support/attach.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { fixture } from "../support/fixture.js";
import { Debugfs, Tracefs } from "../support/mounted.js";
import { readDirectory } from "../support/read_directory.js";
import { requires } from "../support/requires.js";
import { Child, run } from "../support/run.js";
import { until } from "../support/until.js";

nothingStaysOpen();

const cookies = requires({ kernel: ">=5.15" }).reason === undefined;
const kprobes = requires({ vm: true, kprobes: true });

const load = (program: string, tgid = process.pid) =>
  Watched.load("attach_multi", [program], (opened) => {
    opened.rodata["only_tgid"] = tgid;
  });

const stackOf = (pid: number): string => readFileSync(`/proc/${pid}/stack`, "utf8");

/** Processes that wait within locks_lock_inode_wait(), all at once, until they are let go. */
class Queue implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "ebpf-lock-"));
  readonly #file = join(this.#folder, "lock");
  readonly #holder: Child;
  readonly #waiting: Child[] = [];

  private constructor() {
    writeFileSync(this.#file, "");
    this.#holder = new Child("flock", [this.#file, "cat"]);
  }

  static async of(length: number): Promise<Queue> {
    const queue = new Queue();
    await until("the lock to be held", () => /FLOCK/.test(queue.#locks(queue.#holder)));
    for (let i = 0; i < length; i++) queue.#waiting.push(new Child("flock", [queue.#file, "true"]));
    // /proc/locks shows one that waits for another one that waits since 5.18 only.
    await until("all to wait", () => queue.#waiting.every(({ pid }) => stackOf(pid).includes("locks_lock_inode_wait")));
    return queue;
  }

  get pids(): number[] {
    return this.#waiting.map(({ pid }) => pid);
  }

  /** What /proc/locks says of a process. */
  #locks({ pid }: Child): string {
    const lines = readFileSync("/proc/locks", "utf8").split("\n");
    return lines.filter((line) => line.split(/\s+/).includes(String(pid))).join("\n");
  }

  async letGo(): Promise<void> {
    this.#holder.process.stdin?.end();
    await Promise.all([this.#holder, ...this.#waiting].map((child) => child.output()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#holder, ...this.#waiting]) child.process.kill("SIGKILL");
    await Promise.all([this.#holder, ...this.#waiting].map(({ finished }) => finished));
    rmSync(this.#folder, { recursive: true });
  }
}

describe("attach type", () => {
  kprobes.test("kprobe at an offset, with a cookie", async () => {
    using watched = await load("on_kprobe_at");
    const program = watched.object.program("on_kprobe_at");
    const cookie = cookies ? { cookie: 0x1234_5678_9abc_def0n } : {};
    // Where the function's second or third instruction begins, after what ftrace and IBT have at its start.
    const begins: number[] = [];
    for (let offset = 1; offset < 16 && begins.length === 0; offset++) {
      try {
        program.attachKprobe("generic_read_dir", { offset }).close();
        begins.push(offset);
      } catch (error) {
        expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
        expect((error as Error).message).toContain(`offset ${offset} is inside an instruction of generic_read_dir`);
      }
    }
    const [offset = 0] = begins;
    // The first instruction has four bytes (endbr64) or five (ftrace's).
    expect(offset).toBeGreaterThanOrEqual(4);
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => program.attachKprobe("generic_read_dir", { offset, ...cookie }),
        cause: () => readDirectory(44),
        expected: { what: 10, b: 44n, cookie: cookie.cookie ?? 0n },
      },
      (attached) => {
        if (!cookies) return;
        const info = attached.info();
        expect(info).toMatchObject({ type: "perf_event" });
        if (info.type !== "perf_event" || requires({ kernel: ">=6.6" }).reason !== undefined) return;
        expect(info).toMatchObject({ event: "kprobe", name: "generic_read_dir", offset, missed: 0n });
        expect(kernelSymbols().find(info.address)).toMatchObject({ name: "generic_read_dir", offset });
        if (requires({ kernel: ">=6.9" }).reason === undefined) expect(info).toMatchObject(cookie);
      },
    );
    expect(link).toMatchObject({ kind: "kprobe", target: `generic_read_dir+${offset}` });
    // x86: the instruction pointer is past the byte that the breakpoint takes.
    expect(watched.seen.map(({ a }) => kernelSymbols().find(a))).toEqual([
      { name: "generic_read_dir", offset: offset + 1, module: undefined },
    ]);
    expect(watched.object.links).toEqual([]);
  });

  requires({ vm: true, kprobes: true, kernel: ">=5.15" }).test("kretprobe with a cookie", async () => {
    using watched = await load("on_kretprobe");
    const link = await runsOnlyWhileAttached(
      watched,
      {
        attach: () => watched.object.program("on_kretprobe").attachKretprobe("generic_read_dir", { cookie: 21 }),
        cause: () => readDirectory(45),
        expected: { what: 11, result: -21n, cookie: 21n },
      },
      (attached) => {
        const info = attached.info();
        if (requires({ kernel: ">=6.6" }).reason === undefined)
          expect(info).toMatchObject({ event: "kretprobe", name: "generic_read_dir", offset: 0 });
        if (requires({ kernel: ">=6.9" }).reason === undefined) expect(info).toMatchObject({ cookie: 21n });
      },
    );
    expect(link).toMatchObject({ kind: "kretprobe", target: "generic_read_dir" });
  });

  for (const [mode, kernel] of [
    ["link", ">=5.15"],
    ["perf", ">=4.17"],
    ["legacy", ">=4.12"],
  ] as const) {
    requires({ vm: true, kprobes: true, kernel, libbpf: "kprobe_attach_mode" }).test(
      `kprobe, mode ${mode}`,
      async () => {
        using _tracefs = new Tracefs();
        using watched = await load("on_kprobe");
        await runsOnlyWhileAttached(
          watched,
          {
            attach: () => watched.object.program("on_kprobe").attachKprobe("generic_read_dir", { mode }),
            cause: () => readDirectory(46),
            expected: { what: 7, b: 46n },
          },
          () => {
            const defined = listAttachments().filter(({ kind }) => kind === "kprobe");
            expect(defined).toHaveLength(mode === "legacy" ? 1 : 0);
          },
        );
        expect(listAttachments().filter(({ kind }) => kind === "kprobe")).toEqual([]);
      },
    );
  }

  kprobes.test("kretprobe, following one call at once and many (maxActive)", async () => {
    using _tracefs = new Tracefs();
    using watched = await load("on_kretprobe", 0);
    const program = watched.object.program("on_kretprobe");
    const cookie = cookies ? { cookie: 5 } : {};
    for (const [maxActive, seen] of [
      [1, 1],
      [16, 4],
    ] as const) {
      const link = program.attachKretprobe("locks_lock_inode_wait", { maxActive, ...cookie });
      expect(link).toMatchObject({ kind: "kretprobe", target: "locks_lock_inode_wait" });
      await using queue = await Queue.of(4);
      const { pids } = queue;
      await queue.letGo();
      const returns = (await watched.settled()).filter(({ tgid }) => pids.includes(tgid));
      expect(returns.length, `returns seen with maxActive ${maxActive}`).toBe(seen);
      expect(returns[0]).toMatchObject({ what: 11, result: 0n, cookie: cookies ? 5n : 0n, comm: "flock" });
      const found = listAttachments().filter(({ kind }) => kind === "kretprobe");
      expect(found.map(({ target }) => target)).toEqual([
        expect.stringMatching(/^ebpf\/locks_lock_inode_wait_\d+_\d+ locks_/),
      ]);
      expect(await errorOf(() => found[0]?.remove())).toMatchObject({ code: "BUSY" });
      expect((await errorOf(() => link.info())).message).toContain("the kernel has no link for kretprobe");
      link.close();
      expect(listAttachments().filter(({ kind }) => kind === "kretprobe")).toEqual([]);
      const { produced } = watched;
      await using again = await Queue.of(1);
      await again.letGo();
      expect(watched.produced).toBe(produced);
    }
  });
});

describe("a kretprobe with maxActive", () => {
  const script = fileURLToPath(new URL("../children/kretprobe_event.mjs", import.meta.url));
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    kprobes.test(`of a process that ends by ${signal}`, async () => {
      using _tracefs = new Tracefs();
      const found = () => listAttachments().filter(({ kind }) => kind === "kretprobe");
      const child = new Child(process.execPath, [script, fixture("attach_multi")]);
      await until(
        "the child to have attached",
        () => child.stdout.includes("attached") || child.process.exitCode !== null,
      );
      expect(found()).toHaveLength(1);
      child.process.kill(signal);
      expect((await child.finished).signal).toBe(signal);
      if (signal === "SIGKILL") {
        // The definition is left, and can be found and removed.
        const [left] = found();
        expect(left).toMatchObject({ program: "", programId: 0, target: expect.stringContaining(" generic_read_dir") });
        left?.remove();
        expect(await errorOf(() => left?.remove())).toMatchObject({ code: "NOT_FOUND" });
      }
      expect(found()).toEqual([]);
    });
  }
});

/**
 * A glob that ends in `?`s and matches a function which the kernel lets nobody probe (NOKPROBE_SYMBOL), and a few others, of which there is one at
 * least that may be probed.
 */
function globWithForbidden(): { readonly pattern: string; readonly forbidden: string } {
  const lines = (path: string) => readFileSync(path, "latin1").split("\n");
  const all = new Set(kernelFunctions(() => true));
  const blacklist = lines("/sys/kernel/debug/kprobes/blacklist").map((line) => line.split("\t")[1] ?? "");
  const forbidden = new Set(blacklist.filter((name) => all.has(name)));
  // From one at the end to a third of the name.
  const patterns = (name: string) =>
    Array.from({ length: Math.ceil(name.length / 3) }, (_, i) => name.slice(0, -1 - i) + "?".repeat(i + 1));
  const wanted = new Map([...forbidden].flatMap((name) => patterns(name).map((pattern) => [pattern, name] as const)));
  for (const line of lines("/sys/kernel/tracing/available_filter_functions")) {
    const candidate = line.split(" ", 1)[0] ?? "";
    if (forbidden.has(candidate)) continue;
    const pattern = patterns(candidate).find((each) => wanted.has(each));
    if (pattern === undefined || [...all].filter(globMatcher(pattern)).length > 8) continue;
    return { pattern, forbidden: wanted.get(pattern) as string };
  }
  throw new Error(`none of ${forbidden.size} forbidden functions is named nearly as another`);
}

/** Hides what is in a folder. */
function hidden(folder: string): Disposable {
  run("mount", "-t", "tmpfs", "none", folder);
  return { [Symbol.dispose]: () => void run("umount", folder) };
}

describe("functions that cannot be probed", () => {
  const plain = /^[a-z]\w+$/;
  /** How often each function's name is in the kernel. */
  const counts = () => {
    const all = new Map<string, number>();
    for (const name of kernelFunctions(() => true)) all.set(name, (all.get(name) ?? 0) + 1);
    return all;
  };

  kprobes.test("ambiguous: the kernel has several of the name", async () => {
    using watched = await load("on_kprobe");
    const [name, count] = [...counts()].find(([symbol, number]) => number > 1 && plain.test(symbol)) ?? ["", 0];
    const error = await errorOf(() => watched.object.program("on_kprobe").attachKprobe(name));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(error.message).toContain(`the kernel has ${count} functions named ${name}, and will not choose`);
    expect(watched.object.links).toEqual([]);
  });

  kprobes.test("inlined, and of which the compiler made another", async () => {
    using watched = await load("on_kprobe");
    const program = watched.object.program("on_kprobe");
    const inlined = await errorOf(() => program.attachKprobe("skb_queue_empty"));
    expect(inlined).toMatchObject({ code: "NOT_FOUND" });
    expect(inlined.message).toMatch(/has no function skb_queue_empty.*it may be inlined, or of another version/);
    const all = counts();
    const clone = [...all.keys()].find((symbol) => {
      const [, original = ""] = /^([a-z]\w+)\.(?:constprop|isra)\.\d+$/.exec(symbol) ?? [];
      return original !== "" && !all.has(original);
    });
    const original = clone?.replace(/\..*$/, "") ?? "";
    const cloned = await errorOf(() => program.attachKprobe(original));
    expect(cloned).toMatchObject({ code: "NOT_FOUND" });
    expect(cloned.message).toContain(`this kernel has no function ${original}, but its compiler made`);
    expect(cloned.message).toContain(clone);
    expect(watched.object.links).toEqual([]);
  });

  kprobes.test("on the kernel's blacklist", async () => {
    using _debugfs = new Debugfs();
    using watched = await load("on_kprobe");
    const all = counts();
    const names = readFileSync("/sys/kernel/debug/kprobes/blacklist", "utf8")
      .split("\n")
      .map((line) => line.split("\t")[1] ?? "");
    const name = names.find((symbol) => plain.test(symbol) && all.get(symbol) === 1) ?? "";
    const error = await errorOf(() => watched.object.program("on_kprobe").attachKprobe(name));
    expect(error).toMatchObject({ code: "KERNEL_UNSUPPORTED" });
    expect(error.message).toContain(
      `${name} exists, but no probe may be put there: it is notrace or on the kprobes blacklist`,
    );
    expect(watched.object.links).toEqual([]);
  });

  kprobes.test("among those that a glob without a star matches", async () => {
    const { pattern, forbidden } = globWithForbidden();
    // Without tracefs nobody knows before what can be probed. (In this file nobody has looked before, either.)
    using _debugfs = hidden("/sys/kernel/debug");
    using _tracefs = hidden("/sys/kernel/tracing");
    using watched = await load("on_kprobe");
    using link = watched.object.program("on_kprobe").attachKprobeMulti(pattern);
    expect(link.functions.length).toBeGreaterThan(0);
    expect(link.functions.length + link.skipped.length).toBe(link.matched);
    const skipped = link.skipped.find(({ name }) => name === forbidden);
    expect(skipped?.reason).toContain("no probe may be put there");
    // Named, it is an error.
    const named = await errorOf(() => watched.object.program("on_kprobe").attachKprobeMulti([forbidden]));
    expect(named.code).toMatch(/KERNEL_UNSUPPORTED|INVALID_ARGUMENT/);
  });

  kprobes.test("options that do not go together", async () => {
    using watched = await load("on_kretprobe");
    const program = watched.object.program("on_kretprobe");
    for (const [call, text] of [
      [() => program.attachKretprobe("vfs_read", { offset: 4 }), "a function returns as a whole"],
      [() => program.attachKprobe("vfs_read", { maxActive: 4 }), 'option "maxActive" is for attachKretprobe()'],
      [() => program.attachKretprobe("vfs_read", { maxActive: 0 }), 'option "maxActive" must be a whole number from 1'],
      [() => program.attachKretprobe("vfs_read", { maxActive: 4, mode: "perf" }), "say no mode"],
      [() => program.attachKretprobe("vfs_raed", { maxActive: 4 }), 'did you mean "vfs_read"?'],
    ] as const) {
      expect((await errorOf(call)).message).toContain(text);
    }
    expect(watched.object.links).toEqual([]);
  });
});
