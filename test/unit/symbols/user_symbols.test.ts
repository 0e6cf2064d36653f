/** Names of addresses of processes that the test compiles itself, by what they say of themselves. */
import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type UserSymbol, UserSymbols } from "ebpf";
import { describe, expect, test } from "vitest";
import { Child, run } from "../../kernel/support/run.js";
import { SymbolsBinary, SymbolsChild } from "../../kernel/support/symbols_child.js";
import { until } from "../../kernel/support/until.js";

/** Compilers are at work, of which several may be. */
const TIME = { timeout: 60_000 };
const symbols = new UserSymbols();
const root = process.geteuid?.() === 0;

/** What is found of each of the names, at its start and a byte into it. */
function named(child: SymbolsChild, names: readonly string[]): (string | undefined)[] {
  const found = symbols.process(child.pid);
  return names.flatMap((name) => {
    const at = child.at(name);
    const [start, inside] = [found.find(at), found.find(at + 1n)];
    expect(start.offset).toBe(0);
    if (inside.name !== undefined) expect(inside).toMatchObject({ name: start.name, offset: 1 });
    return start.name;
  });
}

function buildIdOf(file: string): string {
  return /Build ID: ([0-9a-f]+)/.exec(run("readelf", "-n", file))?.[1] ?? "none";
}

const OWN = ["inner", "middle", "outer", "main", "alias_of"];

describe("functions of a running program", TIME, () => {
  test.each([
    ["that is moved as a whole (PIE)", ["-pie"]],
    ["that is not (no PIE)", ["-no-pie"]],
    [
      "whose segments lie at other places than in the file",
      ["-pie", "-Wl,-z,separate-code", "-Wl,-z,max-page-size=0x200000"],
    ],
    ["that stayed at an odd address", ["-no-pie", "-Wl,-Ttext-segment=0x7000000"]],
  ])("%s", async (_, flags) => {
    using binary = new SymbolsBinary(...flags);
    await using child = await SymbolsChild.start(binary.program);
    expect(named(child, OWN)).toEqual(OWN);
    const found = symbols.process(child.pid);
    expect(found.problem).toBeUndefined();
    const inner = found.find(child.at("inner") + 2n);
    expect(inner).toMatchObject({ module: binary.program, buildId: buildIdOf(binary.program), unnamed: undefined });
    expect(symbols.describe(inner)).toBe(`inner+0x2 (${binary.program})`);
    // Of its own library, and of the C library, which has no other table than the dynamic one.
    expect(found.find(child.at("library_turn"))).toMatchObject({
      name: "library_turn",
      module: binary.library,
      buildId: buildIdOf(binary.library),
    });
    expect(found.find(child.at("qsort"))).toMatchObject({ name: "qsort", module: expect.stringContaining("libc") });
    // Where the file says it is.
    const offset = Number(inner.moduleOffset);
    const memory = readFileSync(binary.program).subarray(offset, offset + 8);
    expect(memory).toEqual(readFileSync(`/proc/${child.pid}/exe`).subarray(offset, offset + 8));
  });

  test("stripped: what it exports has a name, and what it does not has none", async () => {
    using binary = new SymbolsBinary("-pie", "-rdynamic", "-s");
    await using child = await SymbolsChild.start(binary.program);
    expect(named(child, OWN)).toEqual([undefined, ...OWN.slice(1)]);
    const inner = symbols.process(child.pid).find(child.at("inner"));
    expect(inner).toMatchObject({ unnamed: "no_symbol", module: binary.program, buildId: buildIdOf(binary.program) });
    expect(symbols.describe(inner)).toBe(`[unknown] (${binary.program}+0x${inner.moduleOffset?.toString(16)})`);
  });

  test.runIf(process.arch === "x64")(
    "of functions within one another the innermost, and none where none is",
    async () => {
      using binary = new SymbolsBinary("-pie");
      await using child = await SymbolsChild.start(binary.program);
      const found = symbols.process(child.pid);
      const at = (offset: number) => {
        const { name, offset: into, unnamed } = found.find(child.at("around") + BigInt(offset));
        return unnamed ?? `${name}+${into}`;
      };
      expect([0, 3, 4, 7, 8, 15, 16, 31].map(at)).toEqual([
        "around+0",
        "around+3",
        "within+0",
        "within+3",
        "around+8",
        "around+15",
        "no_symbol",
        "no_symbol",
      ]);
    },
  );

  test("a stack's return addresses are of the call before them", async () => {
    using binary = new SymbolsBinary("-pie");
    await using child = await SymbolsChild.start(binary.program);
    const start = child.at("middle");
    const [first, second] = symbols.process(child.pid).stack([start, start]) as [UserSymbol, UserSymbol];
    expect(first).toMatchObject({ name: "middle", offset: 0, address: start });
    // As if the last thing that the function before it does were a call.
    expect(second.name).not.toBe("middle");
    expect(second.address).toBe(start);
    expect(symbols.process(child.pid).stack([start, start + 1n])[1]).toMatchObject({ name: "middle", offset: 1 });
  });

  test("data, and what is not mapped, say what they are", async () => {
    using binary = new SymbolsBinary("-pie");
    await using child = await SymbolsChild.start(binary.program);
    const found = symbols.process(child.pid);
    const what = (address: bigint) => {
      const { name, module, moduleOffset, unnamed } = found.find(address);
      return { name, module, moduleOffset, unnamed };
    };
    const none = { name: undefined, moduleOffset: undefined };
    expect(what(child.at("local"))).toEqual({ ...none, module: "[stack]", unnamed: "no_file" });
    expect(what(child.at("heap"))).toEqual({ ...none, module: "[heap]", unnamed: "no_file" });
    expect(what(0n)).toEqual({ ...none, module: undefined, unnamed: "not_mapped" });
    expect(what(2n ** 64n - 1n)).toEqual({ ...none, module: undefined, unnamed: "not_mapped" });
    expect(symbols.describe(found.find(16n))).toBe("0x10");
    const [, vdso] = /^([0-9a-f]+)-.*\[vdso\]$/m.exec(readFileSync(`/proc/${child.pid}/maps`, "utf8")) ?? [];
    expect(what(BigInt(`0x${vdso}`))).toMatchObject({ module: "[vdso]", unnamed: "no_file" });
    expect(() => found.find(5 as never)).toThrow("address must be a bigint, got 5");
  });
});

