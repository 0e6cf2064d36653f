/** Builds what the map benches need and the package does not: the BPF object, and the loops in C. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const out = join(root, "build/bench");

/** Flags of the libbpf that the addon is built with: the project's own where the set-up made one, else the system's. */
function libbpf() {
  const own = join(root, ".deps/libbpf/lib/pkgconfig");
  const path = [own, process.env["PKG_CONFIG_PATH"]].filter(Boolean).join(delimiter);
  const output = execFileSync("pkg-config", ["--static", "--cflags", "--libs", "libbpf"], {
    encoding: "utf8",
    env: { ...process.env, PKG_CONFIG_PATH: path },
  });
  return output.trim().split(/\s+/);
}

/** The program that runs the loops in C. */
export function cLoops() {
  const source = join(here, "loops.c");
  const target = join(out, "map-loops");
  if (existsSync(target) && statSync(target).mtimeMs >= statSync(source).mtimeMs) return target;
  mkdirSync(out, { recursive: true });
  execFileSync("cc", ["-O2", "-o", target, source, ...libbpf()], { stdio: "inherit" });
  return target;
}

/** Compiles the maps and says where the object is. */
export function bpfObject() {
  execFileSync(process.execPath, [join(root, "scripts/build-bpf.mjs"), "bench/maps/maps.bpf.c"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return join(here, "maps.bpf.o");
}
