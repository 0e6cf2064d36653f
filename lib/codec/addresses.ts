/** Addresses in memory, as text. */
import { addressText, parseAddress } from "../kernel/ip_address.js";
import { shown } from "../options.js";
import type { Memory } from "./memory.js";
import { refuse, wrongKind } from "./values.js";

export function readAddress({ bytes }: Memory, offset: number, size: number): string {
  return addressText(bytes, offset, size);
}

export function writeAddress(
  memory: Memory,
  offset: number,
  size: number,
  value: unknown,
  label: string,
  path: string,
): void {
  const family = size === 4 ? "IPv4" : "IPv6";
  if (typeof value !== "string") wrongKind(label, path, `text of an ${family} address`, value);
  const bytes = parseAddress(value);
  if (bytes?.length !== size) refuse(label, path, `${shown(value)} is no ${family} address`);
  memory.bytes.set(bytes, offset);
}
