/** The command, as a user calls it: what it writes, where, and its exit status. */
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { ExitStatus, runCommand } from "../../../lib/cli/command.js";
import type { Inspection } from "../../../lib/cli/inspect.js";

const SOURCE = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ebpf/events.h>
#include "limits.h"

struct drop { __u64 time_ns; __u32 reason; char comm[16]; };
EBPF_RINGBUF(drops, struct drop, 64 * 1024);
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, LIMIT); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
const volatile __u32 only = 0;

SEC("xdp")
int watch(struct xdp_md *ctx)
{
	struct drop *drop = drops_reserve();
	__u32 key = only;
	__u64 one = 1;

	if (!drop)
		return XDP_ABORTED;
	__builtin_memset(drop, 0, sizeof(*drop));
	drops_submit(drop);
	bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
`;

let folder: string;
let source: string;
let before: string;

beforeAll(() => {
  before = process.cwd();
  folder = mkdtempSync(join(tmpdir(), "ebpf-cli-"));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  vi.stubEnv("NO_COLOR", "1");
  writeFileSync("limits.h", "#define LIMIT 128\n");
  writeFileSync("drops.bpf.c", SOURCE);
  source = "drops.bpf.c";
});

class Text {
  text = "";
  readonly isTTY: boolean;
  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.text += text;
  }
}

async function ebpf(...args: string[]) {
  const stdout = new Text();
  const stderr = new Text();
  const status = await runCommand(args, { stdout, stderr });
  return { status, stdout: stdout.text, stderr: stderr.text };
}

describe("build", { timeout: 60_000 }, () => {
  test("makes the object and its skeleton", async () => {
    const built = await ebpf("build", source);
    expect(built).toMatchObject({ status: ExitStatus.ok, stderr: "" });
    expect(built.stdout).toMatch(
      /^drops\.bpf\.o {2}\d+ bytes\ndrops\.bpf\.ts {2}class Drops: 1 program, 2 maps, 1 variable\n$/,
    );
    expect(readFileSync("drops.bpf.ts", "utf8")).toContain("readonly drops: RingBuffer<drop>;");
    // BPF, and no path of this machine in it.
    const object = readFileSync("drops.bpf.o");
    expect(object.readUInt16LE(18)).toBe(247);
    expect(object.includes(folder)).toBe(false);
  });

  test("a second time changes no file", async () => {
    await ebpf("build", source);
    const times = ["drops.bpf.o", "drops.bpf.ts"].map((file) => statSync(file, { bigint: true }).mtimeNs);
    const again = await ebpf("build", source);
    expect(again.stdout.match(/\(unchanged\)/g)).toHaveLength(2);
    expect(["drops.bpf.o", "drops.bpf.ts"].map((file) => statSync(file, { bigint: true }).mtimeNs)).toEqual(times);
  });

  test("takes names, macros, folders and flags", async () => {
    mkdirSync("include", { recursive: true });
    writeFileSync("include/more.h", "#define MORE 3\n");
    writeFileSync(
      "with.bpf.c",
      `${SOURCE.replace('#include "limits.h"', "#include <more.h>")}\n_Static_assert(LIMIT == 5 && MORE == 3 && FLAG == 1 && LAST == 7, "");\n`,
    );
    const built = await ebpf(
      ...["build", "with.bpf.c", "-I", "include", "-D", "LIMIT=5", "--define", "FLAG", "--clang-flag=-DLAST=7"],
      ...["-o", "out/x.o", "--skeleton", "src/x.ts", "--class", "Watcher", "--library", "../lib.js"],
    );
    expect(built).toMatchObject({ status: 0, stderr: "" });
    const skeleton = readFileSync("src/x.ts", "utf8");
    expect(skeleton).toContain("export class Watcher extends LoadedObject<WatcherObject>");
    expect(skeleton).toContain('new URL("../out/x.o", import.meta.url)');
    expect(skeleton).toContain('from "../lib.js";');
  });

  test("can leave the skeleton out, or put the object in", async () => {
    rmSync("drops.bpf.ts", { force: true });
    expect((await ebpf("build", "--no-skeleton", source)).status).toBe(0);
    expect(existsSync("drops.bpf.ts")).toBe(false);
    expect((await ebpf("build", "--embed", source)).status).toBe(0);
    const text = readFileSync("drops.bpf.ts", "utf8");
    expect(text).not.toContain("import.meta.url");
    expect(text).toContain(readFileSync("drops.bpf.o").toString("base64"));
  });

  test("makes vmlinux.h when the source includes it, or takes the one it is given", async () => {
    writeFileSync("mine.h", "#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\ntypedef unsigned int mine;\n#endif\n");
    writeFileSync(
      "types.bpf.c",
      '#include "vmlinux.h"\nmine value;\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n',
    );
    expect(await ebpf("build", "--vmlinux", "mine.h", "types.bpf.c")).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync("types.bpf.ts", "utf8")).toContain("value: number;");
    if (!existsSync("/sys/kernel/btf/vmlinux")) return;
    writeFileSync(
      "kernel.bpf.c",
      '#include "vmlinux.h"\nstruct task_struct *task;\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n',
    );
    vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"));
    expect(await ebpf("build", "kernel.bpf.c")).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync("kernel.bpf.ts", "utf8")).toContain("task: bigint;");
    vi.unstubAllEnvs();
  });

  test("shows errors as clang shows them, and fails", async () => {
    writeFileSync("wrong.bpf.c", "int first(void) {\n\treturn missing;\n}\n");
    const failed = await ebpf("build", "wrong.bpf.c");
    expect(failed).toMatchObject({ status: ExitStatus.failure, stdout: "" });
    expect(failed.stderr).toMatch(
      /^wrong\.bpf\.c:2:9: error: use of undeclared identifier 'missing'\n.*return missing;/s,
    );
    expect(failed.stderr).toContain("1 error generated.");
    expect(existsSync("wrong.bpf.o")).toBe(false);
  });

  test("shows warnings, and goes on", async () => {
    writeFileSync("warns.bpf.c", `${SOURCE}static int unused(void) { return 1; }\n`);
    const built = await ebpf("build", "warns.bpf.c");
    expect(built.status).toBe(0);
    expect(built.stderr).toContain("warning: unused function 'unused'");
  });

  test("says what to install where there is no clang", async () => {
    vi.stubEnv("PATH", folder);
    const failed = await ebpf("build", source);
    expect(failed.status).toBe(ExitStatus.failure);
    expect(failed.stderr).toMatch(
      /^ebpf: compiling BPF needs clang, which is not on PATH: install it \(.*apt install clang.*EBPF_CLANG\n$/,
    );
    vi.unstubAllEnvs();
    expect((await ebpf("build", "--clang", "/bin/false", source)).stderr).toContain(
      '"/bin/false" is not a clang that runs',
    );
  });

  test("builds again when a header changes, until it is told to end", async () => {
    const controller = new AbortController();
    const stdout = new Text();
    const stderr = new Text();
    // The very first build fails, for a mistake in the header.
    writeFileSync("limits.h", "#define LIMIT 128\nint mistaken(\n");
    const done = runCommand(["build", "--watch", source], { stdout, stderr }, { signal: controller.signal });
    const watching = (times: number) =>
      vi.waitFor(() => expect(stderr.text.match(/watching drops\.bpf\.c/g) ?? []).toHaveLength(times), {
        timeout: 30_000,
        interval: 20,
      });
    await watching(1);
    expect(stderr.text).toContain("limits.h:2:13: note: to match this '('");
    writeFileSync("limits.h", "#define LIMIT 256\n");
    await watching(2);
    expect(stderr.text).toContain("ebpf: limits.h changed\n");
    expect(readFileSync("drops.bpf.ts", "utf8")).toContain("BPF_MAP_TYPE_LRU_HASH, 256 entries.");
    appendFileSync(source, "syntax error\n");
    await watching(3);
    expect(stderr.text).toContain("error: unknown type name 'syntax'");
    writeFileSync(source, SOURCE);
    await watching(4);
    controller.abort();
    expect(await done).toBe(0);
  });

  test("sees files that are put in another's place, that are new, and that are gone and come back", async () => {
    mkdirSync("watched/more", { recursive: true });
    const at = (name: string) => join("watched", name);
    const code = (includes: string) =>
      `#include <linux/types.h>\n${includes}\n__u32 value = VALUE;\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n`;
    writeFileSync(at("values.h"), "#define VALUE 1\n");
    writeFileSync(at("w.bpf.c"), code('#include "values.h"'));
    const controller = new AbortController();
    const stderr = new Text();
    const done = runCommand(
      ["build", "--watch", "--no-skeleton", at("w.bpf.c")],
      { stdout: new Text(), stderr },
      { signal: controller.signal },
    );
    let builds = 0;
    const built = () => {
      builds++;
      return vi.waitFor(() => expect(stderr.text.match(/watching watched\/w\.bpf\.c/g) ?? []).toHaveLength(builds), {
        timeout: 30_000,
        interval: 20,
      });
    };
    const said = () => stderr.text.split("\n").filter((line) => !/watching/.test(line) && line !== "");
    await built();
    // As editors save: a new file, renamed over the old one; twice, since the first leaves another inode.
    for (const value of [2, 3]) {
      writeFileSync(at("values.h~"), `#define VALUE ${value}\n`);
      renameSync(at("values.h~"), at("values.h"));
      await built();
    }
    expect(said()).toEqual(Array(2).fill("ebpf: watched/values.h changed"));
    // A header that was not included before, in another folder.
    writeFileSync(at("more/new.h"), "#define VALUE 4\n");
    writeFileSync(at("w.bpf.c"), code('#include "more/new.h"'));
    await built();
    writeFileSync(at("more/new.h"), "#define VALUE 5\n");
    await built();
    expect(said().slice(2)).toEqual(["ebpf: watched/w.bpf.c changed", "ebpf: watched/more/new.h changed"]);
    rmSync(at("more/new.h"));
    await built();
    expect(stderr.text).toContain("fatal error: 'more/new.h' file not found");
    writeFileSync(at("more/new.h"), "#define VALUE 6\n");
    await built();
    rmSync(at("w.bpf.c"));
    await built();
    expect(stderr.text).toContain("ebpf: build: no such file: watched/w.bpf.c\n");
    writeFileSync(at("w.bpf.c"), code('#include "more/new.h"'));
    await built();
    expect(stderr.text).toMatch(
      /watched\/w\.bpf\.c changed\nebpf: watching watched\/w\.bpf\.c and what it includes; Ctrl-C ends it\n$/,
    );
    controller.abort();
    expect(await done).toBe(0);
  });
});

