import type { LostRecords, StreamTotals } from "../events/loss.js";
import type { RingBuffer } from "../events/ring_buffer.js";
import type { StreamEvents } from "../events/stream_events.js";
import { errnoName } from "../kernel/errno.js";
import { AF_INET6, addressTextOf } from "../kernel/ip_address.js";
import type { HashMap } from "../map/hash_map.js";
import { checkOptions, integer, invalid, type OptionCheck } from "../options.js";
import { type NetNamespaceRef, netnsInode } from "./netns.js";
import { type flow, flow_direction, type flow_event, flow_event_kind, TcpFlowsBpf } from "./tcp_flows.bpf.js";

const STATES = [
  "none",
  "established",
  "syn-sent",
  "syn-received",
  "fin-wait-1",
  "fin-wait-2",
  "time-wait",
  "closed",
  "close-wait",
  "last-ack",
  "listen",
  "closing",
  "new-syn-received",
] as const;

/** A TCP state, as RFC 9293 names it. */
export type TcpState = (typeof STATES)[number];

/** A connection, with its counters as of `updatedNs`. Times are CLOCK_MONOTONIC nanoseconds, as `process.hrtime.bigint()`. */
export interface TcpFlow {
  /** The socket's cookie: unique since boot. */
  readonly id: bigint;
  /** cgroup v2 id of the socket: the inode of the cgroup's directory. */
  readonly cgroupId: bigint;
  readonly family: "ipv4" | "ipv6";
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** `active`: opened from here; `passive`: accepted here. */
  readonly direction: "active" | "passive";
  readonly state: TcpState;
  /** Process that called connect(), or listen() for a passive one; 0 when that was before the watch began. */
  readonly pid: number;
  readonly comm: string;
  /** Inode of the network namespace. */
  readonly netns: number;
  /** connect() was called; for a passive one, the handshake was done. */
  readonly startNs: bigint;
  /** The handshake was done; undefined where it never was. */
  readonly establishedNs: bigint | undefined;
  readonly updatedNs: bigint;
  /** From the start to the latest update. */
  readonly durationNs: bigint;
  /** Bytes of payload: sent for the first time, ... */
  readonly bytesSent: number;
  /** ... sent again, ... */
  readonly bytesRetransmitted: number;
  /** ... acknowledged by the peer, ... */
  readonly bytesAcked: number;
  /** ... received in order. */
  readonly bytesReceived: number;
  readonly segmentsOut: number;
  readonly segmentsIn: number;
  /** Those with payload. */
  readonly dataSegmentsOut: number;
  readonly dataSegmentsIn: number;
  /** Segments sent again, SYNs included. */
  readonly retransmits: number;
  /** Smoothed round-trip time, microseconds; 0 when none was measured. */
  readonly srttUs: number;
  readonly rttVarianceUs: number;
  /** The least of the last minutes. */
  readonly minRttUs: number;
  /** Segments. */
  readonly congestionWindow: number;
  /** Largest payload of a segment, bytes. */
  readonly mss: number;
  /** What the socket reports, by name: `ECONNREFUSED`, `ECONNRESET`, `ETIMEDOUT`, ...; undefined when nothing went wrong. */
  readonly error: string | undefined;
}

/** What happened to a connection, with its counters at that moment; at `close` they are final. */
export type TcpFlowEvent = {
  readonly timeNs: bigint;
  readonly flow: TcpFlow;
} & (
  | { readonly kind: "connect" | "established" }
  | { readonly kind: "state" | "close"; readonly oldState: TcpState }
  /** `error`: why the segments could not even be sent. */
  | { readonly kind: "retransmit"; readonly segments: number; readonly error: string | undefined }
  | { readonly kind: "rtt"; readonly sampleUs: number }
);

