/** Keys of tries as people write them: "10.0.0.0/8", "2001:db8::/32". */
import type { Codec, Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { addressText, parseAddress } from "../kernel/ip_address.js";
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
      return `${addressText(memory.bytes, offset + HEADER, bytes)}/${length}`;
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