describe("gen", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    writeFileSync("limits.h", "#define LIMIT 128\n");
    writeFileSync("drops.bpf.c", SOURCE);
    await ebpf("build", "--no-skeleton", "drops.bpf.c");
  });

  test("names the class after the file, unless its module has another use for the name", async () => {
    for (const [file, name] of [
      ["hash_map", "BpfHashMap"],
      ["object", "BpfObject"],
      ["opened", "BpfOpened"],
      ["promise", "BpfPromise"],
      ["2nd", "Bpf2nd"],
      ["map_of_flows", "MapOfFlows"],
    ] as const) {
      copyFileSync("drops.bpf.o", `${file}.bpf.o`);
      expect((await ebpf("gen", `${file}.bpf.o`)).stdout).toContain(`class ${name}: `);
      expect(readFileSync(`${file}.bpf.ts`, "utf8")).toContain(`export class ${name} extends LoadedObject`);
    }
  });

  test("writes to standard output on request, and nothing else there", async () => {
    const made = await ebpf("gen", "-o", "-", "drops.bpf.o");
    expect(made).toMatchObject({ status: 0, stderr: "" });
    expect(made.stdout.startsWith("/**\n * The types of drops.bpf.o")).toBe(true);
    expect(await ebpf("gen", "drops.bpf.o", "--output=-")).toEqual(made);
  });

  test.each([
    ["a missing file", "nothing.bpf.o", /^ebpf: open: no such file: nothing\.bpf\.o\n$/],
    ["a source", "drops.bpf.c", /^ebpf: open: drops\.bpf\.c is not an ELF file/],
    ["a folder", ".", /^ebpf: open: cannot read \./],
  ])("%s is one line on stderr", async (_what, path, message) => {
    const failed = await ebpf("gen", path);
    expect(failed).toMatchObject({ status: ExitStatus.failure, stdout: "" });
    expect(failed.stderr).toMatch(message);
    expect(failed.stderr.trimEnd()).not.toContain("\n");
  });

  test("a truncated object, a class that cannot be one, a place that cannot be written", async () => {
    writeFileSync("cut.bpf.o", readFileSync("drops.bpf.o").subarray(0, 600));
    for (const args of [
      ["cut.bpf.o"],
      ["drops.bpf.o", "--class", "1st"],
      ["drops.bpf.o", "--class", "class"],
      ["drops.bpf.o", "--class", "RingBuffer"],
      ["drops.bpf.o", "-o", "/proc/nowhere/x.ts"],
      ["drops.bpf.o", "-o", "/dev/full"],
      ["drops.bpf.o", "-o", "/"],
    ]) {
      const failed = await ebpf("gen", ...args);
      expect(failed).toMatchObject({ status: ExitStatus.failure, stdout: "" });
      expect(failed.stderr).toMatch(/^ebpf: /);
      expect(failed.stderr).not.toMatch(/\n {4}at /);
    }
  });
});

