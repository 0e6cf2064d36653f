import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";

/**
 * The rooms of lib/, from what knows nothing of the others to what knows them all: a file may import from its own level
 * and from those before it. A file directly in lib/ is a room of its own name.
 */
export const levels = [
  ["native", "errors", "options", "named", "nearest", "interrupted", "settable"],
  ["kernel"],
  ["btf", "build", "symbols"],
  ["codec", "features"],
  ["program", "map", "link", "events"],
  ["histogram"],
  ["object"],
  ["skeleton"],
  ["cli", "net"],
  ["index"],
];

/** The only file that may touch the addon. */
const NATIVE = "native.ts";

// Statements with `from`, bare imports, and import() with a literal. Types cost nothing at run time, but they are
// knowledge all the same: what holds for values holds for them. Only what import() waits for may lead back.
const STATEMENT = /^(?:import|export)\s+[^"';]*?from\s+["']([^"']+)["']|^import\s+["']([^"']+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"']+)["']\s*\)/g;

/**
 * @param {string} library  the folder lib/
 * @returns {string[]} one line per broken rule, empty when all is well
 */
export function importProblems(library) {
  const files = readdirSync(library, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  for (const file of files.sort()) {
    const level = levelOf(file);
    if (level === -1) problems.push(`lib/${file}: no room of this name; scripts/lint/imports.mjs lists them`);
    const targets = [];
    for (const { specifier, dynamic } of importsOf(readFileSync(join(library, file), "utf8"))) {
      if (!specifier.startsWith(".")) {
        if (specifier === "bindings" && file !== NATIVE)
          problems.push(`lib/${file}: only lib/${NATIVE} loads the addon`);
        continue;
      }
      if (!specifier.endsWith(".js")) problems.push(`lib/${file}: "${specifier}" must end in .js`);
      const target = relative(library, resolve(library, dirname(file), specifier)).replace(/\.js$/, ".ts");
      if (target.startsWith("..")) {
        problems.push(`lib/${file}: "${specifier}" is outside of lib/, and would not be in the package`);
        continue;
      }
      if (!dynamic) targets.push(target);
      if (levelOf(target) > level) {
        problems.push(
          `lib/${file}: ${room(file)} must not import from ${room(target)} (${specifier}); imports point the other way`,
        );
      }
    }
    graph.set(file, targets);
  }
  for (const cycle of cycles(graph)) problems.push(`lib/: files that import each other: ${cycle.join(" -> ")}`);
  return problems;
}

/** @param {string} source */
function importsOf(source) {
  return [
    ...[...source.matchAll(STATEMENT)].map(([, from, bare]) => ({ specifier: from ?? bare ?? "", dynamic: false })),
    ...[...source.matchAll(DYNAMIC)].map(([, from]) => ({ specifier: from ?? "", dynamic: true })),
  ];
}

/** @param {string} file */
const room = (file) => (file.includes(sep) ? (file.split(sep)[0] ?? "") : file.replace(/\.ts$/, ""));
/** @param {string} file */
const levelOf = (file) => levels.findIndex((names) => names.includes(room(file)));

/** @param {Map<string, string[]>} graph @returns {string[][]} each cycle once, as a path back to its first file */
function cycles(graph) {
  /** @type {Set<string>} */
  const done = new Set();
  /** @type {string[][]} */
  const found = [];
  const visit = (/** @type {string} */ file, /** @type {string[]} */ path) => {
    const at = path.indexOf(file);
    if (at !== -1) found.push([...path.slice(at), file]);
    if (at !== -1 || done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return found;
}
