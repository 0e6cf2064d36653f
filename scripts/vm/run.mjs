import { spawn } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { constants, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseInitramfs, runInitramfs } from "./initramfs.mjs";
import { uncompressedKernel, VmError } from "./kernels.mjs";
import { accelerator, qemuCommand, requireQemu } from "./qemu.mjs";

/** Exit status when the guest died under its command: a panic, an oops, QEMU's own failure. As with env(1) or docker. */
export const GUEST_DIED = 125;
/** Exit status when the time was up, as with timeout(1). */
export const TIMED_OUT = 124;

/** What of the caller's environment goes along. */
const ENVIRONMENT = /^(NODE_.*|CI|EBPF_.*|VITEST.*|FORCE_COLOR|NO_COLOR|TERM|LANG|LC_.*|TZ)$/;

/**
 * @typedef {object} VmOptions
 * @property {import("./kernels.mjs").Kernel} kernel
 * @property {readonly string[]} command
 * @property {NodeJS.WritableStream} stdout
 * @property {NodeJS.WritableStream} stderr   the command's, and what this runner has to say
 * @property {string} [cwd]
 * @property {Record<string, string>} [env]   besides what goes along anyway
 * @property {readonly string[]} [writable]   folders of the host that the guest may write to
 * @property {number} [timeout]               seconds for the whole run; 300
 * @property {number} [cpus]
 * @property {string} [memory]
 * @property {string} [append]                more for the kernel's command line
 * @property {NodeJS.WritableStream} [console] gets the guest's console as it is written
 * @property {AbortSignal} [signal]
 */

/**
 * Makes what the first run of a kernel makes, so that the first run is as quick as the others.
 * @param {import("./kernels.mjs").Kernel} kernel
 */
export async function prepare(kernel) {
  requireQemu();
  uncompressedKernel(kernel);
  baseInitramfs(kernel);
  await accelerator(kernel);
}

/**
 * Starts of a guest before giving up: one of the newest kernel has panicked while it booted, over a breakpoint that was no
 * longer there (Linux patches code by breakpoints, whenever it flips a static key), which is the emulation's doing.
 */
const ATTEMPTS = 3;

/** A guest that is not ready by then hangs: booting takes 5 to 30 seconds. */
const BOOT_PATIENCE_MS = 300_000;

/**
 * @typedef {object} VmResult
 * @property {number} status  the command's exit status, or {@link TIMED_OUT}, {@link GUEST_DIED}
 * @property {number | undefined} readySeconds  when the guest was ready to run the command, if it ever was
 */

/**
 * Runs a command in a virtual machine: the host's files under it, writes thrown away. A guest that dies before the command
 * has begun is started anew, which it says; one that dies later is the result.
 * @param {VmOptions} options
 * @returns {Promise<VmResult>}
 */
export async function runVm(options) {
  for (let attempt = 1; ; attempt += 1) {
    const result = await runOnce(options);
    const again = result.status === GUEST_DIED && result.readySeconds === undefined && attempt < ATTEMPTS;
    if (!again || options.signal?.aborted) return result;
    options.stderr.write(`vm ${options.kernel.release}: it died before the command had begun; starting it anew\n`);
  }
}

