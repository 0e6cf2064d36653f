/** Keys of tries as people write them: "10.0.0.0/8", "2001:db8::/32". */
import type { Codec, Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { addressText, parsePrefix } from "../kernel/ip_address.js";
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
      const { address, length } = prefixOf(value, bytes, label);
      memory.view.setUint32(offset, length, LITTLE_ENDIAN);
      memory.bytes.set(address, offset + HEADER);
      return HEADER + bytes;
    },
  };
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Bits past the length are zero. */
function prefixOf(
  value: unknown,
  bytes: 4 | 16,
  label: string,
): { readonly address: Uint8Array; readonly length: number } {
  const expected = bytes === 4 ? 'an IPv4 prefix such as "10.0.0.0/8"' : 'an IPv6 prefix such as "2001:db8::/32"';
  const refuse = (problem: string): BpfError =>
    new BpfError({ code: "VALUE_INVALID", message: `${label}: expected ${expected}, ${problem}` });
  if (typeof value !== "string") throw refuse(`got ${value === null ? "null" : typeof value}`);
  const { address, length } = parsePrefix(value) ?? {};
  if (address === undefined) throw refuse(`got ${shown(value)}`);
  if (address.length !== bytes) throw refuse(`got ${shown(value)}, which is IPv${address.length === 4 ? 4 : 6}`);
  if (length === undefined) throw refuse(`got ${shown(value)}, whose length is not a number from 0 to ${bytes * 8}`);
  for (let i = 0; i < bytes; i++) {
    const kept = Math.max(0, Math.min(8, length - i * 8));
    address[i] = (address[i] as number) & (0xff00 >> kept);
  }
  return { address, length };
}
