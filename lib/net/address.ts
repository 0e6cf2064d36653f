/** Addresses as text, from the bytes of a header. */

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

/** By address family; undefined where there is no address. */
export function addressText(family: number, bytes: Uint8Array): string | undefined {
  if (family === AF_INET) return ipv4Text(bytes);
  if (family === AF_INET6) return ipv6Text(bytes);
  return undefined;
}
