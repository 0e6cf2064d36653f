import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Tests import the package by its own name, and get the sources: no build in between to forget. */
const alias = [
  { find: /^ebpf$/, replacement: fromHere("lib/index.ts") },
  { find: /^ebpf\/build$/, replacement: fromHere("lib/build/index.ts") },
  { find: /^ebpf\/skeleton$/, replacement: fromHere("lib/skeleton/index.ts") },
  { find: /^ebpf\/net$/, replacement: fromHere("lib/net/index.ts") },
];

const shared = { watch: false, environment: "node" as const, pool: "forks" as const };

export default defineConfig({
  // In a virtual machine the project's folder is a throw-away overlay: a cache in it would be written for nobody.
  cacheDir: process.env["EBPF_VM"] ? "/tmp/vite" : "node_modules/.vite",
  resolve: { alias },
  test: {
    reporters: ["default", fromHere("scripts/test/reporter.mjs")],
    projects: [
      {
        resolve: { alias },
        test: { ...shared, name: "unit", include: ["test/unit/**/*.test.ts"] },
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
          testTimeout: 60_000,
          hookTimeout: 60_000,
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