export interface TcpFlowsOptions {
  /** Path of a cgroup v2 directory: connections of the processes in it and below it. The root of the mount means all. */
  readonly cgroup: string;
  /** Only connections of this network namespace. */
  readonly netns?: NetNamespaceRef | undefined;
  /** Only connections of this process; see {@link TcpFlow.pid}. */
  readonly pid?: number | undefined;
  /** Only connections with this local or remote port. */
  readonly port?: number | undefined;
  /** Whether `state` events come; by default yes. */
  readonly states?: boolean | undefined;
  /** Whether `retransmit` events come; by default no. */
  readonly retransmits?: boolean | undefined;
  /** Whether an `rtt` event comes with each round trip measured; by default no. */
  readonly rtt?: boolean | undefined;
  /** The counters of a live connection are refreshed at most this often, milliseconds; by default 100. */
  readonly refreshMs?: number | undefined;
  /** How many live connections are tracked at most; by default 65,536. */
  readonly maxFlows?: number | undefined;
  /** Bytes of the ring, a power of two; by default 1 MiB. */
  readonly ringBytes?: number | undefined;
}

const OPTIONS: Readonly<Record<keyof TcpFlowsOptions, OptionCheck>> = {
  cgroup: "string",
  netns: {
    wants: "an inode number, a path or a name",
    accepts: (value) => typeof value === "number" || (typeof value === "string" && value !== ""),
  },
  pid: integer(1, 0xffffffff),
  port: integer(1, 65535),
  states: "boolean",
  retransmits: "boolean",
  rtt: "boolean",
  refreshMs: integer(0, 0x7fffffff),
  maxFlows: integer(1, 2 ** 24),
  ringBytes: integer(4096, 2 ** 30),
};

function stateName(state: number): TcpState {
  return STATES[state] ?? "none";
}

function errorName(errno: number): string | undefined {
  return errno === 0 ? undefined : errnoName(Math.abs(errno));
}

function flowFromRaw(raw: flow): TcpFlow {
  return {
    id: raw.id,
    cgroupId: raw.cgroup_id,
    family: raw.family === AF_INET6 ? "ipv6" : "ipv4",
    localAddress: addressTextOf(raw.family, raw.local_address) ?? "",
    localPort: raw.local_port,
    remoteAddress: addressTextOf(raw.family, raw.remote_address) ?? "",
    remotePort: raw.remote_port,
    direction: raw.direction === flow_direction.FLOW_PASSIVE ? "passive" : "active",
    state: stateName(raw.state),
    pid: raw.tgid,
    comm: raw.comm,
    netns: raw.netns,
    startNs: raw.start_ns,
    establishedNs: raw.established_ns === 0n ? undefined : raw.established_ns,
    updatedNs: raw.updated_ns,
    durationNs: raw.updated_ns - raw.start_ns,
    bytesSent: Number(raw.bytes_sent),
    bytesRetransmitted: Number(raw.bytes_retransmitted),
    bytesAcked: Number(raw.bytes_acked),
    bytesReceived: Number(raw.bytes_received),
    segmentsOut: raw.segs_out,
    segmentsIn: raw.segs_in,
    dataSegmentsOut: raw.data_segs_out,
    dataSegmentsIn: raw.data_segs_in,
    retransmits: raw.retransmits,
    srttUs: raw.srtt_us,
    rttVarianceUs: raw.rttvar_us,
    minRttUs: raw.min_rtt_us,
    congestionWindow: raw.cwnd,
    mss: raw.mss,
    error: errorName(raw.error),
  };
}

function eventFromRaw(raw: flow_event): TcpFlowEvent {
  const common = { timeNs: raw.time_ns, flow: flowFromRaw(raw.flow) };
  switch (raw.kind) {
    case flow_event_kind.FLOW_CONNECT:
      return { kind: "connect", ...common };
    case flow_event_kind.FLOW_ESTABLISHED:
      return { kind: "established", ...common };
    case flow_event_kind.FLOW_CLOSE:
      return { kind: "close", oldState: stateName(raw.old_state), ...common };
    case flow_event_kind.FLOW_RETRANSMIT:
      return { kind: "retransmit", segments: raw.sample, error: errorName(raw.result), ...common };
    case flow_event_kind.FLOW_RTT:
      return { kind: "rtt", sampleUs: raw.sample, ...common };
    default:
      return { kind: "state", oldState: stateName(raw.old_state), ...common };
  }
}

