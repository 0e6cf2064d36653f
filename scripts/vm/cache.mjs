import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const repository = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/**
 * A folder for what is downloaded once: below the project, or below EBPF_CACHE where several clones share it.
 * @param {string[]} path
 */
export function cacheDirectory(...path) {
  const directory = join(process.env["EBPF_CACHE"] || join(repository, ".cache"), ...path);
  mkdirSync(directory, { recursive: true });
  return directory;
}
