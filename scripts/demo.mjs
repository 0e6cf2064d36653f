/**
 * `npm run demo`: runs the demo on this kernel as root, and in a virtual machine without root or with --vm.
 *
 *   npm run demo [-- --vm] [-- --kernel 5.10|6.1|6.12|newest]
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const demo = fileURLToPath(new URL("../build/examples/demo/main.js", import.meta.url));

/**
 * Signals are the command's: it takes down what it built, and only then this ends.
 * @param {string} command @param {string[]} args @returns {Promise<number>} its exit status
 */
function run(command, args, env = process.env) {
  const child = spawn(command, args, { cwd: root, stdio: "inherit", env });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
    process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => resolve(status ?? (signal === null ? 1 : 128 + constants.signals[signal])));
  });
}

function options() {
  try {
    return parseArgs({ options: { vm: { type: "boolean", default: false }, kernel: { type: "string" } } }).values;
  } catch (error) {
    console.error(
      `demo: ${/** @type {Error} */ (error).message}\nusage: npm run demo [-- --vm] [-- --kernel 5.10|6.1|6.12|newest]`,
    );
    process.exit(2);
  }
}

const { vm, kernel = "6.1" } = options();
const mayLoad = process.geteuid?.() === 0;
if (!vm && mayLoad) {
  process.exitCode = await run(process.execPath, ["--enable-source-maps", demo]);
} else {
  if (!mayLoad)
    console.log(
      "demo: loading BPF programs needs root, and this is none: running in a virtual machine, which needs none",
    );
  const prepared = await run("scripts/setup", ["vm"], { ...process.env, EBPF_TEST_KERNELS: kernel });
  if (prepared === 0)
    console.log(
      `demo: booting a virtual machine with kernel ${kernel}; under software emulation that takes some seconds`,
    );
  process.exitCode =
    prepared ||
    (await run(process.execPath, [
      "scripts/vm/main.mjs",
      "--kernel",
      kernel,
      ...(process.stdout.isTTY ? ["--env", `EBPF_DEMO_COLUMNS=${process.stdout.columns}`] : []),
      "--",
      process.execPath,
      "--enable-source-maps",
      demo,
    ]));
}
