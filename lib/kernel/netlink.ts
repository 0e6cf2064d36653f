/** rtnetlink messages: made of attributes, and taken apart again. Numbers are in this machine's byte order. */
import { endianness } from "node:os";
import { native } from "../native.js";

const LITTLE = endianness() === "LE";
const HEADER = 16;

// include/uapi/linux/{netlink,rtnetlink,lwtunnel}.h
/** Attributes of traffic control, and the size of the message before them (struct tcmsg). */
export const TCA = { kind: 1, options: 2 } as const;
export const TCMSG_SIZE = 20;

export const Rtm = {
  newLink: 16,
  getLink: 18,
  setLink: 19,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  getQdisc: 38,
  newFilter: 44,
  delFilter: 45,
  getFilter: 46,
} as const;
export const NlmFlag = { excl: 0x200, create: 0x400, dump: 0x300 } as const;
/** LWTUNNEL_ENCAP_*: what a route does to a packet, those that run programs. */
export const LwtEncap = { bpf: 6, seg6Local: 7 } as const;
export const NLA_F_NESTED = 0x8000;

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  if (LITTLE) bytes.writeUInt16LE(value);
  else bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (LITTLE) bytes.writeUInt32LE(value >>> 0);
  else bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function attribute(type: number, ...payload: readonly Uint8Array[]): Buffer {
  const data = Buffer.concat(payload);
  const padding = Buffer.alloc((4 - (data.length % 4)) % 4);
  return Buffer.concat([u16(4 + data.length), u16(type), data, padding]);
}

/** Sequence number and acknowledgement are the sender's. */
export function message(type: number, flags: number, ...body: readonly Uint8Array[]): Buffer {
  const data = Buffer.concat(body);
  return Buffer.concat([u32(HEADER + data.length), u16(type), u16(flags), u32(0), u32(0), data]);
}

/** One message of an answer: its fixed part, and its attributes by number. */
export class NetlinkMessage {
  readonly type: number;
  readonly body: Buffer;

  constructor(type: number, body: Buffer) {
    this.type = type;
    this.body = body;
  }

  u32(offset: number): number {
    return readU32(this.body, offset);
  }

  attributes(fixed: number): Map<number, Buffer> {
    return attributesOf(this.body.subarray(fixed));
  }
}

export function readU32(bytes: Buffer, offset = 0): number {
  return LITTLE ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset);
}

export function readU16(bytes: Buffer, offset = 0): number {
  return LITTLE ? bytes.readUInt16LE(offset) : bytes.readUInt16BE(offset);
}

/** An attribute that is a string, whose end is a zero. */
export function readText(bytes: Buffer | undefined): string {
  return bytes === undefined ? "" : bytes.toString("latin1").replace(/\0.*$/s, "");
}

export function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = readU16(bytes, at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(readU16(bytes, at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** Sends a request in the current network namespace; the messages of its answer. @throws NativeFailure */
export function request(bytes: Uint8Array): NetlinkMessage[] {
  const answer = Buffer.from(native().netlink(bytes));
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + HEADER <= answer.length; ) {
    const length = readU32(answer, at);
    if (length < HEADER) break;
    messages.push(new NetlinkMessage(readU16(answer, at + 4), answer.subarray(at + HEADER, at + length)));
    at += (length + 3) & ~3;
  }
  return messages;
}
