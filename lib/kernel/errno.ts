import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { ENOTSUPP } from "./abi.js";

export const errno = constants.errno;

const NAMES = new Map(Object.entries(errno).map(([name, code]) => [code, name]));

/** The name of a positive errno, for example `EPERM`. */
export function errnoName(code: number): string {
  if (code === ENOTSUPP) return "ENOTSUPP";
  // libuv has names for what it may return itself, and a sentence for the rest.
  const name = getSystemErrorName(-code);
  return /^E[A-Z0-9]+$/.test(name) ? name : (NAMES.get(code) ?? `errno ${code}`);
}