describe("files that are not where they were", TIME, () => {
  test.runIf(root)("a program that was deleted, or another in its place: the one that runs", async () => {
    using binary = new SymbolsBinary("-pie");
    await using child = await SymbolsChild.start(binary.program);
    // What has its name now has other functions at these places, or none.
    renameSync(binary.library, `${binary.library}.old`);
    writeFileSync(binary.program.replace("program", "other"), "no ELF");
    renameSync(binary.program.replace("program", "other"), binary.program);
    expect(named(child, OWN)).toEqual(OWN);
    unlinkSync(`${binary.library}.old`);
    expect(symbols.process(child.pid).find(child.at("library_turn"))).toMatchObject({
      name: "library_turn",
      // As the kernel names it: where it was last.
      module: `${binary.library}.old`,
    });
  });

  test.runIf(root)("a program that only a mount namespace of its own has", async () => {
    using binary = new SymbolsBinary("-pie");
    const inside = join(binary.folder, "inside");
    // The folder's copy is on a file system that nobody else sees; the original is gone before it is looked at.
    const script = `mkdir "$1" && mount -t tmpfs none "$1" && cp "$2" "$3" "$1" && exec "$1/$(basename "$2")"`;
    await using child = await SymbolsChild.start(
      ...(["unshare", "-m", "sh", "-c", script, "sh", inside, binary.program, binary.library] as const),
    );
    const program = join(inside, "program with blanks");
    expect(existsSync(program)).toBe(false);
    rmSync(binary.program);
    expect(named(child, OWN)).toEqual(OWN);
    expect(symbols.process(child.pid).find(child.at("main")).module).toBe(program);
  });

  test("of a process that has gone, or never was, nothing", async () => {
    using binary = new SymbolsBinary("-pie");
    let pid = 0;
    let inner = 0n;
    let buildId: string | undefined;
    {
      await using child = await SymbolsChild.start(binary.program);
      [pid, inner] = [child.pid, child.at("inner")];
      // Its symbols were read while it lived: of the same file they are known.
      buildId = symbols.process(pid).find(inner).buildId;
    }
    const gone = symbols.process(pid);
    expect(gone.problem).toBe("process_gone");
    expect(gone.find(inner)).toMatchObject({ address: inner, name: undefined, unnamed: "process_gone" });
    expect(symbols.process(2 ** 22).problem).toBe("process_gone");
    for (const pid of [0, -1, 1.5, 2 ** 22 + 1, "1" as never])
      expect(() => symbols.process(pid)).toThrow("pid must be a whole number from 1 to 4194304");
    // A build id is the file's, whoever mapped it.
    const [, address, size] =
      /^\s*\d+: ([0-9a-f]+)\s+(\d+) FUNC .* inner$/m.exec(run("readelf", "-sW", binary.program)) ?? [];
    const offset = BigInt(`0x${address}`);
    expect(Number(size)).toBeGreaterThan(8);
    expect(gone.stack([{ buildId, offset: offset + 1n, address: undefined }])[0]).toMatchObject({
      name: "inner",
      offset: 1,
      buildId,
      moduleOffset: offset + 1n,
    });
    expect(gone.stack([{ buildId: "00", offset, address: undefined }])[0]).toMatchObject({
      name: undefined,
      unnamed: "process_gone",
      buildId: "00",
    });
  });

  test.runIf(root)("a process that this user may not look into", async () => {
    const script = `
      import { UserSymbols } from "ebpf";
      process.setuid(65534);
      const symbols = new UserSymbols();
      const found = symbols.process(${process.pid});
      console.log(found.problem, found.find(4096n).unnamed, symbols.process(process.pid).problem);`;
    const child = new Child(process.execPath, ["--input-type=module", "--eval", script]);
    expect(await child.output()).toBe("permission_denied permission_denied undefined\n");
  });

  test.runIf(root)("one's own, without the privilege to open what it maps: by the names of its files", async () => {
    using binary = new SymbolsBinary("-pie");
    chmodSync(binary.folder, 0o755);
    const script = `
      import { spawn } from "node:child_process";
      import { createInterface } from "node:readline";
      import { UserSymbols } from "ebpf";
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const child = spawn(process.argv[1]);
      const at = {};
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === "ready") break;
        at[line.split(" ")[0]] = BigInt(line.split(" ")[1]);
      }
      const find = (name) => { const { name: found, unnamed } = new UserSymbols().process(child.pid).find(at[name]); return found ?? unnamed; };
      console.log(find("inner"), find("library_turn"));
      child.kill();`;
    const child = new Child(process.execPath, ["--input-type=module", "--eval", script, binary.program]);
    expect(await child.output()).toBe("inner library_turn\n");
  });
});

