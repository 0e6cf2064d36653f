/**
 * npm run lint, npm run format: biome for TypeScript and JSON, clang-format for C++ and BPF C, the import directions, and that nothing is decoded by hand.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { decodingProblems } from "./lint/decoding.mjs";
import { importProblems } from "./lint/imports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({ options: { fix: { type: "boolean", default: false } } });

/** Where C and C++ of the project's own is. */
const C_FOLDERS = ["native", "bpf", "test", "bench", "examples"];
const C_FILE = /\.(c|cc|h)$/;

let failed = false;
/** @param {string} name @param {string} command @param {string[]} args */
function check(name, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status === 0) return;
  failed = true;
  console.error(`lint: ${name} failed${error === undefined ? "" : `: ${error.message}`}`);
}

check("biome", join(root, "node_modules/.bin/biome"), [
  "check",
  ...(values.fix ? ["--write"] : []),
  "--error-on-warnings",
  ".",
]);

const sources = C_FOLDERS.flatMap((folder) => {
  try {
    return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => C_FILE.test(file) && !file.endsWith("vmlinux.h"))
      .map((file) => join(folder, file));
  } catch {
    return []; // no such folder
  }
});
if (sources.length > 0) {
  // One version: each formats a little differently.
  check("clang-format", "clang-format-19", values.fix ? ["-i", ...sources] : ["--dry-run", "-Werror", ...sources]);
}

for (const problem of [...importProblems(join(root, "lib")), ...decodingProblems(root)]) {
  failed = true;
  console.error(`lint: ${problem}`);
}
process.exitCode = failed ? 1 : 0;
