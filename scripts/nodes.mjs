import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./vm/cache.mjs";

/** Other lines of Node that this library is for; the newest of each. */
export const NODE_LINES = ["22", "24", "26"];

/**
 * The folder with a Node's binary, downloaded once. The npm package `node` takes its binaries from packages by platform, which are plain
 * files.
 * @param {string} line
 */
export function ensureNode(line) {
  const folder = cacheDirectory("nodes", line);
  const name = `node-linux-${process.arch}`;
  const binaries = join(folder, "node_modules", name, "bin");
  if (existsSync(join(binaries, "node"))) return binaries;
  // A package.json of its own, or npm would look for one further up.
  const options = ["--prefix", folder, "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr } = spawnSync("npm", ["install", ...options, `${name}@${line}`], {
    cwd: folder,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`Node ${line} is not to be had: ${stderr}`);
  return binaries;
}
