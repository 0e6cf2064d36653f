import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { makeFolder } from "../build/folder.js";
import { BpfError } from "../errors.js";

/** Writes a file whole or not at all; false when it has this content already, so that what watches it is not woken. */
export function writeIfChanged(path: string, content: string | Uint8Array): boolean {
  const bytes = Buffer.from(content as Uint8Array);
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile())
      throw new Error(found.isDirectory() ? "it is a folder" : "it is not a file");
    if (found?.size === bytes.length && readFileSync(path).equals(bytes)) return false;
    makeFolder(dirname(path));
    writeFileSync(unfinished, bytes);
    renameSync(unfinished, path);
    return true;
  } catch (cause) {
    try {
      rmSync(unfinished, { force: true });
    } catch {
      // Where nothing could be written there is nothing to be removed.
    }
    throw new BpfError({ code: "SYSTEM", message: `cannot write ${path}: ${(cause as Error).message}`, cause });
  }
}
