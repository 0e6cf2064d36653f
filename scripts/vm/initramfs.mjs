import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpio } from "./cpio.mjs";
import { VmError } from "./kernels.mjs";

/** What the guest needs before it sees the host's files: the bus, the serial ports, the file systems. */
const NEEDED = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"];

const FILE = 0o100755;
const FOLDER = 0o040755;

/**
 * The part of the initramfs that is the same for every run of a kernel. Made once.
 * @param {import("./kernels.mjs").Kernel} kernel
 * @returns {Buffer}
 */
export function baseInitramfs(kernel) {
  const path = join(kernel.directory, "initramfs.cpio");
  const init = fileURLToPath(new URL("guest/init", import.meta.url));
  const busybox = staticBusybox();
  const sources = [init, busybox, fileURLToPath(import.meta.url), join(kernel.directory, "vmlinuz")];
  if (existsSync(path) && sources.every((source) => statSync(source).mtimeMs < statSync(path).mtimeMs)) {
    return readFileSync(path);
  }
  const modules = modulesInOrder(kernel);
  const archive = cpio([
    ...["bin", "dev", "proc", "sys", "modules", "run"].map((folder) => ({ path: folder, mode: FOLDER })),
    { path: "bin/busybox", mode: FILE, data: readFileSync(busybox) },
    { path: "init", mode: FILE, data: readFileSync(init) },
    // Numbered: the shell's pattern expands in the order in which they must be inserted.
    ...modules.map((module, index) => ({
      path: `modules/${String(index).padStart(2, "0")}-${basename(module).replace(/\.xz$/, "")}`,
      mode: FILE,
      data: moduleBytes(join(kernel.modules, module)),
    })),
  ]);
  writeFileSync(`${path}.${process.pid}`, archive);
  renameSync(`${path}.${process.pid}`, path);
  return archive;
}

/**
 * The part that is of one run: the files in it land in /run of the guest.
 * @param {Record<string, string>} files
 */
export function runInitramfs(files) {
  return cpio(
    Object.entries(files).map(([name, text]) => ({ path: `run/${name}`, mode: FILE, data: Buffer.from(text) })),
  );
}

/** @param {import("./kernels.mjs").Kernel} kernel @returns {string[]} paths below the module folder, dependencies first */
function modulesInOrder(kernel) {
  const nameOf = (/** @type {string} */ path) =>
    basename(path)
      .replace(/\.ko(\.xz)?$/, "")
      .replaceAll("-", "_");
  const lines = (/** @type {string} */ file) => readFileSync(join(kernel.modules, file), "utf8").split("\n");
  const builtin = new Set(lines("modules.builtin").map(nameOf));
  /** @type {Map<string, { path: string, needs: string[] }>} */
  const known = new Map();
  for (const line of lines("modules.dep")) {
    const [path = "", rest = ""] = line.split(":");
    known.set(nameOf(path), { path, needs: rest.trim().split(" ").filter(Boolean) });
  }
  /** @type {string[]} */
  const order = [];
  const visit = (/** @type {string} */ name) => {
    const module = known.get(name);
    if (module === undefined) {
      if (builtin.has(name)) return;
      throw new VmError(`kernel ${kernel.release} has no module ${name}`);
    }
    // modules.dep lists all that a module needs, the nearest first.
    for (const path of module.needs.toReversed()) visit(nameOf(path));
    if (!order.includes(module.path)) order.push(module.path);
  };
  for (const name of NEEDED) visit(name);
  return order;
}

/** @param {string} path */
function moduleBytes(path) {
  return path.endsWith(".xz") ? execFileSync("xz", ["-dc", path], { maxBuffer: 1 << 28 }) : readFileSync(path);
}

/** A busybox that needs no shared library. */
function staticBusybox() {
  for (const folder of `${process.env["PATH"] ?? ""}${delimiter}/bin${delimiter}/usr/bin`.split(delimiter)) {
    const path = join(folder, "busybox");
    try {
      accessSync(path, constants.X_OK);
    } catch {
      continue;
    }
    // A dynamic executable names its loader; the string is near the start of the file.
    if (!readFileSync(path).subarray(0, 4096).includes("/ld-")) return path;
  }
  throw new VmError("a static busybox is needed (package busybox-static)");
}
