/**
 * The types of nf_verdicts.bpf.o, and what opens and loads it.
 * Made by `ebpf gen`: change the C source and make it again.
 */
import { type HashMap, LoadedObject, type OpenedObject, type OpenOptions, type RingBuffer } from "ebpf";
import { type ObjectShape, openSkeleton, type ProgramOf } from "ebpf/skeleton";

/** `struct nf_verdict`, 160 bytes. */
export interface nf_verdict {
  /** `__u64`, 8 bytes at 0. */
  time_ns: bigint;
  /** `__u64`, 8 bytes at 8. */
  duration_ns: bigint;
  /** `__u64`, 8 bytes at 16. */
  cgroup_id: bigint;
  /** `__u32`, 4 bytes at 24. */
  pid: number;
  /** `__u32`, 4 bytes at 28. */
  tgid: number;
  /** `__s32`, 4 bytes at 32. */
  retval: number;
  /** `__u32`, 4 bytes at 36. */
  cpu: number;
  /** `__u32`, 4 bytes at 40. */
  netns: number;
  /** `__u32`, 4 bytes at 44. */
  length: number;
  /** `__u32`, 4 bytes at 48. */
  mark: number;
  /** `__u32`, 4 bytes at 52. */
  ifindex_in: number;
  /** `__u32`, 4 bytes at 56. */
  ifindex_out: number;
  /** `enum nf_verdict_flags`, 4 bytes at 60. */
  flags: nf_verdict_flags;
  /** `__u8`, 1 byte at 64. */
  pf: number;
  /** `__u8`, 1 byte at 65. */
  hook: number;
  /** `__be16`, 2 bytes at 66; in the other byte order in C, in the host's here. */
  ethertype: number;
  /** `struct packet_tuple`, 40 bytes at 68. */
  tuple: packet_tuple;
  /** `char[16]`, 16 bytes at 108. */
  dev_in: string;
  /** `char[16]`, 16 bytes at 124. */
  dev_out: string;
  /** `char[16]`, 16 bytes at 140. */
  comm: string;
}

/** `enum nf_verdict_flags`, 4 bytes, unsigned; a value may also be none of these. */
export const nf_verdict_flags = {
  NF_VERDICT_NOT_IP: 1,
  NF_VERDICT_FRAGMENT: 2,
  NF_VERDICT_NO_TRANSPORT: 4,
  NF_VERDICT_KPROBE: 8,
} as const;
export type nf_verdict_flags = (typeof nf_verdict_flags)[keyof typeof nf_verdict_flags] | (number & {});

/** `struct packet_tuple`, 40 bytes. */
export interface packet_tuple {
  /** `__u8`, 1 byte at 0. */
  family: number;
  /** `__u8`, 1 byte at 1. */
  protocol: number;
  /** `__u8`, 1 byte at 2. */
  icmp_type: number;
  /** `__u8`, 1 byte at 3. */
  icmp_code: number;
  /** `__be16`, 2 bytes at 4; in the other byte order in C, in the host's here. */
  sport: number;
  /** `__be16`, 2 bytes at 6; in the other byte order in C, in the host's here. */
  dport: number;
  /** `__u8[16]`, 16 bytes at 8. */
  saddr: Uint8Array;
  /** `__u8[16]`, 16 bytes at 24. */
  daddr: Uint8Array;
}

/** `struct call`, 168 bytes. */
export interface call {
  /** `struct nf_verdict`, 160 bytes at 0. */
  verdict: nf_verdict;
  /** `__u64`, 8 bytes at 160. */
  skb: bigint;
}

/** `struct (anonymous)`, 24 bytes. */
export interface missed {
  /** `__u64`, 8 bytes at 0. */
  not_stored: bigint;
  /** `__u64`, 8 bytes at 8. */
  no_return: bigint;
  /** `__u64`, 8 bytes at 16. */
  no_entry: bigint;
}

/** Constants in .rodata: set on the opened object, read-only from `load()` on. */
export interface NfVerdictsBpfRodata {
  /** `__u32`, 4 bytes at 0. */
  only_netns: number;
  /** `__u32`, 4 bytes at 4. */
  only_tgid: number;
  /** `__u64`, 8 bytes at 8. */
  only_cgroup: bigint;
  /** `__u16`, 2 bytes at 16. */
  only_port: number;
  /** `__u8`, 1 byte at 18. */
  only_protocol: number;
  /** `__u8`, 1 byte at 19. */
  only_pf: number;
  /** `__s32`, 4 bytes at 20. */
  only_hook: number;
  /** `_Bool`, 1 byte at 24. */
  only_drops: boolean;
}

/** Variables in .bss, zero at first; live from `load()` on. */
export interface NfVerdictsBpfBss {
  /** `struct (anonymous)`, 24 bytes at 0. */
  missed: missed;
  /** `_Bool`, 1 byte at 24. */
  entered: boolean;
}

/** What the object has, by its C names. */
export interface NfVerdictsBpfObject extends ObjectShape {
  readonly programs: {
    readonly nf_hook_entry_fentry: ProgramOf<"fentry/nf_hook_slow">;
    readonly nf_hook_exit_fexit: ProgramOf<"fexit/nf_hook_slow">;
    readonly nf_hook_entry_kprobe: ProgramOf<"kprobe/nf_hook_slow">;
    readonly nf_hook_exit_kretprobe: ProgramOf<"kretprobe/nf_hook_slow">;
  };
  readonly maps: {
    /** BPF_MAP_TYPE_RINGBUF, 1048576 bytes. */
    readonly verdicts: RingBuffer<nf_verdict>;
    /** BPF_MAP_TYPE_HASH, 4096 entries. */
    readonly calls: HashMap<bigint, call>;
  };
  readonly sections: {
    readonly ".rodata": NfVerdictsBpfRodata;
    readonly ".bss": NfVerdictsBpfBss;
  };
}

/** nf_verdicts.bpf.o, opened: programs are chosen, maps sized and constants set here, then `load()`. */
export type OpenedNfVerdictsBpf = OpenedObject<NfVerdictsBpfObject, NfVerdictsBpf>;

/** nf_verdicts.bpf.o in the kernel. Closing it closes its links, streams and maps. */
export class NfVerdictsBpf extends LoadedObject<NfVerdictsBpfObject> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<NfVerdictsBpfObject> = {}): OpenedNfVerdictsBpf {
    return openSkeleton(NfVerdictsBpf, options, {
      file: "nf_verdicts.bpf.o",
      name: "nf_verdicts",
      url: new URL("../../bpf/nf_verdicts.bpf.o", import.meta.url),
      fingerprint: "1b753ac472ad58059abda0c0791a20ad",
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<NfVerdictsBpfObject> = {}): Promise<NfVerdictsBpf> {
    return NfVerdictsBpf.open(options).load();
  }
}
