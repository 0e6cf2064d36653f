/**
 * docs/kernels.md: what each kernel can attach, as the tests of test/kernel/attach found it. What was measured is kept in
 * docs/kernels.json, so that a run of one kernel changes one column.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {{ state: string, note: string | null }} Result
 * @typedef {{ release: string, entries: Record<string, Result> }} Column
 * @typedef {Record<string, Column>} Table  by the kernel's name, "here" for that of the machine
 */

const docs = fileURLToPath(new URL("../../docs", import.meta.url));
const data = join(docs, "kernels.json");
const ORDER = ["5.10", "6.1", "6.12", "newest", "here"];

/** @returns {Table} */
function readTable() {
  return existsSync(data) ? JSON.parse(readFileSync(data, "utf8")) : {};
}

/** What a run's reporter (matrix.mjs) has written; undefined when it ran no test of an attach type. @param {string} file @returns {Column | undefined} */
export function columnOf(file) {
  if (!existsSync(file)) return undefined;
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const [first] = lines;
  if (first === undefined) return undefined;
  const entries = Object.fromEntries(lines.map(({ entry, state, note }) => [entry, { state, note }]));
  return { release: first.kernel, entries };
}

/** @param {Table} measured */
export function writeTable(measured) {
  const table = { ...readTable(), ...measured };
  writeFileSync(data, `${JSON.stringify(table, null, 2)}\n`);
  writeFileSync(join(docs, "kernels.md"), page(table));
}

/**
 * Where what was measured is not what docs/kernels.md says. The machine's own kernel is anybody's, and not compared; a column that is
 * not there makes no claim.
 * @param {Table} measured @returns {string[]}
 */
export function contradictions(measured) {
  const table = readTable();
  return Object.entries(measured).flatMap(([name, { entries }]) => {
    const documented = table[name]?.entries;
    if (name === "here" || documented === undefined) return [];
    return [...new Set([...Object.keys(documented), ...Object.keys(entries)])].flatMap((entry) => {
      const [says, is] = [cell(documented[entry]) || "nothing", cell(entries[entry]) || "no test"];
      return says === is ? [] : [`docs/kernels.md says of ${entry} on ${name}: ${says}; the test says: ${is}`];
    });
  });
}

/** @param {Result | undefined} result */
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

/** @param {Table} table */
function page(table) {
  const columns = ORDER.filter((name) => table[name] !== undefined);
  const entries = [...new Set(columns.flatMap((name) => Object.keys(table[name]?.entries ?? {})))].sort();
  /** @type {Map<string, string[]>} */
  const notes = new Map();
  for (const name of columns) {
    for (const [entry, { state, note }] of Object.entries(table[name]?.entries ?? {})) {
      if (state !== "skipped" || note === null || /needs kernel/.test(note)) continue;
      notes.set(note, [...(notes.get(note) ?? []), `${entry} (${name})`]);
    }
  }
  const heading = columns.map((name) => `${name === "here" ? "machine" : name} (${table[name]?.release})`);
  return `# What each kernel can attach

Written by the test run (\`npm run test:kernels -- --write-table test/kernel\`): do not edit. Each row is a test in \`test/kernel/attach\` that attaches the
program, causes the event, checks what the program saw, detaches it, and shows that it runs no more. A later run that finds something else on one
of the virtual machines' kernels fails.

*works*: the test passed. *since x*: this kernel is older. *not in this kernel*: left out of its configuration. *refused*: the system does not give
that program type to anybody. *not tried*: it concerns the whole system, and is left to the virtual machines. A column that is missing was
not measured.

| | ${heading.join(" | ")} |
| --- | ${columns.map(() => "---").join(" | ")} |
${entries.map((entry) => `| ${entry} | ${columns.map((name) => cell(table[name]?.entries[entry])).join(" | ")} |`).join("\n")}

## Why what did not run did not

${[...notes].map(([note, where]) => `- ${note}: ${where.join(", ")}`).join("\n")}
`;
}