/** A running watch over the TCP connections of a cgroup. Closing it detaches and unloads everything. */
export class TcpFlows implements AsyncIterable<TcpFlowEvent>, Disposable {
  /** The stream itself, for all that a ring buffer can. */
  readonly events: RingBuffer<TcpFlowEvent>;
  readonly #object: TcpFlowsBpf;
  readonly #flows: HashMap<bigint, flow>;

  /** @internal */
  constructor(object: TcpFlowsBpf, cgroup: string) {
    this.#object = object;
    this.events = object.ringBuffer("events", { convert: eventFromRaw });
    this.#flows = object.maps.flows;
    object.attach({ cgroup });
  }

  on(event: "event", listener: (event: TcpFlowEvent) => void): this;
  on(event: "lost", listener: (lost: LostRecords) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "event" | "lost" | "error", listener: (argument: never) => void): this {
    this.events.on(event as keyof StreamEvents<TcpFlowEvent>, listener as () => void);
    return this;
  }

  /** Connections that are alive now, with their latest counters. */
  *flows(): IterableIterator<TcpFlow> {
    for (const raw of this.#flows.values()) yield flowFromRaw(raw);
  }

  get totals(): StreamTotals {
    return this.events.totals;
  }

  /** Connections that were not tracked, because `maxFlows` were alive. */
  get untracked(): number {
    return Number(this.#object.bss.untracked);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<TcpFlowEvent, undefined> {
    return this.events[Symbol.asyncIterator]();
  }

  close(): void {
    this.#object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Watches the TCP connections of a cgroup, IPv4 and IPv6: when they open, change state and close, and what they carried.
 *
 * Connections that were open before are not seen. Minimum kernel 5.8 (ring buffer), with BTF.
 *
 * @throws BpfError NOT_FOUND or INVALID_ARGUMENT when the cgroup is not one, PERMISSION_DENIED
 *
 * @example
 * ```ts
 * import { tcpFlows } from "ebpf/net";
 * using flows = await tcpFlows({ cgroup: "/sys/fs/cgroup/system.slice" });
 * flows.on("event", ({ kind, flow }) => {
 *   if (kind === "close") console.log(flow.comm, flow.remoteAddress, flow.bytesSent, flow.bytesReceived, flow.srttUs);
 * });
 * ```
 */
export async function tcpFlows(options: TcpFlowsOptions): Promise<TcpFlows> {
  checkOptions("tcpFlows", options, OPTIONS);
  if (options?.cgroup === undefined) {
    throw invalid('tcpFlows: say which cgroup to watch: tcpFlows({ cgroup: "/sys/fs/cgroup" })');
  }
  const opened = TcpFlowsBpf.open();
  try {
    if (options.maxFlows !== undefined) opened.maps.flows.maxEntries = options.maxFlows;
    if (options.ringBytes !== undefined) opened.maps.events.maxEntries = options.ringBytes;
    const { rodata } = opened;
    if (options.netns !== undefined) rodata.only_netns = netnsInode(options.netns, "tcpFlows");
    if (options.pid !== undefined) rodata.only_tgid = options.pid;
    if (options.port !== undefined) rodata.only_port = options.port;
    if (options.states !== undefined) rodata.want_states = options.states;
    if (options.retransmits !== undefined) rodata.want_retransmits = options.retransmits;
    if (options.rtt !== undefined) rodata.want_rtt = options.rtt;
    if (options.refreshMs !== undefined) rodata.refresh_ns = BigInt(options.refreshMs) * 1_000_000n;
  } catch (error) {
    opened.close();
    throw error;
  }
  const object = await opened.load();
  try {
    return new TcpFlows(object, options.cgroup);
  } catch (error) {
    object.close();
    throw error;
  }
}