describe("inspect", { timeout: 60_000 }, () => {
  test("says what is in an object, to people and to programs", async () => {
    await ebpf("build", source);
    const text = await ebpf("inspect", "drops.bpf.o");
    expect(text).toMatchObject({ status: 0, stderr: "" });
    expect(text.stdout).toMatch(/watch {2}SEC\("xdp"\) {2}xdp {2}\d+ instructions/);
    expect(text.stdout).toContain("records: struct drop");
    expect(text.stdout).toContain("Oldest kernel that has all of this: 5.8.");
    const json = await ebpf("inspect", "--json", "drops.bpf.o");
    const found = JSON.parse(json.stdout) as Inspection;
    expect(found.programs).toMatchObject([{ name: "watch", section: "xdp", type: "xdp", coreRelocations: 0 }]);
    expect(found.maps.find(({ name }) => name === "counts")).toMatchObject({
      type: "BPF_MAP_TYPE_LRU_HASH",
      key: "__u32",
      value: "__u64",
      maxEntries: 128,
    });
    expect(found.sections.find(({ name }) => name === ".rodata")?.variables.map(({ name }) => name)).toContain("only");
    expect(found.minimumKernel).toBe("5.8");
  });

  test("counts the helpers that programs call, and functions for them, to the oldest kernel", async () => {
    writeFileSync(
      "helpers.bpf.c",
      `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
__u64 seen;
static __attribute__((noinline)) int shared(__u64 more) { seen += more + bpf_ktime_get_tai_ns(); return 0; }
SEC("raw_tp") int old(void *ctx) { seen = bpf_ktime_get_ns(); return 0; }
SEC("raw_tp") int newer(void *ctx) { seen = bpf_get_attach_cookie(ctx) + bpf_ktime_get_ns(); return shared(seen); }
char _license[] SEC("license") = "GPL";
`,
    );
    expect(await ebpf("build", "helpers.bpf.c")).toMatchObject({ status: 0, stderr: "" });
    const found = JSON.parse((await ebpf("inspect", "--json", "helpers.bpf.o")).stdout) as Inspection;
    expect(found.programs.map(({ helpers }) => helpers)).toEqual([
      ["bpf_ktime_get_ns"],
      ["bpf_ktime_get_ns", "bpf_get_attach_cookie"],
    ]);
    expect(found.sharedHelpers).toEqual(["bpf_ktime_get_tai_ns"]);
    expect(found.requirements).toContainEqual({
      feature: "helper bpf_get_attach_cookie",
      since: "5.15",
      because: "program newer",
    });
    expect(found.minimumKernel).toBe("6.1");
    const text = await ebpf("inspect", "helpers.bpf.o");
    expect(text.stdout).toMatch(/helper bpf_ktime_get_tai_ns +Linux 6\.1 +functions that programs share/);
    expect(text.stdout).toMatch(/\nOldest kernel that has all of this: 6\.1\.\n$/);
  });

  test("all of it: an arena with variables in it, and a function of the kernel's", async () => {
    const object = fileURLToPath(new URL("../../fixtures/maps_arena.bpf.o", import.meta.url));
    const { stdout, stderr, status } = await ebpf("inspect", "--json", object);
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const program = (name: string) => ({
      name,
      section: "syscall",
      optional: false,
      type: "syscall",
      instructions: expect.any(Number),
      coreRelocations: 0,
      helpers: [],
    });
    expect(JSON.parse(stdout)).toEqual({
      file: object,
      bytes: readFileSync(object).byteLength,
      programs: [program("make"), program("add_up")],
      sharedHelpers: [],
      maps: [
        {
          name: "arena",
          type: "BPF_MAP_TYPE_ARENA",
          key: null,
          value: null,
          keySize: 0,
          valueSize: 0,
          maxEntries: 16,
          size: "16 pages",
          record: null,
          pinned: false,
        },
      ],
      sections: [
        {
          name: ".bss",
          bytes: 16,
          variables: [
            { name: "head", type: "struct node *", offset: 0, size: 8 },
            { name: "sum", type: "__u64", offset: 8, size: 8 },
          ],
        },
        {
          name: ".addr_space.1",
          bytes: 24,
          variables: [
            { name: "last", type: "struct node", offset: 0, size: 16 },
            { name: "visits", type: "__u64", offset: 16, size: 8 },
          ],
        },
      ],
      types: expect.any(Number),
      coreRelocations: { total: 0, bySection: {}, byType: {} },
      requirements: [
        { feature: "program type syscall", since: "5.14", because: "program make" },
        { feature: "map type arena", since: "6.9", because: "map arena" },
        { feature: "global variables", since: "5.2", because: "data sections" },
        { feature: "casts of arena pointers", since: "6.9", because: "program make" },
        { feature: "32-bit comparisons", since: "5.1", because: "program add_up" },
        {
          feature: "kernel function bpf_arena_alloc_pages",
          since: "5.13",
          because: "extern __ksym: kernels differ in which functions they offer",
        },
      ],
      minimumKernel: "6.9",
    });
  });

  test("counts CO-RE relocations by program and by type", async () => {
    writeFileSync(
      "core.bpf.c",
      `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct task_struct { int pid; int tgid; struct task_struct *real_parent; } __attribute__((preserve_access_index));
int seen;
SEC("raw_tp/sys_enter") int one(void *ctx) { struct task_struct *t = (void *)bpf_get_current_task(); seen = BPF_CORE_READ(t, real_parent, tgid); return 0; }
SEC("kprobe/do_exit") int two(void *ctx) { struct task_struct *t = (void *)bpf_get_current_task(); seen = BPF_CORE_READ(t, pid); return 0; }
char _license[] SEC("license") = "GPL";
`,
    );
    expect(await ebpf("build", "core.bpf.c")).toMatchObject({ status: 0, stderr: "" });
    const found = JSON.parse((await ebpf("inspect", "--json", "core.bpf.o")).stdout) as Inspection;
    expect(found.coreRelocations).toEqual({
      total: 3,
      bySection: { "raw_tp/sys_enter": 2, "kprobe/do_exit": 1 },
      byType: { "struct task_struct": 3 },
    });
    expect(found.programs.map(({ name, coreRelocations }) => [name, coreRelocations])).toEqual([
      ["one", 2],
      ["two", 1],
    ]);
    expect(found.requirements.map(({ feature }) => feature)).toContain("kernel BTF (CONFIG_DEBUG_INFO_BTF)");
  });
});

