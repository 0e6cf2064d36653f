import { BpfObject, type LoadedObject, type OpenedObject } from "ebpf";
import { fixture } from "../support/fixture.js";

export interface Rec {
  seq: bigint;
  pid: number;
  value: number;
  comm: string;
}

export interface Blob {
  seq: bigint;
  length: number;
  data: Uint8Array;
}

export const PACKET = Uint8Array.from({ length: 64 }, (_, i) => i);

export async function loadFixture(
  name: "ring" | "events_streams" | "events_ring_maps",
  configure: (opened: OpenedObject) => void = () => {},
): Promise<LoadedObject> {
  const opened = BpfObject.open(fixture(name));
  configure(opened);
  return opened.load();
}

/** Runs a program so many times. */
export function send(object: LoadedObject, program: string, runs: number): void {
  object.program(program).testRun({ data: PACKET, repeat: runs });
}

/** What the fixtures put into the record of a sequence number. */
export function expected(seq: number, comm = "generator"): Rec {
  return { seq: BigInt(seq), pid: (seq * 7) >>> 0, value: (seq ^ 0x5a5a5a5a) >>> 0, comm };
}
