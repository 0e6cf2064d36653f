/** BPF C compiled at run time. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfError, BpfObject } from "ebpf";
import { build, CompileError, vmlinuxHeader } from "ebpf/build";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { parseDiagnostics } from "../../../lib/build/compile_error.js";

const PROGRAM = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <ebpf/events.h>
struct hit { __u64 time_ns; };
EBPF_RINGBUF(hits, struct hit, 4096);
__u64 seen;
SEC("raw_tp/sys_enter") int on_enter(void *ctx) { seen++; return 0; }
char _license[] SEC("license") = "GPL";
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ebpf-build-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

async function failure(...args: Parameters<typeof build>): Promise<BpfError> {
  return build(...args).then(
    () => expect.fail("it was built"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(BpfError);
      return error as BpfError;
    },
  );
}

describe("build", { timeout: 60_000 }, () => {
  test("text becomes an object that opens", async () => {
    const { object, diagnostics, output, clang, dependencies } = await build({ code: PROGRAM });
    expect({ diagnostics, output }).toEqual({ diagnostics: [], output: "" });
    expect(clang.major).toBeGreaterThanOrEqual(14);
    expect(dependencies.some((path) => path.endsWith("/ebpf/events.h"))).toBe(true);
    using opened = BpfObject.open(object);
    expect(Object.keys(opened.programs)).toEqual(["on_enter"]);
    expect(Object.keys(opened.maps)).toEqual(["hits"]);
  });

  test("a file is compiled with its own headers, and names what it was made from", async () => {
    mkdirSync(join(folder, "a folder"), { recursive: true });
    const file = join(folder, "a folder", "with space.bpf.c");
    writeFileSync(join(folder, "a folder", "own.h"), "#define VALUE 7\n");
    writeFileSync(file, `#include "own.h"\nint value = VALUE + MORE;\n_Static_assert(FLAG == 1, "");\n`);
    const { dependencies } = await build({ file }, { define: { MORE: 3, FLAG: true } });
    expect(dependencies).toEqual([file, join(folder, "a folder", "own.h")]);
  });

  test("the source's line is in the object, for the verifier's errors", async () => {
    const { object } = await build({ code: PROGRAM, name: "named.bpf.c" });
    expect(Buffer.from(object).includes("int on_enter(void *ctx) { seen++; return 0; }")).toBe(true);
    expect(Buffer.from(object).includes("named.bpf.c")).toBe(true);
  });

  test("leaves nothing behind, whatever happens", async () => {
    vi.stubEnv("TMPDIR", folder);
    await build({ code: PROGRAM });
    await failure({ code: "wrong" });
    expect(
      readdirSync(folder).filter((name) => name.startsWith("ebpf-build-") && !name.startsWith("ebpf-build-test")),
    ).toEqual([]);
  });

  test("warnings are told, errors thrown, both as data and as clang writes them", async () => {
    const { diagnostics, output } = await build({ code: `${PROGRAM}\nstatic int unused(void) { return 1; }` });
    expect(diagnostics).toEqual([
      {
        severity: "warning",
        message: "unused function 'unused' [-Wunused-function]",
        file: "program.bpf.c",
        line: 11,
        column: 12,
      },
    ]);
    expect(output).toContain("11 | static int unused(void)");

    const error = await failure({ code: "int f(void) { return x; }\nint g(void) { return y; }\n", name: "bad.bpf.c" });
    expect(error).toBeInstanceOf(CompileError);
    expect(error.code).toBe("COMPILE_FAILED");
    expect(error.message).toMatch(
      /^clang rejected bad\.bpf\.c: bad\.bpf\.c:1: use of undeclared identifier 'x' \(and 1 more\)\nbad\.bpf\.c:1:22: error:/,
    );
    expect((error as CompileError).diagnostics.map(({ severity, line, column }) => [severity, line, column])).toEqual([
      ["error", 1, 22],
      ["error", 2, 22],
    ]);
  });

  test("a header that is not there is clang's error", async () => {
    const error = await failure({ code: '#include "nothing.h"\n' });
    expect(error.code).toBe("COMPILE_FAILED");
    expect(error.message).toContain("'nothing.h' file not found");
  });

  test("vmlinux.h is made once, kept, and taken from where it is said to be", async () => {
    const cache = join(folder, "cache");
    vi.stubEnv("XDG_CACHE_HOME", cache);
    const { object } = await build({ code: PROGRAM });
    const btf = join(folder, "types.o");
    writeFileSync(btf, object);
    const source = { code: '#include "vmlinux.h"\nstruct hit last;\n' };
    await build(source, { vmlinux: btf });
    const [made] = readdirSync(join(cache, "ebpf"));
    expect(made).toMatch(/^vmlinux-[0-9a-f]{20}$/);
    await build(source, { vmlinux: btf });
    expect(readdirSync(join(cache, "ebpf"))).toEqual([made]);
    expect(vmlinuxHeader(btf)).toContain("struct hit {\n\t__u64 time_ns;\n};");
    expect((await failure(source, { vmlinux: join(folder, "none") })).message).toBe(
      `no such file: ${join(folder, "none")}`,
    );
  });

  test("for other machines: which registers hold arguments is theirs", async () => {
    const code = `#if defined(__TARGET_ARCH_arm64) && !defined(__TARGET_ARCH_x86)
#include <linux/types.h>
__u64 theirs;
#elif defined(__TARGET_ARCH_x86) && !defined(__TARGET_ARCH_arm64)
int ours;
#endif\n`;
    const built = async (arch: "arm64" | "x64") =>
      Buffer.from((await build({ code }, { arch })).object).toString("latin1");
    expect(await built("arm64")).toContain("theirs");
    expect(await built("x64")).toContain("ours");
    expect((await failure({ code }, { arch: "amd64" as never })).message).toMatch(
      /option "arch" must be .*"arm64" or .*"x64", got "amd64"/,
    );
  });

  test("a cache that cannot be written does not matter", async () => {
    if (!existsSync("/sys/kernel/btf/vmlinux")) return;
    vi.stubEnv("XDG_CACHE_HOME", "/proc/nowhere");
    vi.stubEnv("TMPDIR", folder);
    await build({ code: '#include "vmlinux.h"\nstruct task_struct *task;\n' });
    expect(readdirSync(folder).some((name) => /^ebpf-\d+$/.test(name))).toBe(true);
  });

  test("no clang says what to install; a wrong one is not used", async () => {
    expect((await failure({ code: PROGRAM }, { clang: "/nowhere/clang" })).message).toMatch(
      /^"\/nowhere\/clang" is not a clang that runs: install it/,
    );
    vi.stubEnv("EBPF_CLANG", "/bin/true");
    expect(await failure({ code: PROGRAM })).toMatchObject({ code: "TOOL_MISSING" });
    vi.unstubAllEnvs();
    vi.stubEnv("PATH", folder);
    const error = await failure({ code: PROGRAM });
    expect(error).toMatchObject({
      code: "TOOL_MISSING",
      message: expect.stringMatching(/^compiling BPF needs clang, which is not on PATH: install it \(/),
    });
  });

  test("a clang that is too old says which is needed", async () => {
    const old = join(folder, "clang-old");
    writeFileSync(old, "#!/bin/sh\necho Debian clang version 13.0.1\n", { mode: 0o755 });
    expect(await failure({ code: PROGRAM }, { clang: old })).toMatchObject({
      code: "TOOL_MISSING",
      message: expect.stringMatching(/^Debian clang version 13\.0\.1 is too old: clang 14 or newer is needed/),
    });
  });

  test("wrong arguments are refused by name", async () => {
    const wrong = async (source: unknown, options?: unknown) =>
      (await failure(source as never, options as never)).message;
    expect(await wrong({})).toBe("build: the source must be { file: path } or { code: text }");
    expect(await wrong({ file: "a", code: "b" })).toBe("build: the source must be { file: path } or { code: text }");
    expect(await wrong({ code: "", name: "../x.c" })).toBe('build: name must be a file name, got "../x.c"');
    expect(await wrong({ file: join(folder, "no.c") })).toBe(`build: no such file: ${join(folder, "no.c")}`);
    expect(await wrong({ file: folder })).toBe(`build: ${folder} is not a file`);
    expect(await wrong({ code: "" }, { incldue: [] })).toContain('unknown option "incldue" (did you mean "include"?)');
    expect(await wrong({ code: "" }, { define: { A: {} } })).toContain(
      'option "define" must be an object of strings, numbers and true',
    );
  });

  test("can be given up", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(build({ code: PROGRAM }, { signal })).rejects.toThrow("enough");
  });
});

test("clang's messages are understood in all their forms", () => {
  const output = [
    "In file included from a.c:1:",
    "\u001b[1m./a.h:3:1: \u001b[0m\u001b[0;1;31merror: \u001b[0m\u001b[1munknown type name 'x'\u001b[0m",
    "x y;",
    "^",
    "a.c:9:2: fatal error: too many errors",
    "clang-19: error: unknown argument: '-fnothing'",
    "warning: no place at all",
    "a.c:4:5: note: here",
    "2 errors generated.",
  ].join("\n");
  expect(parseDiagnostics(output)).toEqual([
    { severity: "error", message: "unknown type name 'x'", file: "./a.h", line: 3, column: 1 },
    { severity: "error", message: "too many errors", file: "a.c", line: 9, column: 2 },
    {
      severity: "error",
      message: "unknown argument: '-fnothing'",
      file: undefined,
      line: undefined,
      column: undefined,
    },
    { severity: "warning", message: "no place at all", file: undefined, line: undefined, column: undefined },
    { severity: "note", message: "here", file: "a.c", line: 4, column: 5 },
  ]);
});
