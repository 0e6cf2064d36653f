/** The header of BTF and the two sections it points to. */
import { endianness } from "node:os";
import { BpfError } from "../errors.js";

export const MAGIC = 0xeb9f;
const MAGIC_SWAPPED = 0x9feb;
const VERSION = 1;
/** sizeof(struct btf_header) as first released (4.18). Later kernels may write more; what follows is skipped, as libbpf does. */
export const HEADER_SIZE = 24;

const LITTLE_ENDIAN = endianness() === "LE";

export interface BtfSections {
  /** The type section; every record in it is made of 32-bit words. */
  readonly words: Uint32Array;
  /** The string section: NUL-terminated strings, found by their offset. */
  readonly strings: Buffer;
}

export function invalid(what: string, problem: string): BpfError {
  return new BpfError({ code: "BTF_INVALID", message: `${what} is not valid BTF: ${problem}` });
}

/** Splits raw BTF into its sections, checking all that the header claims. `what` names the source in errors. */
export function readSections(bytes: Uint8Array, what: string, split: boolean): BtfSections {
  if (bytes.byteLength < HEADER_SIZE) {
    throw invalid(what, `${bytes.byteLength} bytes are fewer than the header's ${HEADER_SIZE}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, LITTLE_ENDIAN);
  if (magic === MAGIC_SWAPPED) {
    const [theirs, ours] = LITTLE_ENDIAN ? ["big", "little"] : ["little", "big"];
    throw invalid(
      what,
      `it is ${theirs}-endian and this machine is ${ours}-endian; compile with -target bpf for this machine`,
    );
  }
  if (magic !== MAGIC) throw invalid(what, `magic 0x${magic.toString(16)} in place of 0x${MAGIC.toString(16)}`);
  const version = view.getUint8(2);
  if (version !== VERSION) throw invalid(what, `version ${version}; this library knows version ${VERSION}`);

  const header = view.getUint32(4, LITTLE_ENDIAN);
  if (header < HEADER_SIZE || header > bytes.byteLength)
    throw invalid(what, `header length ${header} in ${bytes.byteLength} bytes`);
  const section = (name: string, at: number): Uint8Array => {
    const offset = header + view.getUint32(at, LITTLE_ENDIAN);
    const length = view.getUint32(at + 4, LITTLE_ENDIAN);
    if (offset + length > bytes.byteLength) {
      throw invalid(
        what,
        `the ${name} section (offset ${offset}, ${length} bytes) ends past the ${bytes.byteLength} bytes there are`,
      );
    }
    return bytes.subarray(offset, offset + length);
  };
  const types = section("type", 8);
  const strings = section("string", 16);
  if (types.byteLength % 4 !== 0) throw invalid(what, `type section of ${types.byteLength} bytes, not a multiple of 4`);
  // Split BTF may have no strings of its own; otherwise offset 0 is the empty string, and the last string must end.
  if (strings.byteLength === 0 ? !split : strings[strings.byteLength - 1] !== 0 || (!split && strings[0] !== 0)) {
    throw invalid(what, "the string section does not begin and end with a NUL");
  }
  // The format asks for alignment within the file only; the caller's bytes may start anywhere.
  // slice() would not copy: files are read as Buffers, whose own is a view.
  const aligned = types.byteOffset % 4 === 0 ? types : new Uint8Array(types);
  return {
    words: new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4),
    strings: Buffer.from(strings.buffer, strings.byteOffset, strings.byteLength),
  };
}