describe("vmlinux", { timeout: 60_000 }, () => {
  test("writes the types of a BTF file as a header that compiles", async () => {
    await ebpf("build", source);
    const made = await ebpf("vmlinux", "--btf", "drops.bpf.o", "-o", "vmlinux.h");
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const header = readFileSync("vmlinux.h", "utf8");
    expect(header).toMatch(/^#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n/);
    expect(header).toContain("preserve_access_index");
    expect(header).toContain("struct drop {\n\t__u64 time_ns;\n\t__u32 reason;\n\tchar comm[16];\n};");
    writeFileSync(
      "uses.bpf.c",
      '#include "vmlinux.h"\nstruct drop last;\nchar _license[] __attribute__((section("license"), used)) = "GPL";\n',
    );
    expect(await ebpf("build", "uses.bpf.c")).toMatchObject({ status: 0, stderr: "" });
  });

  test("says what is wrong with what it is given", async () => {
    writeFileSync("text.btf", "not BTF");
    expect(await ebpf("vmlinux", "--btf", "text.btf")).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/^ebpf: text\.btf has no BTF that libbpf can read/),
    });
    expect(await ebpf("build", "--vmlinux", "/", source)).toMatchObject({
      status: 1,
      stdout: "",
      stderr: "ebpf: / is not a file: give a vmlinux.h, or BTF\n",
    });
    expect(await ebpf("vmlinux", "--btf", "none.btf")).toMatchObject({
      status: 1,
      stdout: "",
      stderr: "ebpf: no such file: none.btf\n",
    });
  });
});

