#!/usr/bin/env node
/**
 * Compiles the BPF C of the package and of its tests: bpf/*.bpf.c and test/fixtures/*.bpf.c, each into a .bpf.o beside it.
 *
 * Examples may include vmlinux.h, as the guide does: it is made of the running kernel's BTF.
 *
 *   node scripts/build-bpf.mjs [--force] [--verbose] [file.bpf.c ...]
 *
 * Only what changed is compiled: the source, a header it includes (clang's own dependency file tells), the compiler or
 * its flags. A source may ask for flags of its own in a line `// cflags: ...`.
 *
 * Environment: EBPF_CLANG names the compiler (else the newest clang on PATH, 14 at least), EBPF_LLVM_STRIP the strip that
 * goes with it (else the one of the same version; without any, objects keep their DWARF and are larger, no more).
 */
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sourceFolders = ["bpf", "test/fixtures", "bench/ring", "bench/maps", "examples/balancer", "examples/drops"];
const oldestClang = 14; // 13 and before lack BTF type tags and miscompile some atomics

/** What this project calls an architecture, by Node's name for it: libbpf's __TARGET_ARCH_*, Debian's triplet. */
const architectures = {
  arm: { target: "arm", triplet: "arm-linux-gnueabihf" },
  arm64: { target: "arm64", triplet: "aarch64-linux-gnu" },
  loong64: { target: "loongarch", triplet: "loongarch64-linux-gnu" },
  ppc64: { target: "powerpc", triplet: "powerpc64le-linux-gnu" },
  riscv64: { target: "riscv", triplet: "riscv64-linux-gnu" },
  s390x: { target: "s390", triplet: "s390x-linux-gnu" },
  x64: { target: "x86", triplet: "x86_64-linux-gnu" },
};

function fail(message) {
  console.error(`build-bpf: ${message}`);
  process.exit(1);
}

/** Major version that a clang reports, or undefined when it does not run. */
function clangVersion(command) {
  const run = spawnSync(command, ["--version"], { encoding: "utf8" });
  const found = run.status === 0 ? /clang version (\d+)/.exec(run.stdout) : null;
  return found ? { command, major: Number(found[1]), text: run.stdout.split("\n")[0] } : undefined;
}

function findClang() {
  const asked = process.env["EBPF_CLANG"];
  if (asked) {
    return clangVersion(asked) ?? fail(`EBPF_CLANG is "${asked}", which is not a clang that runs`);
  }
  const names = new Set();
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      if (/^clang(-\d+)?$/.test(name)) names.add(name);
    }
  }
  const byVersion = [...names].map(clangVersion).filter((clang) => clang !== undefined);
  byVersion.sort((a, b) => b.major - a.major);
  const [newest] = byVersion;
  if (!newest) fail("no clang on PATH: install the package clang, or set EBPF_CLANG");
  if (newest.major < oldestClang) fail(`${newest.text} is too old: clang ${oldestClang} or newer is needed`);
  return newest;
}

/** llvm-strip -g drops DWARF and keeps .BTF and .BTF.ext; binutils' strip does not know BPF. */
function findStrip(clang) {
  const candidates = [process.env["EBPF_LLVM_STRIP"], `llvm-strip-${clang.major}`, "llvm-strip"];
  return candidates.find((name) => name && spawnSync(name, ["--version"]).status === 0);
}

function compilerFlags() {
  const architecture = architectures[process.arch];
  if (!architecture) fail(`no BPF target is known for the architecture ${process.arch}`);
  const flags = ["-g", "-O2", "-target", "bpf", "-mcpu=v3", `-D__TARGET_ARCH_${architecture.target}`];
  // Paths relative to the root, so that an object holds no path of the machine that built it.
  flags.push("-Wall", "-Werror", "-fdebug-compilation-dir=.", "-Ibpf/include");
  // Our own libbpf when it was obtained, with the kernel ABI headers that came with it; the system's otherwise.
  if (existsSync(join(root, ".deps/libbpf/include"))) flags.push("-isystem", ".deps/libbpf/include");
  // -target bpf has no multi-arch folder, and <linux/types.h> needs <asm/types.h> from there.
  const multiArch = `/usr/include/${architecture.triplet}`;
  if (existsSync(multiArch)) flags.push("-idirafter", multiArch);
  return flags;
}

/** Where the library, which `npm run build:lib` makes first, has the vmlinux.h that it makes for `ebpf build`. Asked for by examples only. */
async function vmlinuxFolder() {
  const module = join(root, "dist/build/vmlinux.js");
  if (!existsSync(module)) fail("vmlinux.h is made by the library: npm run build:lib comes first");
  const library = await import(module);
  return library.vmlinuxFolder();
}

function listSources() {
  return sourceFolders.flatMap((folder) => {
    const absolute = join(root, folder);
    if (!existsSync(absolute)) return [];
    const names = readdirSync(absolute).filter((name) => name.endsWith(".bpf.c"));
    return names.sort().map((name) => `${folder}/${name}`);
  });
}

