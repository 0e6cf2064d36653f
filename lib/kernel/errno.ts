import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { ENOTSUPP } from "./abi.js";

export const errno = constants.errno;

/** The name of a positive errno, for example `EPERM`. */
export function errnoName(code: number): string {
  if (code === ENOTSUPP) return "ENOTSUPP";
  try {
    return getSystemErrorName(-code);
  } catch {
    return `errno ${code}`;
  }
}
