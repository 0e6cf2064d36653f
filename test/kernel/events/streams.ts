import { type OpenedRing, type ReaderChoice, RingBuffer } from "ebpf";
import { bytesCodec } from "../../../lib/codec/codec.js";
import { attempt } from "../../../lib/kernel/explain.js";
import { type NativePerfOptions, native } from "../../../lib/native.js";
import { EventsRingMaps } from "../../fixtures/events_ring_maps.bpf.js";
import { EventsStreams } from "../../fixtures/events_streams.bpf.js";
import { Ring } from "../../fixtures/ring.bpf.js";

const FIXTURES = { ring: Ring, events_streams: EventsStreams, events_ring_maps: EventsRingMaps };
type Name = keyof typeof FIXTURES;
export type Opened<N extends Name = Name> = ReturnType<(typeof FIXTURES)[N]["open"]>;
export type Loaded<N extends Name = Name> = InstanceType<(typeof FIXTURES)[N]>;

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

export async function loadFixture<N extends Name>(
  name: N,
  configure: (opened: Opened<N>) => void = () => {},
): Promise<Loaded<N>> {
  const opened = FIXTURES[name].open() as Opened<N>;
  configure(opened);
  return (await opened.load()) as Loaded<N>;
}

export const READERS = ["loop", "thread"] as const;

/** The same with all of its rings read in one way. */
export function readBy(reader: ReaderChoice): typeof loadFixture {
  return (name, configure = () => {}) =>
    loadFixture(name, (opened) => {
      for (const map of Object.values(opened.maps)) if ("reader" in map) (map as OpenedRing).reader = reader;
      configure(opened);
    });
}

/** Runs a program so many times. */
export function send(object: Loaded, program: string, runs: number): void {
  object.program(program).testRun({ data: PACKET, repeat: runs });
}

/** What the fixtures put into the record of a sequence number. */
export function expected(seq: number, comm = "generator"): Rec {
  return { seq: BigInt(seq), pid: (seq * 7) >>> 0, value: (seq ^ 0x5a5a5a5a) >>> 0, comm };
}

/** One more reader of the same ring, or with `perf` of the same perf event array. */
export function otherReader(fd: number, perf?: NativePerfOptions): RingBuffer<Uint8Array> {
  return new RingBuffer<Uint8Array>({
    name: "other",
    label: "ring other",
    codec: bytesCodec(0, { tail: true }),
    access: undefined,
    counters: undefined,
    bornNs: 0n,
    wakeup: undefined,
    reader: "loop",
    padding: perf !== undefined,
    fd: () => fd,
    open: (buffers) => {
      const options = { mapFd: fd, exclusive: true, ...buffers };
      return attempt(
        { doing: "read ring other" },
        () => new (native().RingReader)(perf === undefined ? options : { ...options, perf }),
      );
    },
  });
}
