/**
 * What `npm test` runs after the set-up; see HELP. Stages run three at a time on two cores, as the virtual machines wait (for grace
 * periods, for files) half of their time; what a stage prints appears as a whole when it ends, and meanwhile in .cache/test.
 */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureNode, NODE_LINES } from "./nodes.mjs";
import { columnOf, contradictions, writeTable } from "./test/kernel_table.mjs";
import { KERNEL_OF_OUR_CODE, OF_OUR_CODE, WITH_EVERY_NODE } from "./test/selection.mjs";
import { cacheDirectory } from "./vm/cache.mjs";
import { ensureKernel, listKernels } from "./vm/kernels.mjs";
import { runVm } from "./vm/run.mjs";

const HELP = `Usage: node scripts/test.mjs [--stages NAME,...] [file filter of vitest's ...]

  lint    formats, lint rules, directions of imports
  types   tsc, over the library and its tests
  unit    test/unit and test/types: no kernel
  kernel  test/kernel on the running kernel (needs root)
  5.10, 6.1, 6.12, newest
          test/kernel in a virtual machine with that kernel; but for ${KERNEL_OF_OUR_CODE} without the tests of what is no kernel's doing,
          unless they are named (scripts/test/selection.mjs)
  runner  test/vm: the virtual machines' runner itself
  nodes   test/unit and what depends on Node of test/kernel, on the running kernel, with the other lines of Node (needs root)
  native  test/native: the C++ that needs no Node, under sanitizers, and fuzzed
  sanitized
          the tests of streams, with the addon under sanitizers (needs root)

  --stages kernels stands for all of the kernels. Default: lint,types,unit,kernel,6.1,newest.
  --write-table writes what the kernels can attach into docs/kernels.md; without it, what that says must be what the run finds.
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const kernels = listKernels();
const kernelNames = kernels.map(({ name }) => name);
/** On a terminal one line is written anew; elsewhere each is one more in a log. */
const HEARTBEAT_MS = process.stdout.isTTY ? 2_000 : 10_000;
const CLEAR_LINE = "\r\u001b[K";
/** Stages at a time. */
const LANES = 3;
/** Seconds that the kernel tests may take in a machine: three times what they take where two machines run on two cores. */
const VM_TIMEOUT = 3600;
const MAX_LINE = 2000;
/** Stages that call bpf(2) on this machine's own kernel. */
const NEED_ROOT = ["kernel", "nodes", "sanitized"];

/**
 * @typedef {{ passed: number, failed: number, skipped: number, failures: string[] }} Counts
 * @typedef {object} Stage
 * @property {string} name
 * @property {(output: Writable, counts: string) => Promise<number>} run  its exit status; tests leave counts in the file
 * @property {boolean} [single]  one check with no tests to count
 */

const interrupted = new AbortController();
const scratch = mkdtempSync(join(tmpdir(), "ebpf-test-"));

/** Where a run leaves what its kernel can attach. @param {string} kernel */
const tableFile = (kernel) => join(scratch, `attach-types-${kernel}`);

/** @param {string[]} filters @returns {Record<string, Stage>} */
function stages(filters) {
  const node = process.execPath;
  const here = (/** @type {string[]} */ args, /** @type {Record<string, string>} */ env = {}) => {
    return (/** @type {Writable} */ output, /** @type {string} */ counts) =>
      command(args, output, { EBPF_TEST_COUNTS: counts, ...env });
  };
  /** @param {typeof kernels[number]} kernel @returns {Stage} */
  const vm = ({ name, cached }) => ({
    name: `kernel tests, VM ${cached?.version ?? name} (${cached?.release ?? "to be downloaded"})`,
    run: async (output, counts) => {
      const left = name === KERNEL_OF_OUR_CODE || filters.length > 0 ? [] : OF_OUR_CODE;
      if (left.length > 0)
        output.write(`${left.length} files run on ${KERNEL_OF_OUR_CODE} and here only: ${left.join(", ")}\n`);
      const { status } = await runVm({
        kernel: await ensureKernel(name),
        // Not npx, which takes longer to start than vitest does.
        command: [
          ...[node, vitest, "run", "--project", "kernel", ...filters],
          ...left.flatMap((file) => ["--exclude", file]),
        ],
        cwd: root,
        env: { EBPF_TEST_COUNTS: counts, EBPF_MATRIX: tableFile(name) },
        stdout: output,
        stderr: output,
        writable: [scratch],
        timeout: VM_TIMEOUT,
        signal: interrupted.signal,
      });
      return status;
    },
  });
  return {
    lint: { name: "lint", single: true, run: here([node, join(root, "scripts/lint.mjs")]) },
    types: {
      name: "types (tsc)",
      single: true,
      run: here([node, join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "test/tsconfig.json")]),
    },
    unit: { name: "unit", run: here([node, vitest, "run", "--project", "unit", "--project", "types", ...filters]) },
    kernel: {
      name: `kernel tests, here (${release()})`,
      run: here([node, vitest, "run", "--project", "kernel", ...filters], { EBPF_MATRIX: tableFile("here") }),
    },
    ...Object.fromEntries(kernels.map((kernel) => [kernel.name, vm(kernel)])),
    nodes: {
      name: `Node ${NODE_LINES.join(", ")}`,
      run: async (output, counts) => {
        let status = 0;
        for (const line of NODE_LINES) {
          output.write(`\n-------- Node ${line}\n`);
          const folder = ensureNode(line);
          const env = { PATH: `${folder}${delimiter}${process.env["PATH"]}` };
          // Virtual machines may run beside it, and the machine then stands still for seconds at times; a second try is named.
          const projects = ["--project", "unit", "--project", "kernel", "--retry", "1"];
          const chosen = filters.length > 0 ? filters : WITH_EVERY_NODE;
          const ended = await here([join(folder, "node"), vitest, "run", ...projects, ...chosen], env)(output, counts);
          status ||= ended;
        }
        return status;
      },
    },
    native: { name: "C++ without Node", single: true, run: here([node, join(root, "scripts/test-native.mjs")]) },
    sanitized: {
      name: "streams under sanitizers",
      run: here([node, join(root, "scripts/test-sanitized.mjs"), ...filters]),
    },
    runner: {
      name: "VM runner",
      run: here([node, vitest, "run", "--project", "vm", ...filters], { EBPF_VM_KERNELS: kernelNames.join(",") }),
    },
  };
}

/** @param {string[]} args @param {Writable} output @param {Record<string, string>} env @returns {Promise<number>} */
function command([file = "", ...args], output, env) {
  const child = spawn(file, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a group of its own, so that what it started goes with it
  });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  interrupted.signal.addEventListener("abort", () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
}

/** @param {Stage} stage @param {number} status @param {string} file @param {Writable} output @returns {Counts} */
function countsOf({ single }, status, file, output) {
  if (single) return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0, failures: [] };
  const total = { passed: 0, failed: 0, skipped: 0, failures: /** @type {string[]} */ ([]) };
  for (const line of existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []) {
    const counts = JSON.parse(line);
    total.passed += counts.passed;
    total.skipped += counts.skipped;
    total.failed += counts.failed;
    total.failures.push(...counts.failures);
    if (counts.unexplained > 0) {
      output.write(`${counts.unexplained} tests were skipped without a reason, which counts as a failure\n`);
      total.failed += counts.unexplained;
      total.skipped -= counts.unexplained;
    }
  }
  if (status === 0 && total.passed === 0) output.write("not one test passed, which counts as a failure\n");
  if (total.failed === 0 && (status !== 0 || total.passed === 0)) total.failed = 1;
  return total;
}

/** @param {Stage[]} queue @returns {Promise<{ name: string, counts: Counts, seconds: number }[]>} */
async function runAll(queue) {
  /** @type {{ name: string, counts: Counts, seconds: number }[]} */
  const results = [];
  /** @type {Map<string, number>} */
  const running = new Map();
  const secondsSince = (/** @type {number} */ began) => Math.round((performance.now() - began) / 1000);
  const parent = process.ppid;
  const heartbeat = setInterval(() => {
    // npm passes a signal on to its shell, and that dies of it without telling us.
    if (process.ppid !== parent) interrupted.abort();
    const names = [...running].map(([name, began]) => `${name} (${secondsSince(began)} s)`);
    const line = `test: running ${names.join(", ")}`;
    if (process.stdout.isTTY) process.stdout.write(CLEAR_LINE + line.slice(0, process.stdout.columns - 1));
    else console.log(line);
  }, HEARTBEAT_MS);
  const pending = [...queue];
  const lane = async () => {
    for (let stage = pending.shift(); stage !== undefined; stage = pending.shift()) {
      const { name } = stage;
      const began = performance.now();
      running.set(name, began);
      console.log(`test: ${name} starts`);
      const file = join(scratch, `counts-${results.length}-${running.size}-${name.replaceAll(/\W+/g, "-")}`);
      const log = logFile(name);
      writeFileSync(log, "");
      const output = new Writable({
        decodeStrings: false,
        write(chunk, _encoding, done) {
          appendFileSync(log, chunk);
          done();
        },
      });
      const status = await stage.run(output, file).catch((error) => {
        output.write(`${error.message}\n`);
        return 1;
      });
      const counts = countsOf(stage, status, file, output);
      running.delete(name);
      const seconds = secondsSince(began);
      results.push({ name, counts, seconds });
      if (interrupted.signal.aborted) return;
      if (process.stdout.isTTY) process.stdout.write(CLEAR_LINE);
      console.log(`\n======== ${name}: ${counts.failed === 0 ? "passed" : "FAILED"} (${seconds} s)`);
      const text = readFileSync(log, "utf8");
      if (text.trim() !== "") console.log(shortened(text.trimEnd(), name));
      console.log("");
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  clearInterval(heartbeat);
  return queue.flatMap(({ name }) => results.filter((result) => result.name === name));
}

/** Where all that a stage prints is, as it prints it. @param {string} name */
const logFile = (name) => join(cacheDirectory("test"), `${name.replaceAll(/\W+/g, "-")}.log`);

/**
 * A verifier's log in an error is thousands of lines in one. The whole of the output goes into a file.
 * @param {string} text @param {string} name
 */
function shortened(text, name) {
  let cut = false;
  const lines = text.split("\n").map((line) => {
    if (line.length <= MAX_LINE) return line;
    cut = true;
    return `${line.slice(0, MAX_LINE)} ... (${line.length - MAX_LINE} characters more)`;
  });
  if (!cut) return text;
  return `${lines.join("\n")}\n(lines were cut; all of it is in ${logFile(name)})`;
}

/** The names of what failed in a stage, or how it ended. @param {{ name: string, counts: Counts }} result */
function failuresOf({ name, counts: { failures } }) {
  if (failures.length > 0) return failures.map((failure) => `${name}: ${failure}`);
  const end = readFileSync(logFile(name), "utf8").trim().split("\n").slice(-12);
  return [[`${name}:`, ...end.map((line) => line.slice(0, MAX_LINE))].join("\n    ")];
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      stages: { type: "string", default: "lint,types,unit,kernel,6.1,newest" },
      "write-table": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const all = stages(positionals);
  const names = values.stages.split(",").flatMap((name) => (name === "kernels" ? kernelNames : [name]));
  const unknown = names.find((name) => !Object.hasOwn(all, name));
  if (unknown !== undefined) {
    console.error(`test: no stage "${unknown}"; there are ${Object.keys(all).join(", ")}, and kernels`);
    return 2;
  }
  const notes = [];
  const root = process.geteuid?.() === 0;
  if (names.includes("kernel") && !root) notes.push("Not root: the kernel tests ran in virtual machines only.");
  // The long ones start first, but for the quickest, whose verdict nobody should wait for.
  const order = [
    "lint",
    "newest",
    "6.1",
    "types",
    "unit",
    "kernel",
    "6.12",
    "5.10",
    "runner",
    "native",
    "nodes",
    "sanitized",
  ];
  const queue = order
    .filter((name) => names.includes(name) && (root || !NEED_ROOT.includes(name)))
    .flatMap((name) => all[name] ?? []);
  const results = await runAll(queue);
  if (interrupted.signal.aborted) return 130;

  const width = Math.max(...results.map(({ name }) => name.length));
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, counts, seconds } of results) {
    const { passed, failed, skipped } = counts;
    console.log(`${name.padEnd(width)}  ${passed} passed, ${failed} failed, ${skipped} skipped  (${seconds} s)`);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  for (const note of notes) console.log(note);
  const measured = Object.fromEntries(
    ["here", ...kernelNames].flatMap((name) => {
      const column = columnOf(tableFile(name));
      return column === undefined ? [] : [[name, column]];
    }),
  );
  if (values["write-table"]) writeTable(measured);
  // With another filter, most of what the table says was not looked at.
  const whole = !values["write-table"] && positionals.every((filter) => filter === "test/kernel");
  const contradicted = whole ? contradictions(measured) : [];
  total.failed += contradicted.length;
  const failures = [...results.filter(({ counts }) => counts.failed > 0).flatMap(failuresOf), ...contradicted];
  for (const failure of failures) console.log(`FAILED  ${failure}`);
  // CI runs this several times, and says at its end what failed in any of them.
  const file = process.env["EBPF_TEST_FAILURES"];
  if (file !== undefined) appendFileSync(file, failures.map((failure) => `FAILED  ${failure}\n`).join(""));
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0 ? 0 : 1;
}

for (const name of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.once(name, () => interrupted.abort());
try {
  process.exitCode = await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
