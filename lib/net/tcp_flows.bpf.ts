/**
 * The types of tcp_flows.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import {
  type HashMap,
  LoadedObject,
  type OpenedObject,
  type OpenOptions,
  type RingBuffer,
  type SkStorageMap,
} from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct owner`, 24 bytes. */
export interface owner {
  /** `__u32`, 4 bytes at 0. */
  pid: number;
  /** `__u32`, 4 bytes at 4. */
  tgid: number;
  /** `char[16]`, 16 bytes at 8. */
  comm: string;
}

/** `struct flow`, 192 bytes. */
export interface flow {
  /** `__u64`, 8 bytes at 0. */
  id: bigint;
  /** `__u64`, 8 bytes at 8. */
  cgroup_id: bigint;
  /** `__u64`, 8 bytes at 16. */
  start_ns: bigint;
  /** `__u64`, 8 bytes at 24. */
  established_ns: bigint;
  /** `__u64`, 8 bytes at 32. */
  updated_ns: bigint;
  /** `__u64`, 8 bytes at 40. */
  bytes_sent: bigint;
  /** `__u64`, 8 bytes at 48. */
  bytes_retransmitted: bigint;
  /** `__u64`, 8 bytes at 56. */
  bytes_acked: bigint;
  /** `__u64`, 8 bytes at 64. */
  bytes_received: bigint;
  /** `__u32`, 4 bytes at 72. */
  segs_out: number;
  /** `__u32`, 4 bytes at 76. */
  segs_in: number;
  /** `__u32`, 4 bytes at 80. */
  data_segs_out: number;
  /** `__u32`, 4 bytes at 84. */
  data_segs_in: number;
  /** `__u32`, 4 bytes at 88. */
  retransmits: number;
  /** `__u32`, 4 bytes at 92. */
  srtt_us: number;
  /** `__u32`, 4 bytes at 96. */
  rttvar_us: number;
  /** `__u32`, 4 bytes at 100. */
  min_rtt_us: number;
  /** `__u32`, 4 bytes at 104. */
  cwnd: number;
  /** `__u32`, 4 bytes at 108. */
  netns: number;
  /** `__u32`, 4 bytes at 112. */
  pid: number;
  /** `__u32`, 4 bytes at 116. */
  tgid: number;
  /** `__s32`, 4 bytes at 120. */
  error: number;
  /** `enum flow_state`, 4 bytes at 124. */
  state: flow_state;
  /** `enum flow_direction`, 4 bytes at 128. */
  direction: flow_direction;
  /** `__be16`, 2 bytes at 132; in the other byte order in C, in the host's here. */
  local_port: number;
  /** `__be16`, 2 bytes at 134; in the other byte order in C, in the host's here. */
  remote_port: number;
  /** `__u32`, 4 bytes at 136. */
  family: number;
  /** `__u8[16]`, 16 bytes at 140. */
  local_address: Uint8Array;
  /** `__u8[16]`, 16 bytes at 156. */
  remote_address: Uint8Array;
  /** `char[16]`, 16 bytes at 172. */
  comm: string;
  /** `__u32`, 4 bytes at 188. */
  mss: number;
}

/** `enum flow_state`, 4 bytes, unsigned; a value may also be none of these. */
export const flow_state = {
  FLOW_STATE_NONE: 0,
  FLOW_STATE_ESTABLISHED: 1,
  FLOW_STATE_SYN_SENT: 2,
  FLOW_STATE_SYN_RECV: 3,
  FLOW_STATE_FIN_WAIT1: 4,
  FLOW_STATE_FIN_WAIT2: 5,
  FLOW_STATE_TIME_WAIT: 6,
  FLOW_STATE_CLOSE: 7,
  FLOW_STATE_CLOSE_WAIT: 8,
  FLOW_STATE_LAST_ACK: 9,
  FLOW_STATE_LISTEN: 10,
  FLOW_STATE_CLOSING: 11,
  FLOW_STATE_NEW_SYN_RECV: 12,
} as const;
export type flow_state = (typeof flow_state)[keyof typeof flow_state] | (number & {});

/** `enum flow_direction`, 4 bytes, unsigned; a value may also be none of these. */
export const flow_direction = {
  FLOW_ACTIVE: 1,
  FLOW_PASSIVE: 2,
} as const;
export type flow_direction = (typeof flow_direction)[keyof typeof flow_direction] | (number & {});

/** `struct flow_event`, 216 bytes. */
export interface flow_event {
  /** `__u64`, 8 bytes at 0. */
  time_ns: bigint;
  /** `enum flow_event_kind`, 4 bytes at 8. */
  kind: flow_event_kind;
  /** `enum flow_state`, 4 bytes at 12. */
  old_state: flow_state;
  /** `__u32`, 4 bytes at 16. */
  sample: number;
  /** `__s32`, 4 bytes at 20. */
  result: number;
  /** `struct flow`, 192 bytes at 24. */
  flow: flow;
}

/** `enum flow_event_kind`, 4 bytes, unsigned; a value may also be none of these. */
export const flow_event_kind = {
  FLOW_CONNECT: 1,
  FLOW_ESTABLISHED: 2,
  FLOW_STATE: 3,
  FLOW_CLOSE: 4,
  FLOW_RETRANSMIT: 5,
  FLOW_RTT: 6,
} as const;
export type flow_event_kind = (typeof flow_event_kind)[keyof typeof flow_event_kind] | (number & {});

/** Constants in .rodata: set on the opened object, read-only from `load()` on. */
export interface TcpFlowsBpfRodata {
  /** `__u32`, 4 bytes at 0. */
  only_netns: number;
  /** `__u32`, 4 bytes at 4. */
  only_tgid: number;
  /** `__u16`, 2 bytes at 8. */
  only_port: number;
  /** `_Bool`, 1 byte at 10. */
  want_states: boolean;
  /** `_Bool`, 1 byte at 11. */
  want_retransmits: boolean;
  /** `_Bool`, 1 byte at 12. */
  want_rtt: boolean;
  /** `__u64`, 8 bytes at 16. */
  refresh_ns: bigint;
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface TcpFlowsBpfBss {
  /** `__u64`, 8 bytes at 0. */
  untracked: bigint;
}

/** What the object has, by its C names. */
export interface TcpFlowsBpfObject extends ObjectShape {
  readonly programs: {
    readonly tcp_flows: ProgramOf<"sockops">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_SK_STORAGE. */
    readonly owners: SkStorageMap<owner>;
    /** BPF_MAP_TYPE_HASH, 65536 entries. */
    readonly flows: HashMap<bigint, flow>;
    /** BPF_MAP_TYPE_RINGBUF, 1048576 bytes. */
    readonly events: RingBuffer<flow_event>;
  };
  readonly sections: {
    readonly ".rodata": TcpFlowsBpfRodata;
    readonly ".bss": TcpFlowsBpfBss;
  };
}

/** tcp_flows.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedTcpFlowsBpf = OpenedObject<TcpFlowsBpfObject, TcpFlowsBpf>;

/** tcp_flows.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class TcpFlowsBpf extends LoadedObject<TcpFlowsBpfObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<TcpFlowsBpfObject> = {}): OpenedTcpFlowsBpf {
    return openSkeleton(TcpFlowsBpf, options, {
      file: "tcp_flows.bpf.o",
      name: "tcp_flows",
      url: new URL("../../bpf/tcp_flows.bpf.o", import.meta.url),
      fingerprint: "060f976774fe8a1409a4e09c9cf2f915",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<TcpFlowsBpfObject> = {}): Promise<TcpFlowsBpf> {
    return TcpFlowsBpf.open(options).load();
  }
}
