/** Addresses as text, from the bytes of a header. */
import { isIPv4 } from "node:net";
import { BpfError } from "../errors.js";
import { shown } from "../options.js";

export const AF_INET = 2;
export const AF_INET6 = 10;

export function ipv4Text(bytes: Uint8Array): string {
  return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
}

/** In the canonical form of RFC 5952: lower case, the longest run of two or more zero groups as `::`. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  // IPv4-mapped addresses are read as what they map.
  if (start === 0 && length === 5 && groups[5] === 0xffff) return `::ffff:${ipv4Text(bytes.subarray(12))}`;
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (start < 0) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/**
 * An IP address as people write it. As it arrives from a program: a `__be32` is a number in host order, 4 or 16 bytes (`__u8[4]`, `__u8[16]`) are in
 * the network's order.
 * @throws BpfError VALUE_INVALID
 * @example
 * ```ts
 * import { ipText } from "ebpf/net";
 * console.log(ipText(0x7f000001)); // 127.0.0.1
 * console.log(ipText(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))); // 2001:db8::1
 * ```
 */
export function ipText(address: number | Uint8Array): string {
  if (typeof address === "number") {
    if (!Number.isInteger(address) || address < 0 || address > 0xffffffff)
      throw notAnAddress("ipText", "a number from 0 to 4294967295, or bytes", address);
    return ipv4Text(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address));
  }
  if (address.length === 4) return ipv4Text(address);
  if (address.length === 16) return ipv6Text(address);
  throw notAnAddress("ipText", "4 or 16 bytes", address);
}

/**
 * The number that stands for an IPv4 address where C has a `__be32`: in keys, values and variables.
 * @throws BpfError VALUE_INVALID when the text is no IPv4 address
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * import { ipv4Number } from "ebpf/net";
 * const opened = BpfObject.open("connects.bpf.o");
 * opened.rodata.only_address = ipv4Number("10.0.0.1");
 * ```
 */
export function ipv4Number(text: string): number {
  if (!isIPv4(text)) throw notAnAddress("ipv4Number", "an IPv4 address", text);
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function notAnAddress(operation: string, expected: string, got: unknown): BpfError {
  return new BpfError({ code: "VALUE_INVALID", message: `${operation}: expected ${expected}, got ${shown(got)}` });
}

/** By address family; undefined where there is no address. */
export function addressText(family: number, bytes: Uint8Array): string | undefined {
  if (family === AF_INET) return ipv4Text(bytes);
  if (family === AF_INET6) return ipv6Text(bytes);
  return undefined;
}
