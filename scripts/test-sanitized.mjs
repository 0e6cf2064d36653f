// Runs the tests of streams with the addon under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer, in an ordinary Node: the
// sanitizers' libraries are loaded before it. Needs root, as those tests do.
//
//   node scripts/test-sanitized.mjs [file filter of vitest's ...]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { OF_STREAMS } from "./test/selection.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const filters = process.argv.slice(2);
if (filters.length === 0) filters.push(...OF_STREAMS);
/** Programs that begin, stream and end, each in a way of its own; their ends are when leaks are looked for. */
const ENDS = ["fork", "worker"];

if (process.geteuid?.() !== 0) {
  console.error("test-sanitized: needs root, as the tests that it runs do");
  process.exit(2);
}

function run(command, args, env = {}) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (error) throw error;
  return status ?? signal;
}

function library(name) {
  const { stdout } = spawnSync("c++", [`-print-file-name=${name}`], { encoding: "utf8" });
  return realpathSync(stdout.trim());
}

if (run(process.execPath, [join(root, "scripts/build-native.mjs"), "--sanitize"]) !== 0) process.exit(1);

const reports = mkdtempSync(join(tmpdir(), "ebpf-sanitized-"));
const log = `log_path=${join(reports, "report")}`;
const env = {
  EBPF_ADDON: join(root, "build/sanitize/Release/ebpf.node"),
  // libstdc++ too: AddressSanitizer looks for its exceptions as it starts, and Node has its own inside.
  LD_PRELOAD: `${library("libasan.so")} ${library("libstdc++.so")}`,
  // The tools of the tests have addons of their own, which leak; leaks are looked for in the programs below.
  ASAN_OPTIONS: `${log}:detect_leaks=0`,
  LSAN_OPTIONS: `suppressions=${join(root, "test/native/leaks.supp")}:print_suppressions=0`,
  UBSAN_OPTIONS: `${log}:print_stacktrace=1`,
};
let failed = false;
try {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  failed = run(process.execPath, [vitest, "run", "--project", "kernel", ...filters], env) !== 0;
  for (const end of ENDS) {
    const args = ["test/kernel/events/children/stream.mjs", end, "test/fixtures/ring.bpf.o"];
    if (run(process.execPath, args, { ...env, ASAN_OPTIONS: `${log}:detect_leaks=1` }) !== 0) failed = true;
  }
  for (const name of readdirSync(reports)) {
    failed = true;
    console.error(readFileSync(join(reports, name), "utf8"));
  }
} finally {
  rmSync(reports, { recursive: true, force: true });
}
console.log(`test-sanitized: ${failed ? "FAILED" : "no report of a sanitizer"}`);
process.exitCode = failed ? 1 : 0;