describe("being called wrongly is status 2 and a hint", () => {
  test.each([
    [["bild"], "(Did you mean build?)"],
    [["build"], "missing required argument 'file'"],
    [["gen", "a", "b"], "too many arguments"],
    [["build", "--wacht", "x.bpf.c"], "(Did you mean --watch?)"],
    [["build", "--arch", "amd64", "x.bpf.c"], "Allowed choices are arm, arm64, loong64, ppc64, riscv64, s390x, x64."],
    [["build", "-o", "x.o", "a.bpf.c", "b.bpf.c"], "--output names one file, and there are 2 sources"],
  ])("%s", async (args, message) => {
    const failed = await ebpf(...args);
    expect(failed).toMatchObject({ status: ExitStatus.usage, stdout: "" });
    expect(failed.stderr).toMatch(/^ebpf: /);
    expect(failed.stderr).toContain(message);
    expect(failed.stderr).toContain("--help shows how");
  });

  test("a file that is no C source", async () => {
    expect(await ebpf("build", "drops.bpf.o")).toMatchObject({
      status: 1,
      stderr: "ebpf: drops.bpf.o is not a C source: its name must end in .bpf.c or .c\n",
    });
  });
});

describe("help", () => {
  test.each([["--help"], ["build", "--help"], ["gen", "-h"], ["help", "vmlinux"], ["inspect", "--help"]])(
    "%s %s",
    async (...args) => {
      const shown = await ebpf(...args.filter((arg) => arg !== undefined));
      expect(shown).toMatchObject({ status: 0, stderr: "" });
      expect(shown.stdout).toMatch(/^Usage: ebpf /);
      expect(shown.stdout).toMatch(args.length === 1 ? /From C to a running tool/ : /Examples:\n {2}\$ ebpf /);
    },
  );

  test("every command that there is explains itself, and shows how it is called", async () => {
    const { stdout } = await ebpf("--help");
    const commands = [...(stdout.split("\nCommands:\n")[1] ?? "").matchAll(/^ {2}([a-z]+) /gm)].map(
      ([, name]) => name ?? "",
    );
    expect(commands).toEqual(["build", "gen", "vmlinux", "inspect", "features", "prog", "map", "link", "help"]);
    for (const command of commands.slice(0, -1)) {
      const help = await ebpf(command, "--help");
      expect(help, command).toMatchObject({ status: 0, stderr: "" });
      expect(help.stdout, command).toMatch(new RegExp(`^Usage: ebpf ${command}`));
      expect(help.stdout, command).toMatch(/\nExamples:\n {2}\$ ebpf \w+/);
    }
  });

  test("--version is the package's", async () => {
    const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(await ebpf("--version")).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: "" });
  });
});