/** @param {VmOptions} options @returns {Promise<VmResult>} */
async function runOnce(options) {
  const { kernel, timeout = 300, cpus = 2, memory = "2G", append = "", signal } = options;
  const writable = (options.writable ?? []).map((path) => realpathSync(path));
  requireQemu();
  const accel = await accelerator(kernel);
  const started = performance.now();
  const scratch = mkdtempSync(join(tmpdir(), "ebpf-vm-"));
  /** @type {import("node:net").Server[]} */
  const servers = [];
  try {
    const stage2 = await readFile(fileURLToPath(new URL("guest/stage2", import.meta.url)), "utf8");
    const initrd = join(scratch, "initrd");
    writeFileSync(
      initrd,
      Buffer.concat([
        baseInitramfs(kernel),
        runInitramfs({ settings: settings(kernel, writable), stage2, command: commandScript(options) }),
      ]),
    );

    /** @type {number | undefined} */
    let status;
    /** @type {number | undefined} */
    let readySeconds;
    let control = "";
    const sockets = {
      out: await port("out", options.stdout),
      err: await port("err", options.stderr),
      control: await port("control", (text) => {
        control += text;
        if (readySeconds === undefined && control.includes("ready\n")) {
          readySeconds = (performance.now() - started) / 1000;
        }
        const exit = /^exit (\d+)$/m.exec(control);
        if (exit !== null) status = Number(exit[1]);
      }),
    };

    const child = spawn(
      ...qemuCommand({ kernel, accel, cpus, memory, append, initrd, sockets: paths(sockets), writable }),
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    let screen = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      options.console?.write(text);
      screen = (screen + text).slice(-16_384);
    });
    let complaints = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      complaints += text;
    });

    let timedOut = false;
    const kill = () => child.kill("SIGKILL");
    const bootTimer = setTimeout(() => {
      if (readySeconds === undefined) kill();
    }, BOOT_PATIENCE_MS);
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, timeout * 1000);
    signal?.addEventListener("abort", kill);
    await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
    clearTimeout(timer);
    clearTimeout(bootTimer);
    signal?.removeEventListener("abort", kill);
    // The sockets' ends come after QEMU's: what it wrote last is still to be read.
    await Promise.all(Object.values(sockets).map((socket) => socket.ended()));
    if (signal?.aborted) return { status: 128 + constants.signals.SIGINT, readySeconds };

    const say = (/** @type {string} */ text) => options.stderr.write(`vm ${kernel.release}: ${text}\n`);
    if (status !== undefined) return { status, readySeconds };
    const tail = plain(screen).trim().split("\n").slice(-40).join("\n  ");
    const shown = tail === "" ? "its console is empty" : `the end of its console:\n  ${tail}`;
    if (timedOut) {
      say(`not done after ${timeout} s${readySeconds === undefined ? " (it never got to the command)" : ""}; ${shown}`);
      return { status: TIMED_OUT, readySeconds };
    }
    const why = /Kernel panic[^\n\r]*/.exec(screen)?.[0] ?? "the guest ended without an exit status";
    say([why, complaints.trim(), shown].filter(Boolean).join("; "));
    return { status: GUEST_DIED, readySeconds };
  } finally {
    for (const server of servers) server.close();
    rmSync(scratch, { recursive: true, force: true });
  }

  /**
   * A socket for one of the guest's serial ports. The listener on the host's side is there before QEMU starts.
   * @param {string} name
   * @param {NodeJS.WritableStream | ((text: string) => void)} sink
   */
  async function port(name, sink) {
    const path = join(scratch, name);
    /** @type {Promise<void> | undefined} */
    let ended;
    const server = createServer((socket) => {
      ended = new Promise((resolve) => {
        socket.once("close", () => resolve());
      });
      socket.on("error", () => {}); // QEMU was killed: the end says as much
      if (typeof sink === "function") socket.setEncoding("utf8").on("data", sink);
      else socket.pipe(sink, { end: false }); // with its back-pressure: a slow reader slows the guest, nothing is dropped
    });
    servers.push(server);
    await new Promise((resolve, reject) => server.once("error", reject).listen(path, () => resolve(undefined)));
    return { path, ended: async () => ended };
  }
}

/** Without what the BIOS sends to move the cursor. @param {string} screen */
function plain(screen) {
  const esc = String.fromCharCode(27);
  return screen.replaceAll(new RegExp(`${esc}(c|\\[[?0-9;]*[A-Za-z])|\r`, "g"), "");
}

/** @param {Record<string, { path: string }>} sockets */
function paths(sockets) {
  return Object.fromEntries(Object.entries(sockets).map(([name, { path }]) => [name, path]));
}

/** @param {import("./kernels.mjs").Kernel} kernel @param {readonly string[]} writable */
function settings(kernel, writable) {
  return [
    `HOST_MODULES=${quote(realpathSync(kernel.modules))}`,
    `HOST_CONFIG=${quote(join(realpathSync(kernel.directory), "config"))}`,
    `WRITABLE_COUNT=${writable.length}`,
    ...writable.map((path, index) => `WRITABLE_${index}=${quote(path)}`),
    "",
  ].join("\n");
}

/** @param {VmOptions} options a shell script that becomes the command: same folder, same arguments, byte by byte */
function commandScript({ kernel, command, cwd = process.cwd(), env = {} }) {
  if (command.length === 0) throw new VmError("no command to run");
  const passed = Object.entries(process.env).filter(([name]) => ENVIRONMENT.test(name));
  /** @type {Record<string, string | undefined>} */
  const environment = {
    ...Object.fromEntries(passed),
    // Not the home of some user of the host: its settings are nobody's business here, and may not even be readable.
    HOME: "/run/home",
    // The node that runs this is the node in there, wherever it is installed.
    PATH: [dirname(process.execPath), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"].join(delimiter),
    EBPF_VM: kernel.version,
    ...env,
  };
  return [
    `cd ${quote(cwd)} || exit 126`,
    ...Object.entries(environment).map(([name, value]) => `export ${name}=${quote(value ?? "")}`),
    `exec ${command.map(quote).join(" ")}`,
    "",
  ].join("\n");
}

/** @param {string} text as one word of the shell's */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