describe("files that are none, or damaged", TIME, () => {
  const look = async (bytes: Uint8Array, change?: (file: string) => void) => {
    using binary = new SymbolsBinary("-pie");
    const file = join(binary.folder, "given");
    writeFileSync(file, bytes);
    await using child = await SymbolsChild.start(binary.program, file);
    change?.(file);
    const found = symbols.process(child.pid).find(child.at("mapped") + 8n);
    expect(found).toMatchObject({ name: undefined, module: file, moduleOffset: 8n });
    // What is next to it is none the worse.
    expect(named(child, OWN)).toEqual(OWN);
    return found.unnamed;
  };

  test("text, nothing, and what was cut off while it is mapped", async () => {
    expect(await look(Buffer.alloc(5000, "no ELF"))).toBe("not_elf");
    expect(await look(Buffer.from("x"))).toBe("not_elf");
    using binary = new SymbolsBinary("-pie");
    const whole = readFileSync(binary.program);
    expect(await look(whole)).toBe("no_symbol");
    expect(await look(whole.subarray(0, whole.length / 2))).toBe("no_symbol");
    expect(await look(whole.subarray(0, 20))).toBe("not_elf");
    expect(await look(whole, (file) => truncateSync(file, 3))).toBe("not_elf");
    expect(await look(whole, (file) => truncateSync(file, whole.length - 1))).toBe("no_symbol");
  });

  test("tables that say to be larger than is read", async () => {
    using binary = new SymbolsBinary("-pie");
    const bytes = readFileSync(binary.program);
    const { headers, header } = sectionHeaders(bytes);
    const symtab = headers.find((at) => bytes.readUInt32LE(at + 4) === SHT_SYMTAB) as number;
    // In the file as it is there is no such size; sparse, as it may be, there is.
    bytes.writeBigUInt64LE(1n << 29n, symtab + 32);
    expect(header).toBeGreaterThan(0);
    expect(await look(bytes, (file) => truncateSync(file, 2 ** 30))).toBe("tables_too_large");
  });

  // Headers of the file, its segments and sections, words of its symbols, and its length.
  test.each([1, 2, 3])("an ELF file changed at random, seed %i", { timeout: 120_000 }, async (seed) => {
    using binary = new SymbolsBinary("-pie");
    const script = fileURLToPath(new URL("children/mutated_elf.mjs", import.meta.url));
    const child = new Child(process.execPath, [script, String(seed), "1500", binary.program]);
    const { code, signal, stdout, stderr } = await child.finished;
    expect({ code, signal }, `after ${stderr.slice(-2000)}`).toEqual({ code: 0, signal: null });
    const counts = JSON.parse(stdout) as Record<string, number>;
    // It did something: neither is all refused, nor nothing.
    for (const what of ["not_elf", "named", "unnamed"]) expect(counts[what], what).toBeGreaterThan(50);
  });
});

const SHT_SYMTAB = 2;

