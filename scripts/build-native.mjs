// Builds the addon: native/ -> build/Release/ebpf.node, by cmake-js. Does nothing, quickly, when nothing changed.
//
//   node scripts/build-native.mjs [--force] [--sanitize] [--system-libbpf]
//
// --sanitize builds with AddressSanitizer and UndefinedBehaviorSanitizer, --system-libbpf with the system's libbpf even where the
// project has one of its own; these go to build/sanitize/Release and build/system-libbpf/Release, and leave the usual build alone.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values: options } = parseArgs({
  options: {
    force: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
    "system-libbpf": { type: "boolean", default: false },
  },
});
const variant = ["sanitize", "system-libbpf"].filter((name) => options[name]).join("-");
const out = join(root, "build", variant);
const addon = join(out, "Release", "ebpf.node");
const stampFile = join(out, "inputs");

/** Everything that the addon is made of, as one digest: sources by size and time, and the tools by version. */
function digestOfInputs() {
  const hash = createHash("sha256");
  const add = (path) => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`);
  };
  for (const entry of readdirSync(join(root, "native"), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) add(join(entry.parentPath ?? entry.path, entry.name));
  }
  // The project's own libbpf, when the set-up script has made one, goes before the system's.
  for (const path of [".deps/libbpf/lib/pkgconfig/libbpf.pc", ".deps/libbpf/lib/libbpf.a"]) {
    if (existsSync(join(root, path))) add(join(root, path));
  }
  for (const name of ["cmake-js", "node-addon-api", "node-api-headers"]) {
    hash.update(readFileSync(join(root, "node_modules", name, "package.json")));
  }
  hash.update(`${process.execPath} ${process.version} ${process.arch}`);
  return hash.digest("hex");
}

/** uv.h is not in node-api-headers; it comes with the node that builds, and CMake looks in the system when it does not. */
function uvIncludeDirectory() {
  const beside = resolve(process.execPath, "..", "..", "include", "node");
  return existsSync(join(beside, "uv.h")) ? beside : "";
}

function run(command, args, what) {
  const { status, signal, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) {
    console.error(`build-native: ${what} failed (${signal ?? status})`);
    process.exit(status || 1);
  }
}

function cmakeJs(command, ...more) {
  const manifest = createRequire(import.meta.url).resolve("cmake-js/package.json");
  const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
  const script = resolve(manifest, "..", typeof bin === "string" ? bin : bin["cmake-js"]);
  const args = [script, command, "-d", join(root, "native"), "-O", out, "-l", "warn", ...more];
  run(process.execPath, args, `cmake-js ${command}`);
}

const digest = digestOfInputs();
const built = existsSync(addon) && existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "";
if (built === digest && !options.force) {
  console.log(`${relative(root, addon)} is up to date`);
} else {
  console.log(`building ${relative(root, addon)} ...`);
  // Always configured anew, which takes a second: libbpf or node may be another one than last time.
  cmakeJs(
    "configure",
    `--CDEBPF_UV_INCLUDE_DIR=${uvIncludeDirectory()}`,
    `--CDEBPF_SANITIZE=${options.sanitize ? "ON" : "OFF"}`,
    `--CDEBPF_SYSTEM_LIBBPF=${options["system-libbpf"] ? "ON" : "OFF"}`,
  );
  cmakeJs("build", "--parallel", "2");
  // Node's own symbols are found at run time only, so the linker lets everything pass that is missing; loading does not.
  if (!options.sanitize)
    run(process.execPath, ["-e", "require(process.argv[1])", addon], `loading ${relative(root, addon)}`);
  mkdirSync(out, { recursive: true });
  writeFileSync(stampFile, digest);
}
