// Builds the addon: native/ -> build/Release/ebpf.node, by cmake-js. Does nothing, quickly, when nothing changed.
//
//   node scripts/build-native.mjs [--force] [--prebuild] [--sanitize] [--system-libbpf]
//
// --prebuild also links prebuilds/<platform>/ebpf.node, the one that goes into the package: it needs no library that node does not. Those that it
// has inside are those of scripts/deps/libbpf and scripts/deps/static.
// --sanitize builds with AddressSanitizer and UndefinedBehaviorSanitizer, --system-libbpf with the system's libbpf even where the
// project has one of its own; these go to build/sanitize/Release and build/system-libbpf/Release, and leave the usual build alone.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values: options } = parseArgs({
  options: {
    force: { type: "boolean", default: false },
    prebuild: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
    "system-libbpf": { type: "boolean", default: false },
  },
});
const variant = ["sanitize", "system-libbpf"].filter((name) => options[name]).join("-");
const out = join(root, "build", variant);
const addon = join(out, "Release", "ebpf.node");
const stampFile = join(out, options.prebuild ? "inputs-prebuild" : "inputs");
const prebuild = options.prebuild ? join(root, "prebuilds", platform(), "ebpf.node") : undefined;

/** As lib/native.ts names it: addons of glibc and of musl cannot take each other's place. */
function platform() {
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return `${process.platform}-${process.arch}${header.glibcVersionRuntime === undefined ? "-musl" : ""}`;
}

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
  for (const path of [
    ".deps/libbpf/lib/pkgconfig/libbpf.pc",
    ".deps/libbpf/lib/libbpf.a",
    ...(options.prebuild ? [".deps/static/lib/libelf.a", ".deps/static/lib/libz.a"] : []),
  ]) {
    if (existsSync(join(root, path))) add(join(root, path));
  }
  for (const name of ["cmake-js", "node-addon-api", "node-api-headers"]) {
    hash.update(readFileSync(join(root, "node_modules", name, "package.json")));
  }
  hash.update(`${process.execPath} ${process.version} ${process.arch}`);
  return hash.digest("hex");
}

/** CMake's cache names the folder that it is of: in a clone that was moved or copied it is of no use, and an error. */
function forgetOtherFolder() {
  const cache = join(out, "CMakeCache.txt");
  const home = existsSync(cache) ? /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1] : "";
  if (home !== "" && home !== join(root, "native")) {
    rmSync(cache);
    rmSync(join(out, "CMakeFiles"), { recursive: true, force: true });
  }
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

/** What node itself needs: where node runs, they are. */
const OF_NODE = /^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux.*|ld-musl.*|libc\.musl.*)\.so/;

/** @param {string} path */
function checkPrebuild(path) {
  const needed = [...execFileSync("readelf", ["-d", path], { encoding: "utf8" }).matchAll(/\(NEEDED\).*\[(.*)\]/g)];
  const foreign = needed.map(([, name]) => name ?? "").filter((name) => !OF_NODE.test(name));
  if (foreign.length === 0) return;
  console.error(`build-native: ${relative(root, path)} needs ${foreign.join(", ")}, which its users may not have`);
  process.exit(1);
}

const digest = digestOfInputs();
const built = existsSync(prebuild ?? addon) && existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "";
if (built === digest && !options.force) {
  console.log(`${relative(root, prebuild ?? addon)} is up to date`);
} else {
  console.log(`building ${relative(root, prebuild ?? addon)} ...`);
  forgetOtherFolder();
  // Always configured anew, which takes a second: libbpf or node may be another one than last time.
  cmakeJs(
    "configure",
    `--CDEBPF_UV_INCLUDE_DIR=${uvIncludeDirectory()}`,
    `--CDEBPF_SANITIZE=${options.sanitize ? "ON" : "OFF"}`,
    `--CDEBPF_PREBUILD_DIR=${prebuild === undefined ? "" : dirname(prebuild)}`,
    `--CDEBPF_SYSTEM_LIBBPF=${options["system-libbpf"] ? "ON" : "OFF"}`,
  );
  cmakeJs("build", "--parallel", "2");
  // Node's own symbols are found at run time only, so the linker lets everything pass that is missing; loading does not.
  if (prebuild !== undefined) checkPrebuild(prebuild);
  for (const path of options.sanitize ? [] : [addon, ...(prebuild === undefined ? [] : [prebuild])])
    run(process.execPath, ["-e", "require(process.argv[1])", path], `loading ${relative(root, path)}`);
  mkdirSync(out, { recursive: true });
  writeFileSync(stampFile, digest);
}