function sectionHeaders(bytes: Buffer): { headers: number[]; header: number } {
  const header = Number(bytes.readBigUInt64LE(40));
  return { header, headers: Array.from({ length: bytes.readUInt16LE(60) }, (_, i) => header + i * 64) };
}

describe("what just-in-time compilers write", TIME, () => {
  test("functions of JavaScript, by node --perf-basic-prof", { timeout: 60_000 }, async () => {
    const script = `
      function turnsWithAName(n) { let sum = 0; for (let i = 0; i < n; i++) sum = (sum * 31 + i) | 0; return sum; }
      for (let i = 0; i < 200; i++) turnsWithAName(100000);
      console.log("ready");
      setInterval(() => turnsWithAName(1000), 10);`;
    await using child = await SymbolsChild.start(process.execPath, "--perf-basic-prof", "--eval", script);
    const map = `/tmp/perf-${child.pid}.map`;
    try {
      const line = await until("the function in the perf map", () =>
        readFileSync(map, "utf8")
          .split("\n")
          .find((line) => /turnsWithAName/.test(line)),
      );
      const [start = "", , ...words] = line.split(" ");
      const address = BigInt(`0x${start.replace(/^0x/, "")}`);
      const found = symbols.process(child.pid).find(address + 3n);
      expect(found).toMatchObject({ name: words.join(" "), offset: 3, unnamed: undefined });
      expect(symbols.describe(found)).toMatch(/turnsWithAName.*\+0x3$/);
    } finally {
      rmSync(map, { force: true });
    }
  });

  test.runIf(root)("a perf map that is another user's, or no plain file, is not read", async () => {
    using binary = new SymbolsBinary("-pie");
    await using child = await SymbolsChild.start(binary.program);
    const map = `/tmp/perf-${child.pid}.map`;
    const heap = child.at("heap");
    const name = () => symbols.process(child.pid).find(heap).name;
    try {
      writeFileSync(map, `${heap.toString(16)} 10 compiled\n`);
      expect(name()).toBe("compiled");
      run("chown", "65534", map);
      expect(name()).toBeUndefined();
      unlinkSync(map);
      writeFileSync(join(binary.folder, "map"), `${heap.toString(16)} 10 compiled\n`);
      run("ln", "-s", join(binary.folder, "map"), map);
      expect(name()).toBeUndefined();
      unlinkSync(map);
      // To open a pipe would wait for who writes.
      run("mkfifo", map);
      expect(name()).toBeUndefined();
    } finally {
      rmSync(map, { force: true });
    }
  });
});

test("C++ as in the source, where it is asked for", TIME, async () => {
  using binary = new SymbolsBinary("-pie", "-Wl,--defsym=_ZN6Server6acceptEi=middle");
  await using child = await SymbolsChild.start(binary.program);
  const source = join(binary.folder, "server.cc");
  writeFileSync(
    source,
    `#include <cstdio>
     #include <unistd.h>
     struct Server { [[gnu::noinline]] long accept(int fd) { asm volatile(""); return fd + 1; } };
     int main() {
       long (Server::*member)(int) = &Server::accept;
       std::printf("accept %p\\nready\\n", *reinterpret_cast<void **>(&member));
       std::fflush(stdout);
       Server().accept(1);
       pause();
     }`,
  );
  run("g++", "-O1", "-pie", "-o", join(binary.folder, "server"), source);
  await using server = await SymbolsChild.start(join(binary.folder, "server"));
  const at = server.at("accept");
  expect(symbols.process(server.pid).find(at).name).toBe("_ZN6Server6acceptEi");
  const demangling = new UserSymbols({ demangle: true });
  expect(demangling.process(server.pid).find(at).name).toBe("Server::accept(int)");
  expect(demangling.process(child.pid).find(child.at("inner")).name).toBe("inner");
});

test("what is kept is bounded, and what was used last stays", TIME, async () => {
  using binary = new SymbolsBinary("-pie");
  await using child = await SymbolsChild.start(binary.program);
  const none = new UserSymbols({ cacheBytes: 0 });
  const found = none.process(child.pid);
  const buildId = found.find(child.at("inner")).buildId;
  // A file more, and the first was given up: a process that has gone cannot have it read again.
  const nobody = none.process(2 ** 22);
  const name = () => nobody.stack([{ buildId, offset: 0x1200n, address: undefined }])[0]?.unnamed;
  expect(name()).not.toBe("process_gone");
  found.find(child.at("qsort"));
  expect(name()).toBe("process_gone");
  expect(() => new UserSymbols({ cacheBytes: -1 })).toThrow('option "cacheBytes" must be');
  expect(() => new UserSymbols({ demangel: true } as never)).toThrow(
    'unknown option "demangel" (did you mean "demangle"?)',
  );
});
