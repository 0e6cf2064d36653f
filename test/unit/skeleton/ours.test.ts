/**
 * The project's own objects: each has a skeleton, which is of today's object, compiles, and is the one in use.
 * After a change in BPF C, `npx vitest run --project unit test/unit/skeleton -u` writes them anew; for a new source, `npx ebpf gen` makes
 * the first one.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { generateSkeleton } from "../../../lib/skeleton/index.js";
import { describeBytes, diagnosticsOf } from "./support/generate.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** Where skeletons, and the code that uses them, are. */
const FOLDERS = ["lib/net", "test/fixtures", "examples"];
const USERS = ["lib", "examples", "test", "bench"];

/** Objects that are opened without a skeleton, and why. */
const WITHOUT: Readonly<Record<string, string>> = {
  "test/fixtures/no_btf.bpf.o": "has no BTF, which is what it is there for",
  "test/fixtures/maps_xsk.bpf.o": "is opened by a JavaScript program of its own, among sockets that Node cannot make",
  "test/fixtures/old_libbpf.bpf.o": "is opened by a JavaScript program of its own, with the addon of another libbpf",
};

/** Files below a folder, as paths from the root. */
function filesIn(folder: string, matching: RegExp): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => matching.test(name) && !name.includes("node_modules"))
    .map((name) => join(folder, name))
    .sort();
}

const objects = ["bpf", "test/fixtures", "examples"]
  .flatMap((folder) => filesIn(folder, /\.bpf\.c$/))
  .map((source) => source.replace(/\.c$/, ".o"));
const skeletons = FOLDERS.flatMap((folder) => filesIn(folder, /\.bpf\.ts$/));

/** The object that a skeleton opens. */
function objectOf(skeleton: string): string {
  const [, from] = /new URL\("(.*)", import\.meta\.url\)/.exec(readFileSync(join(ROOT, skeleton), "utf8")) ?? [];
  return from === undefined ? "" : relative(ROOT, resolve(ROOT, dirname(skeleton), from));
}

test("every object is built", () => {
  expect(
    objects.filter((object) => !existsSync(join(ROOT, object))),
    "npm run build:bpf makes them",
  ).toEqual([]);
});

test("every object has one skeleton, but for those that say why not", () => {
  expect([...skeletons.map(objectOf), ...Object.keys(WITHOUT)].sort()).toEqual([...objects].sort());
});

test("every skeleton is in use", () => {
  const imported = new Set<string>();
  for (const file of USERS.flatMap((folder) => filesIn(folder, /\.(ts|mjs)$/))) {
    const text = readFileSync(join(ROOT, file), "utf8");
    for (const [, from = ""] of text.matchAll(/ from "(\.[^"]*\.bpf)\.js"/g))
      imported.add(relative(ROOT, resolve(ROOT, dirname(file), `${from}.ts`)));
  }
  expect(skeletons.filter((skeleton) => !imported.has(skeleton))).toEqual([]);
});

describe("skeletons are of today's objects", () => {
  test.for(skeletons)("%s", async (skeleton) => {
    const path = join(ROOT, skeleton);
    const text = readFileSync(path, "utf8");
    const [, className] = /^export class (\w+) extends LoadedObject/m.exec(text) ?? [];
    const object = join(ROOT, objectOf(skeleton));
    const from = relative(dirname(path), object);
    const made = generateSkeleton(describeBytes(readFileSync(object)), {
      file: basename(object),
      path: from.startsWith(".") ? from : `./${from}`,
      className,
    });
    await expect(made).toMatchFileSnapshot(path);
  });
});

test("skeletons compile under the strictest options there are", { timeout: 120_000 }, () => {
  expect(diagnosticsOf(skeletons.map((skeleton) => join(ROOT, skeleton)))).toEqual([]);
});
