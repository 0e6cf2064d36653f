/**
 * npm run vm -- --kernel 6.1 -- <command>...
 *
 * Runs a command on another kernel: see `--help`.
 */
import { parseArgs } from "node:util";
import { ensureKernel, listKernels, VmError } from "./kernels.mjs";
import { prepare, runVm } from "./run.mjs";

const HELP = `Usage: npm run vm -- [options] -- <command> [arguments]

Runs the command as root in a virtual machine with another kernel. The machine sees this one's files, read-only under a
layer that is thrown away. Output and exit status are the command's; 124: time was up; 125: the guest died.

  --kernel NAME     5.10, 6.1, 6.12 or newest (default: 6.1)
  --writable DIR    a folder that the command may really write to (repeatable)
  --env NAME=VALUE  set a variable; NODE_*, EBPF_*, VITEST* and CI go along anyway (repeatable)
  --timeout N       seconds for the whole run (default: 300)
  --memory SIZE     (default: 2G)
  --cpus N          (default: 2)
  --append TEXT     more for the kernel's command line
  --verbose         the guest's console, on standard error
  --list            the kernels, and what of them is in the cache
  --fetch           get the kernel ready (download, unpack), run nothing
  --update          look for a newer kernel of the series first
`;

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: "string", default: "6.1" },
      writable: { type: "string", multiple: true, default: [] },
      env: { type: "string", multiple: true, default: [] },
      timeout: { type: "string", default: "300" },
      memory: { type: "string", default: "2G" },
      cpus: { type: "string", default: "2" },
      append: { type: "string", default: "" },
      verbose: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      fetch: { type: "boolean", default: false },
      update: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.list) {
    for (const { name, suite, cached } of listKernels()) {
      const state = cached === undefined ? "not downloaded yet" : `${cached.release} in ${cached.directory}`;
      process.stdout.write(`${name.padEnd(8)} Debian ${suite.padEnd(20)} ${state}\n`);
    }
    return 0;
  }
  const kernel = await ensureKernel(values.kernel, { update: values.update });
  if (positionals.length === 0) {
    if (values.update || values.fetch) {
      await prepare(kernel);
      return 0;
    }
    throw new VmError(`no command to run\n\n${HELP}`);
  }
  const interrupted = new AbortController();
  for (const name of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
    process.once(name, () => interrupted.abort());
  const { status, readySeconds } = await runVm({
    kernel,
    command: positionals,
    stdout: process.stdout,
    stderr: process.stderr,
    env: Object.fromEntries(values.env.map(variable)),
    writable: values.writable,
    timeout: positive("--timeout", values.timeout),
    cpus: positive("--cpus", values.cpus),
    memory: values.memory,
    append: values.append,
    signal: interrupted.signal,
    ...(values.verbose ? { console: process.stderr } : {}),
  });
  if (values.verbose) process.stderr.write(`vm ${kernel.release}: ready after ${readySeconds?.toFixed(1)} s\n`);
  return status;
}

/** @param {string} text @returns {[string, string]} */
function variable(text) {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new VmError(`--env wants NAME=VALUE, got "${text}"`);
  return [name, value];
}

/** @param {string} option @param {string} text */
function positive(option, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new VmError(`${option} wants a whole number above 0, got "${text}"`);
  return number;
}

try {
  process.exitCode = await main();
} catch (error) {
  const known = error instanceof VmError || (error instanceof TypeError && "code" in error);
  process.stderr.write(`vm: ${known ? error.message : (error?.stack ?? error)}\n`);
  process.exitCode = known ? 2 : 1;
}
