/** Keys of tries as people write them: "10.0.0.0/8", "2001:db8::/32". */
import { isIPv4, isIPv6 } from "node:net";
import type { Codec, Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { shown } from "../options.js";

/** sizeof(struct bpf_lpm_trie_key_hdr): the prefix's length, before its data. */
const HEADER = 4;

/** Bytes of an address, by the size of the key; undefined when the data is no address. */
export function addressBytes(keySize: number): 4 | 16 | undefined {
  const data = keySize - HEADER;
  return data === 4 || data === 16 ? data : undefined;
}

/**
 * Prefixes of IPv4 (4 bytes of data) or IPv6 (16) as strings, network byte order in memory. A string without a length is a whole address.
 * Bits past the length are stored as zero. What the key's own type takes, a `struct bpf_lpm_trie_key` or like it, is taken too.
 */
export function prefixCodec(bytes: 4 | 16, own: Codec, label: string): Codec<string> {
  return {
    type: own.type,
    size: HEADER + bytes,
    minimumSize: HEADER + bytes,
    hasTail: false,
    decode(memory: Memory, offset: number): string {
      const length = memory.view.getUint32(offset, LITTLE_ENDIAN);
      return `${formatAddress(memory.bytes.subarray(offset + HEADER, offset + HEADER + bytes))}/${length}`;
    },
    encode(memory: Memory, offset: number, value: unknown): number {
      if (typeof value === "object" && value !== null) return own.encode(memory, offset, value);
      const { address, length } = parsePrefix(value, bytes, label);
      memory.view.setUint32(offset, length, LITTLE_ENDIAN);
      memory.bytes.set(address, offset + HEADER);
      return HEADER + bytes;
    },
  };
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

interface Prefix {
  /** In network byte order, zero past the length. */
  readonly address: Uint8Array;
  /** Bits. */
  readonly length: number;
}

function parsePrefix(value: unknown, bytes: 4 | 16, label: string): Prefix {
  const expected = bytes === 4 ? 'an IPv4 prefix such as "10.0.0.0/8"' : 'an IPv6 prefix such as "2001:db8::/32"';
  const refuse = (problem: string): BpfError =>
    new BpfError({ code: "VALUE_INVALID", message: `${label}: expected ${expected}, ${problem}` });
  if (typeof value !== "string") throw refuse(`got ${value === null ? "null" : typeof value}`);
  const slash = value.indexOf("/");
  const text = slash < 0 ? value : value.slice(0, slash);
  const address = parseAddress(text);
  if (address === undefined) throw refuse(`got ${shown(value)}`);
  if (address.length !== bytes) throw refuse(`got ${shown(value)}, which is IPv${address.length === 4 ? 4 : 6}`);
  const bits = bytes * 8;
  const lengthText = slash < 0 ? String(bits) : value.slice(slash + 1);
  if (!/^\d{1,3}$/.test(lengthText) || Number(lengthText) > bits)
    throw refuse(`got ${shown(value)}, whose length is not a number from 0 to ${bits}`);
  const length = Number(lengthText);
  for (let i = 0; i < bytes; i++) {
    const kept = Math.max(0, Math.min(8, length - i * 8));
    address[i] = (address[i] as number) & (0xff00 >> kept);
  }
  return { address, length };
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

/** An address as text, IPv6 as RFC 5952 writes it. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] as number) << 8) | (bytes[i * 2 + 1] as number));
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
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return start === 8 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