describe("colours", () => {
  test("are for terminals, and NO_COLOR turns them off", async () => {
    const failing = async () => {
      const stderr = new Text(true);
      await runCommand(["gen", "nothing.bpf.o"], { stdout: new Text(), stderr });
      return stderr.text;
    };
    vi.stubEnv("NO_COLOR", "1");
    expect(await failing()).toMatch(/^ebpf: /);
    // As no-color.org has it: set and not empty.
    vi.stubEnv("NO_COLOR", "");
    expect(await failing()).toContain("\u001b[31mebpf:\u001b[39m ");
    vi.unstubAllEnvs();
  });
});

describe("as a program", () => {
  test("the built command answers, and a closed pipe is no error", { timeout: 60_000 }, async () => {
    await ebpf("build", source);
    const main = new URL("../../../dist/cli/main.js", import.meta.url).pathname;
    expect(existsSync(main), "npm run build makes it").toBe(true);
    const run = spawnSync("/bin/sh", ["-c", `"${process.execPath}" "${main}" gen -o - drops.bpf.o | head -1`], {
      encoding: "utf8",
    });
    expect(run).toMatchObject({ status: 0, stdout: "/**\n", stderr: "" });
    const full = spawnSync("/bin/sh", ["-c", `"${process.execPath}" "${main}" gen -o - drops.bpf.o > /dev/full`], {
      encoding: "utf8",
    });
    expect(full).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^ebpf: cannot write the output: ENOSPC.*\n$/),
    });
    // What nobody reads is no reason to leave the other files unbuilt.
    const sources = ["first.bpf.c", "second.bpf.c"];
    for (const file of sources) writeFileSync(file, SOURCE);
    const unread = spawnSync(
      "/bin/sh",
      ["-c", `{ { "${process.execPath}" "${main}" build ${sources.join(" ")}; echo $? >&3; } | true; } 3>&1`],
      { encoding: "utf8" },
    );
    expect(unread).toMatchObject({ stdout: "0\n", stderr: "" });
    for (const file of sources) expect(existsSync(file.replace(/\.c$/, ".ts")), file).toBe(true);
    // The status is told through a pipe of its own, as no one reads standard error.
    for (const [args, status] of [
      ["gen nothing.bpf.o", "1\n"],
      ["bild", "2\n"],
    ]) {
      const closed = spawnSync(
        "/bin/sh",
        ["-c", `{ { "${process.execPath}" "${main}" ${args} 2>&1 >/dev/null; echo $? >&3; } | true; } 3>&1`],
        { encoding: "utf8" },
      );
      expect(closed, args).toMatchObject({ stdout: status, stderr: "" });
    }
    const wrong = spawnSync(process.execPath, [main, "gen", "nothing.bpf.o"], { encoding: "utf8" });
    expect(wrong).toMatchObject({ status: 1, stdout: "", stderr: "ebpf: open: no such file: nothing.bpf.o\n" });
  });
});
