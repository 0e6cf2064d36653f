/** Addresses as they arrive from a program, as text and back. */
import { isIPv4 } from "node:net";
import { BpfError } from "../errors.js";
import { addressText } from "../kernel/ip_address.js";
import { shown } from "../options.js";

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
    return addressText(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address));
  }
  if (address.length === 4 || address.length === 16) return addressText(address);
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
