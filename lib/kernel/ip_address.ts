/** IP addresses: their bytes, in the network's order, and their text. */
import { isIPv4, isIPv6 } from "node:net";

export const AF_INET = 2;
export const AF_INET6 = 10;

/**
 * The text of an address of 4 or 16 bytes, where they are among others; IPv6 in the canonical form of RFC 5952, those that map IPv4 as
 * `::ffff:10.0.0.1` (its section 5).
 */
export function addressText(bytes: Uint8Array, offset = 0, size = bytes.length): string {
  return size === 4 ? ipv4Text(bytes, offset) : ipv6Text(bytes, offset);
}

/** By address family, of a field that has room for both; undefined where there is no address. */
export function addressTextOf(family: number, bytes: Uint8Array): string | undefined {
  if (family === AF_INET) return addressText(bytes, 0, 4);
  if (family === AF_INET6) return addressText(bytes);
  return undefined;
}

/** The bytes of an address in network byte order; undefined when the text is none. Zone ids (`%eth0`) are no part of one. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return undefined;
  // The last 32 bits may be written as IPv4.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain =
    dotted === null
      ? text
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = "", tail] = plain.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** An address, or the addresses that begin with as many bits. */
export interface Prefix {
  /** 4 or 16 bytes in network byte order. */
  readonly address: Uint8Array;
  /** Bits; undefined where what stands behind the slash is no number of bits of such an address. */
  readonly length: number | undefined;
}

/** "10.0.0.0/8"; without a length all bits of the address. Undefined when there is no address in front. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = 8 * address.length;
  const length = slash < 0 ? String(bits) : text.slice(slash + 1);
  return { address, length: /^\d{1,3}$/.test(length) && Number(length) <= bits ? Number(length) : undefined };
}

function ipv4Text(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

function ipv6Text(bytes: Uint8Array, offset: number): string {
  const group = (at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const groups = Array.from({ length: 8 }, (_, i) => group(offset + i * 2));
  // The longest run of two zero groups or more, the first of equals, becomes "::".
  let start = 8;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    i = Math.max(i, end - 1);
  }
  if (start === 0 && length === 5 && groups[5] === 0xffff) return `::ffff:${ipv4Text(bytes, offset + 12)}`;
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return start === 8 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
