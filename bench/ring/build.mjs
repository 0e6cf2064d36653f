/** Builds what the ring benches need and the package does not: their BPF programs, and the baselines in C. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const out = join(root, "build/bench");
const require = createRequire(import.meta.url);

function newer(target, ...sources) {
  if (!existsSync(target)) return false;
  const built = statSync(target).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs <= built);
}

/** Flags of the libbpf that the addon is built with: the project's own where the set-up made one, else the system's. */
function libbpf(...what) {
  const own = join(root, ".deps/libbpf/lib/pkgconfig");
  const path = [own, process.env["PKG_CONFIG_PATH"]].filter(Boolean).join(delimiter);
  const output = execFileSync("pkg-config", ["--static", ...what, "libbpf"], {
    encoding: "utf8",
    env: { ...process.env, PKG_CONFIG_PATH: path },
  });
  return output.trim().split(/\s+/);
}

function compile(name, args) {
  const source = join(here, `${name.replace(/\..*/, "")}.c`);
  const target = join(out, name);
  if (newer(target, source, fileURLToPath(import.meta.url))) return target;
  mkdirSync(out, { recursive: true });
  execFileSync("cc", ["-O2", "-g", "-o", target, source, ...args, ...libbpf("--cflags", "--libs")], {
    stdio: "inherit",
  });
  return target;
}

function module(name) {
  const headers = join(dirname(require.resolve("node-api-headers/package.json")), "include");
  return require(compile(`${name}.node`, ["-shared", "-fPIC", "-DNAPI_VERSION=8", `-I${headers}`]));
}

/** The baselines as a module of this process. */
export function baseline() {
  return module("baseline");
}

/** Threads that produce, and that read in C, as a module of this process. */
export function threads() {
  return module("threads");
}

/** A program in C, as a path. */
export function program(name) {
  return compile(name, []);
}

/** Compiles the BPF programs of a bench and says where the object is. */
export function bpfObject(name) {
  execFileSync(process.execPath, [join(root, "scripts/build-bpf.mjs"), `bench/ring/${name}.bpf.c`], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return join(here, `${name}.bpf.o`);
}
