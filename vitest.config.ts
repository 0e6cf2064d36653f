import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Set by the runner of virtual machines. */
const inVm = process.env["EBPF_VM"] !== undefined;

/** Only there so that a test that hangs ends: clang alone takes a minute where its every instruction is emulated. */
const TIMEOUT_MS = inVm ? 600_000 : 120_000;

/**
 * Tests import the package by its own name. Here they get the sources: no build in between to forget. In a virtual machine
 * they get what `npm run build` made of them, which is what users get, and spares an emulated processor the compiling.
 */
const library = (path: string) => fromHere(inVm ? `dist/${path}.js` : `lib/${path}.ts`);
const alias = [
  { find: /^ebpf$/, replacement: library("index") },
  { find: /^ebpf\/(build|net|skeleton)$/, replacement: library("$1/index") },
  ...(inVm ? [{ find: /^(?:\.\.\/)+lib\/(.+)\.js$/, replacement: library("$1") }] : []),
];

const shared = { watch: false, environment: "node" as const, pool: "forks" as const };

export default defineConfig({
  // In a virtual machine the project's folder is a throw-away overlay: a cache in it would be written for nobody.
  cacheDir: inVm ? "/tmp/vite" : "node_modules/.vite",
  resolve: { alias },
  test: {
    reporters: [
      "default",
      fromHere("scripts/test/reporter.mjs"),
      ...(process.env["EBPF_MATRIX"] === undefined ? [] : [fromHere("scripts/test/matrix.mjs")]),
    ],
    projects: [
      {
        resolve: { alias },
        test: {
          ...shared,
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          // What hangs is to fail, and what starts a process or clang on a busy machine is not: vitest's own five seconds are too few for it.
          testTimeout: TIMEOUT_MS,
          hookTimeout: TIMEOUT_MS,
        },
      },
      {
        resolve: { alias },
        test: {
          ...shared,
          name: "types",
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ["test/types/**/*.test-d.ts"],
            tsconfig: fromHere("test/tsconfig.json"),
          },
        },
      },
      {
        resolve: { alias },
        test: {
          ...shared,
          name: "kernel",
          include: ["test/kernel/**/*.test.ts"],
          // What these tests attach to (a cgroup, a function of the kernel) may be one for the whole machine.
          fileParallelism: false,
          // One process for all files: where every instruction is emulated, a start of node per file is most of the time.
          isolate: false,
          server: { deps: { external: [/\/dist\/.*\.js$/] } },
          testTimeout: TIMEOUT_MS,
          hookTimeout: TIMEOUT_MS,
          // An emulated machine stands still for seconds at times. The reporter names each test that needed its second try.
          retry: inVm ? 1 : 0,
        },
      },
      {
        resolve: { alias },
        test: {
          ...shared,
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
