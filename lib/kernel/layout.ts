/** Fields of the kernel's info structs (include/uapi/linux/bpf.h), whose layout is ABI; they only grow at their ends. */
import { endianness } from "node:os";
import { native } from "../native.js";
import { attempt } from "./explain.js";

const LITTLE = endianness() === "LE";

/** A struct that the kernel fills; what a kernel does not know stays 0. */
export class InfoBuffer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #pointers: (number | Uint8Array)[] = [];

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, LITTLE);
  }

  s32(offset: number): number {
    return this.#view.getInt32(offset, LITTLE);
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset, LITTLE);
  }

  setU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, LITTLE);
  }

  setU64(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, LITTLE);
  }

  text(offset: number, length: number): string {
    return textOf(this.bytes.subarray(offset, offset + length));
  }

  hex(offset: number, length: number): string {
    return Buffer.from(this.bytes.subarray(offset, offset + length)).toString("hex");
  }

  /** Has the kernel write to `target` what the pointer at `offset` is for. */
  point(offset: number, target: Uint8Array): void {
    this.#pointers.push(offset, target);
  }

  /** BPF_OBJ_GET_INFO_BY_FD. */
  fill(fd: number, what: string): this {
    attempt({ doing: `get the info of ${what}` }, () => native().objectInfo(fd, this.bytes, this.#pointers));
    return this;
  }
}

/** Up to the first NUL. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
}

export function u64List(bytes: Uint8Array, count: number): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => view.getBigUint64(i * 8, LITTLE));
}

export function u32List(bytes: Uint8Array, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_, i) => view.getUint32(i * 4, LITTLE));
}