/** Prerequisites in a make rule as clang writes it: `out: a b \` with spaces in names escaped. */
function prerequisites(depfile) {
  const rule = readFileSync(depfile, "utf8").replace(/\\\n/g, " ");
  const names = rule.slice(rule.indexOf(":") + 1).match(/(?:\\.|[^\s\\])+/g) ?? [];
  return names.map((name) => name.replace(/\\(.)/g, "$1"));
}

async function planOne(source, tools) {
  const object = source.replace(/\.c$/, ".o");
  const stem = join("build/bpf", object);
  const text = readFileSync(join(root, source), "utf8");
  const own = /^\/\/ cflags: (.+)$/m.exec(text);
  const flags = [...tools.flags, ...(own ? own[1].trim().split(/\s+/) : [])];
  if (/^#include "vmlinux\.h"$/m.test(text)) flags.push(`-I${await vmlinuxFolder()}`);
  return {
    source,
    object,
    depfile: `${stem}.d`,
    stampfile: `${stem}.cmd`,
    // Examples are compiled into build/, and their skeletons look beside themselves.
    copies: object.startsWith("examples/") ? [join("build", object)] : [],
    flags,
    stamp: [tools.clang.text, tools.strip ?? "no strip", ...flags].join("\n"),
  };
}

function isCurrent(plan) {
  const at = (path) => resolve(root, path);
  if (![plan.object, plan.depfile, plan.stampfile, ...plan.copies].every((path) => existsSync(at(path)))) return false;
  if (readFileSync(at(plan.stampfile), "utf8") !== plan.stamp) return false;
  const built = statSync(at(plan.object)).mtimeMs;
  return prerequisites(at(plan.depfile)).every((path) => existsSync(at(path)) && statSync(at(path)).mtimeMs <= built);
}

/** Resolves to the exit status and everything that was printed, so that parallel runs do not mix their messages. */
function run(command, args) {
  return new Promise((settle) => {
    let output = "";
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => settle({ ok: false, output: String(error) }));
    child.on("close", (status) => settle({ ok: status === 0, output }));
  });
}

async function compile(plan, tools) {
  const at = (path) => join(root, path);
  mkdirSync(dirname(at(plan.depfile)), { recursive: true });
  // Beside its place and then renamed, so that nobody ever opens half an object.
  const unfinished = `${plan.object}.${process.pid}.tmp`;
  const depends = ["-MD", "-MF", plan.depfile, "-MT", plan.object];
  let result = await run(tools.clang.command, [...plan.flags, ...depends, "-c", plan.source, "-o", unfinished]);
  let { output } = result;
  if (result.ok && tools.strip) {
    result = await run(tools.strip, ["-g", unfinished]);
    output += result.output;
  }
  if (result.ok) {
    for (const copy of plan.copies) {
      mkdirSync(dirname(at(copy)), { recursive: true });
      copyFileSync(at(unfinished), at(copy));
    }
    renameSync(at(unfinished), at(plan.object));
    writeFileSync(at(plan.stampfile), plan.stamp);
  } else {
    rmSync(at(unfinished), { force: true });
  }
  return { ok: result.ok, output };
}

function parseArguments(args) {
  const options = { force: false, verbose: false, only: [] };
  for (const arg of args) {
    if (arg === "--force") options.force = true;
    else if (arg === "--verbose") options.verbose = true;
    else if (arg.startsWith("-")) fail(`unknown option ${arg}`);
    else options.only.push(relative(root, resolve(arg)));
  }
  return options;
}

async function main() {
  const options = parseArguments(process.argv.slice(2));
  const sources = listSources();
  for (const name of options.only) {
    if (!sources.includes(name)) fail(`${name} is not one of ${sources.join(", ")}`);
  }
  const clang = findClang();
  const tools = { clang, strip: findStrip(clang), flags: compilerFlags() };
  const wanted = sources.filter((source) => options.only.length === 0 || options.only.includes(source));
  const plans = await Promise.all(wanted.map((source) => planOne(source, tools)));
  const stale = plans.filter((plan) => options.force || !isCurrent(plan));
  if (options.verbose) console.log(`${clang.text}; strip: ${tools.strip ?? "none"}\n${tools.flags.join(" ")}`);
  if (stale.length === 0) {
    console.log(`bpf: ${plans.length} objects are up to date`);
    return;
  }
  let failures = 0;
  const queue = [...stale];
  const worker = async () => {
    for (let plan = queue.shift(); plan; plan = queue.shift()) {
      const { ok, output } = await compile(plan, tools);
      console.log(`bpf: ${ok ? "built " : "FAILED"} ${plan.object}`);
      if (output) process.stderr.write(output);
      if (!ok) failures++;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (failures > 0) fail(`${failures} of ${stale.length} did not compile (${clang.text})`);
}

await main();
