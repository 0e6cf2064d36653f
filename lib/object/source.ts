import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { BpfError } from "../errors.js";
import { checkString, invalid, shown } from "../options.js";

/** A BPF object file: its path (or file URL), or its bytes. */
export type ObjectSource = string | URL | Uint8Array;

/** An object file, read and named. */
export interface ObjectImage {
  /** For messages: the path, or `object in memory`. */
  readonly label: string;
  /** What libbpf calls it: the file's name up to its first dot, with what is no letter or digit made `_`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const EM_BPF = 247;

/**
 * Reads an object file and refuses what libbpf would only refuse with a number.
 * @throws BpfError NOT_FOUND, OBJECT_INVALID, INVALID_ARGUMENT
 */
export function readObject(source: ObjectSource): ObjectImage {
  if (source instanceof Uint8Array) {
    return checkElf({ label: "object in memory", name: "object", bytes: source });
  }
  const path = source instanceof URL ? fileURLToPath(source) : source;
  if (typeof path !== "string")
    throw invalid(`open: the object must be a path, a file URL or bytes, got ${shown(path)}`);
  checkString("open", "path", path);
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new BpfError({ code: "NOT_FOUND", message: `open: no such file: ${path}`, cause });
    if (code === "EACCES")
      throw new BpfError({ code: "PERMISSION_DENIED", message: `open: may not read ${path}`, cause });
    throw new BpfError({ code: "INVALID_ARGUMENT", message: `open: cannot read ${path}: ${message}`, cause });
  }
  const name = (basename(path).split(".", 1)[0] as string).replace(/[^A-Za-z0-9_]/g, "_");
  return checkElf({ label: path, name: name === "" ? "object" : name, bytes });
}

/** Only the identification that says which kind of file it is; everything behind it is libbpf's to read. */
function checkElf(image: ObjectImage): ObjectImage {
  const { bytes, label } = image;
  const say = (what: string) => new BpfError({ code: "OBJECT_INVALID", message: `open: ${label} ${what}` });
  if (bytes.length === 0) throw say("is empty");
  if (!(bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46))
    throw say("is not an ELF file: compile it with clang -target bpf -g -O2 -c");
  if (bytes.length < 64) throw say(`is truncated: ${bytes.length} bytes cannot hold an ELF header`);
  const machine =
    bytes[5] === 2
      ? (bytes[18] as number) * 256 + (bytes[19] as number)
      : (bytes[19] as number) * 256 + (bytes[18] as number);
  // Old clang versions wrote EM_NONE.
  if (machine !== EM_BPF && machine !== 0)
    throw say(`is an ELF file for another machine (${machine}): compile it with clang -target bpf`);
  return image;
}
