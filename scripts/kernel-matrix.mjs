#!/usr/bin/env node
/**
 * Runs the tests of every way to attach on the machine's kernel and in virtual machines, and writes what came of it to docs/kernels.md.
 *
 *   node scripts/kernel-matrix.mjs [here | 5.10 | 6.1 | 6.12 | newest ...]
 *
 * Without names: all of them. What was measured is kept in docs/kernels.json, so that a run of one kernel changes one column.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureKernel, series } from "./vm/kernels.mjs";
import { runVm } from "./vm/run.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const data = join(root, "docs/kernels.json");
const TIMEOUT = 1800;

/** @typedef {{ kernel: string, entry: string, state: string, note: string | null }} Line */
/** @typedef {Record<string, { release: string, entries: Record<string, { state: string, note: string | null }> }>} Measured */

const command = [process.execPath, vitest, "run", "--project", "kernel", "test/kernel/attach"];

/** @param {string} name @param {string} folder @returns {Promise<Line[]>} */
async function measure(name, folder) {
  const file = join(folder, `${name}.jsonl`);
  writeFileSync(file, "");
  if (name === "here") {
    spawnSync(command[0] ?? "", command.slice(1), {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, EBPF_MATRIX: file },
    });
  } else {
    await runVm({
      kernel: await ensureKernel(name),
      command,
      cwd: root,
      env: { EBPF_MATRIX: file },
      stdout: process.stdout,
      stderr: process.stderr,
      writable: [folder],
      timeout: TIMEOUT,
    });
  }
  return readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** @param {{ state: string, note: string | null } | undefined} result */
function cell(result) {
  if (result === undefined) return "";
  if (result.state === "passed") return "works";
  if (result.state === "failed") return "**fails**";
  const since = /needs kernel ([\d.]+)/.exec(result.note ?? "")?.[1];
  if (since !== undefined) return `since ${since}`;
  if (/refuses/.test(result.note ?? "")) return "refused";
  if (/virtual machines only/.test(result.note ?? "")) return "not tried";
  return "not in this kernel";
}

/** @param {Measured} measured */
function page(measured) {
  const columns = ["5.10", "6.1", "6.12", "newest", "here"].filter((name) => measured[name] !== undefined);
  const entries = [...new Set(columns.flatMap((name) => Object.keys(measured[name]?.entries ?? {})))].sort();
  const notes = new Map();
  for (const name of columns) {
    for (const [entry, { state, note }] of Object.entries(measured[name]?.entries ?? {})) {
      if (state !== "skipped" || note === null || /needs kernel/.test(note)) continue;
      notes.set(note, [...(notes.get(note) ?? []), `${entry} (${name})`]);
    }
  }
  return `# What each kernel can attach

Written by \`node scripts/kernel-matrix.mjs\`, which runs \`test/kernel/attach\` on each kernel: do not edit. Each row is a test that attaches the
program, causes the event, checks what the program saw, detaches it, and shows that it runs no more.

*works*: the test passed. *since x*: this kernel is older. *not in this kernel*: left out of its configuration. *refused*: the system does not give
that program type to anybody. *not tried*: it concerns the whole system, and is left to the virtual machines. A column that is missing was
not measured.

| | ${columns.map((name) => `${name === "here" ? "machine" : name} (${measured[name]?.release})`).join(" | ")} |
| --- | ${columns.map(() => "---").join(" | ")} |
${entries.map((entry) => `| ${entry} | ${columns.map((name) => cell(measured[name]?.entries[entry])).join(" | ")} |`).join("\n")}

## Why what did not run did not

${[...notes].map(([note, where]) => `- ${note}: ${where.join(", ")}`).join("\n")}
`;
}

const names = process.argv.slice(2);
const known = ["here", ...series.map(({ name }) => name)];
for (const name of names) {
  if (known.includes(name)) continue;
  process.stderr.write(`kernel-matrix: no kernel "${name}"; there are ${known.join(", ")}\n`);
  process.exit(2);
}
/** @type {Measured} */
const measured = existsSync(data) ? JSON.parse(readFileSync(data, "utf8")) : {};
const folder = mkdtempSync(join(tmpdir(), "ebpf-matrix-"));
let failed = false;
try {
  for (const name of names.length > 0 ? names : known) {
    const lines = await measure(name, folder);
    const [first] = lines;
    if (first === undefined) {
      process.stderr.write(`kernel-matrix: nothing was measured on ${name}\n`);
      failed = true;
      continue;
    }
    failed ||= lines.some(({ state }) => state === "failed");
    measured[name] = {
      release: first.kernel,
      entries: Object.fromEntries(lines.map(({ entry, state, note }) => [entry, { state, note }])),
    };
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
writeFileSync(data, `${JSON.stringify(measured, null, 2)}\n`);
writeFileSync(join(root, "docs/kernels.md"), page(measured));
process.exitCode = failed ? 1 : 0;
