// Builds and runs the tests of the C++ that needs no Node: under ThreadSanitizer, then under AddressSanitizer and
// UndefinedBehaviorSanitizer; then fuzzes it for a while, which needs a clang with libFuzzer (libclang-rt-*-dev).
//
//   node scripts/test-native.mjs [--fuzz-seconds 10] [--no-sanitize]
//
// With --fuzz-seconds 0 nothing is fuzzed, and any compiler does.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values: options } = parseArgs({
  options: {
    "fuzz-seconds": { type: "string", default: "10" },
    sanitize: { type: "boolean", default: true },
  },
  allowNegative: true,
});

function run(command, args, more = {}) {
  const { status, signal, error } = spawnSync(command, args, { stdio: "inherit", ...more });
  if (error) throw error;
  if (status !== 0) {
    console.error(`test-native: ${command} failed (${signal ?? status})`);
    process.exit(status || 1);
  }
}

/** The newest clang++ on PATH, for libFuzzer; undefined when there is none, and the system's compiler does. */
function newestClang() {
  const versions = new Set();
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      const found = /^clang\+\+-(\d+)$/.exec(name);
      if (found) versions.add(Number(found[1]));
    }
  }
  const newest = Math.max(...versions);
  return Number.isFinite(newest) ? `clang++-${newest}` : undefined;
}

/** False too when its sanitizers' libraries are not installed. */
function compiles(compiler, flags) {
  const source = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }';
  const args = [...flags, "-x", "c++", "-", "-o", "/dev/null"];
  return spawnSync(compiler, args, { input: source, stdio: ["pipe", "ignore", "ignore"] }).status === 0;
}

const clang = newestClang();
const seconds = Number(options["fuzz-seconds"]);
const fuzzes = clang !== undefined && compiles(clang, ["-fsanitize=fuzzer,address,undefined"]);
if (seconds > 0 && !fuzzes) {
  console.error(
    "test-native: there is no clang with libFuzzer (package libclang-rt-*-dev); --fuzz-seconds 0 goes without",
  );
  process.exit(1);
}
const suffix = fuzzes ? "-clang" : "";

/** Builds the tests (and without a target the fuzzers) in a folder of their own under build/, and runs them; returns the folder. */
function test(name, flags, target = []) {
  const out = join(root, "build", name + suffix);
  run("cmake", [
    "-S",
    join(root, "native"),
    "-B",
    out,
    "-DCMAKE_BUILD_TYPE=Release",
    "-DEBPF_TESTS=ON",
    ...flags,
    ...(fuzzes ? [`-DCMAKE_CXX_COMPILER=${clang}`, `-DCMAKE_C_COMPILER=${clang.replace("++", "")}`] : []),
  ]);
  run("cmake", ["--build", out, "--parallel", "2", ...target]);
  run(join(out, "native-tests", "ebpf_native_tests"), []);
  return out;
}

if (options.sanitize) test("native-tests-thread", ["-DEBPF_SANITIZE_THREAD=ON"], ["--target", "ebpf_native_tests"]);
const out = test("native-tests", [`-DEBPF_SANITIZE=${options.sanitize ? "ON" : "OFF"}`]);
if (seconds > 0) {
  const fuzzers = readdirSync(join(out, "native-tests")).filter((name) => /^ebpf_fuzz_\w+$/.test(name));
  for (const fuzzer of fuzzers) {
    const corpus = join(out, "corpus", fuzzer);
    mkdirSync(corpus, { recursive: true });
    const args = [`-max_total_time=${seconds}`, "-max_len=4096", "-verbosity=0", "-print_final_stats=1", corpus];
    run(join(out, "native-tests", fuzzer), args, { cwd: out });
  }
}
