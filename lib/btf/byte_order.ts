/** BTF of a machine with the other byte order, as libbpf reads it too. */
import { endianness } from "node:os";
import { HEADER_SIZE, MAGIC } from "./sections.js";

const LITTLE_ENDIAN = endianness() === "LE";

/** The bytes, in a copy where their order is not the host's; undefined where they do not begin as BTF does. */
export function inHostOrder(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined || bytes.byteLength < HEADER_SIZE) return undefined;
  const theirs = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (theirs.getUint16(0, LITTLE_ENDIAN) === MAGIC) return bytes;
  if (theirs.getUint16(0, !LITTLE_ENDIAN) !== MAGIC) return undefined;
  const copy = new Uint8Array(bytes);
  const ours = new DataView(copy.buffer);
  ours.setUint16(0, MAGIC, LITTLE_ENDIAN);
  const swap = (from: number, to: number) => {
    for (let at = from; at + 4 <= Math.min(to, copy.byteLength); at += 4)
      ours.setUint32(at, theirs.getUint32(at, !LITTLE_ENDIAN), LITTLE_ENDIAN);
  };
  // Beside magic, version, flags and the strings all is 32-bit words.
  swap(4, HEADER_SIZE);
  const types = ours.getUint32(4, LITTLE_ENDIAN) + ours.getUint32(8, LITTLE_ENDIAN);
  swap(types, types + ours.getUint32(12, LITTLE_ENDIAN));
  return copy;
}
