import type { LostRecords, StreamTotals } from "../events/loss.js";
import type { RingBuffer } from "../events/ring_buffer.js";
import type { StreamEvents } from "../events/stream_events.js";
import { cgroupIdFor } from "../kernel/cgroup.js";
import { addressTextOf } from "../kernel/ip_address.js";
import { isPreemptible } from "../kernel/preemption.js";
import type { VariantChoice } from "../object/variants.js";
import { checkOptions, integer, type OptionCheck, oneOf } from "../options.js";
import { familyName, HOOK_NAMES, hookName, hookNumber, PROTOCOL_NAMES, protocolName, protocolNumber } from "./names.js";
import { type NetNamespaceRef, netnsInode } from "./netns.js";
import { NfVerdictsBpf, type nf_verdict, nf_verdict_flags } from "./nf_verdicts.bpf.js";

/** What netfilter decided about one packet, in one hook. */
export interface NfVerdict {
  /** When the hooks began: CLOCK_MONOTONIC, nanoseconds, as `process.hrtime.bigint()`. */
  readonly timeNs: bigint;
  /** How long the hooks took, nanoseconds. */
  readonly durationNs: bigint;
  /** Process that was running; in softirq the one that was interrupted, 0 when idle. */
  readonly pid: number;
  /** Its thread. */
  readonly tid: number;
  readonly comm: string;
  readonly cpu: number;
  /** What nf_hook_slow returned: 1 accept, 0 stolen or queued, a negative errno (mostly -1, EPERM) drop. */
  readonly retval: number;
  /** The same in words. `stolen`: taken over by a hook, or queued to user space; its fate is decided elsewhere. */
  readonly verdict: "accept" | "drop" | "stolen";
  /** `prerouting`, `input`, `forward`, `output`, `postrouting`, or `ingress` and `egress` of a device. */
  readonly hook: string;
  /** Whose hooks: `ipv4`, `ipv6`, `arp`, `bridge`, `netdev`. */
  readonly family: string;
  /** The device it came in by, where the hook has one. */
  readonly deviceIn: string | undefined;
  readonly deviceOut: string | undefined;
  readonly ifindexIn: number | undefined;
  readonly ifindexOut: number | undefined;
  /** Inode of the network namespace: `stat -L -c %i /run/netns/NAME`. */
  readonly netns: number;
  /** cgroup v2 id of the packet's socket; undefined where the packet has none (yet). */
  readonly cgroupId: bigint | undefined;
  /** `tcp`, `udp`, `icmp`, ...; undefined where it is no IP packet. */
  readonly protocol: string | undefined;
  /** Addresses as text; undefined where it is no IP packet. */
  readonly source: string | undefined;
  readonly destination: string | undefined;
  /** Ports in host order; undefined for protocols without, and for later fragments. */
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  readonly icmpType: number | undefined;
  readonly icmpCode: number | undefined;
  /** Bytes, from the network header on. */
  readonly length: number;
  readonly mark: number;
  readonly fragment: boolean;
  readonly ethertype: number;
}

/** All are filters in the kernel, and all must hold. */
export interface NfVerdictsOptions {
  /** Only `drop`s. */
  readonly only?: "drop" | undefined;
  readonly netns?: NetNamespaceRef | undefined;
  /** Process that is running; see {@link NfVerdict.pid}. */
  readonly pid?: number | undefined;
  /** Path of a cgroup v2 directory: packets of sockets in it and below it. */
  readonly cgroup?: string | undefined;
  /** Source or destination port, host order. */
  readonly port?: number | undefined;
  readonly protocol?: string | undefined;
  readonly family?: "ipv4" | "ipv6" | undefined;
  readonly hook?: "prerouting" | "input" | "forward" | "output" | "postrouting" | undefined;
  /** Bytes of the ring, a power of two; by default 1 MiB. */
  readonly ringBytes?: number | undefined;
  /**
   * How to look. By default fexit where the kernel has it, else kprobe and kretprobe; on a preemptible kernel the other way round,
   * because there the kernel skips fexit programs now and then.
   */
  readonly probe?: "fexit" | "kprobe" | undefined;
}

const OPTIONS: Readonly<Record<keyof NfVerdictsOptions, OptionCheck>> = {
  only: oneOf("drop"),
  netns: {
    wants: "an inode number, a path or a name",
    accepts: (value) => typeof value === "number" || (typeof value === "string" && value !== ""),
  },
  pid: integer(1, 0xffffffff),
  cgroup: "string",
  port: integer(1, 65535),
  protocol: oneOf(...PROTOCOL_NAMES),
  family: oneOf("ipv4", "ipv6"),
  hook: oneOf(...HOOK_NAMES),
  ringBytes: integer(4096, 2 ** 30),
  probe: oneOf("fexit", "kprobe"),
};

/** The exit before the entry: then every call that is seen to begin is also seen to end. */
const FEXIT = ["nf_hook_exit_fexit", "nf_hook_entry_fentry"] as const;
const KPROBE = ["nf_hook_exit_kretprobe", "nf_hook_entry_kprobe"] as const;
type Probe = typeof FEXIT | typeof KPROBE;

/** Which probe to try first, and why. */
function preference(chosen: "fexit" | "kprobe" | undefined): { candidates: Probe[]; why: string } {
  if (chosen !== undefined) return { candidates: [chosen === "fexit" ? FEXIT : KPROBE], why: "it was asked for" };
  if (isPreemptible()) {
    return {
      candidates: [KPROBE, FEXIT],
      why: "this kernel is preemptible, and skips fexit programs while a task is preempted inside one: kprobes see every packet",
    };
  }
  return { candidates: [FEXIT, KPROBE], why: "fexit costs least, and this kernel skips none" };
}

const WITH_PORTS = new Set([6, 17, 33, 132, 136]);
const WITH_TYPES = new Set([1, 58]);

function fromRaw(raw: nf_verdict): NfVerdict {
  const { tuple } = raw;
  const ip = tuple.family !== 0;
  const transport = ip && (raw.flags & nf_verdict_flags.NF_VERDICT_NO_TRANSPORT) === 0;
  const ports = transport && WITH_PORTS.has(tuple.protocol);
  const types = transport && WITH_TYPES.has(tuple.protocol);
  return {
    timeNs: raw.time_ns,
    durationNs: raw.duration_ns,
    pid: raw.tgid,
    tid: raw.pid,
    comm: raw.comm,
    cpu: raw.cpu,
    retval: raw.retval,
    verdict: raw.retval > 0 ? "accept" : raw.retval < 0 ? "drop" : "stolen",
    hook: hookName(raw.pf, raw.hook),
    family: familyName(raw.pf),
    deviceIn: raw.dev_in || undefined,
    deviceOut: raw.dev_out || undefined,
    ifindexIn: raw.ifindex_in || undefined,
    ifindexOut: raw.ifindex_out || undefined,
    netns: raw.netns,
    cgroupId: raw.cgroup_id || undefined,
    protocol: ip ? protocolName(tuple.protocol) : undefined,
    source: addressTextOf(tuple.family, tuple.saddr),
    destination: addressTextOf(tuple.family, tuple.daddr),
    sourcePort: ports ? tuple.sport : undefined,
    destinationPort: ports ? tuple.dport : undefined,
    icmpType: types ? tuple.icmp_type : undefined,
    icmpCode: types ? tuple.icmp_code : undefined,
    length: raw.length,
    mark: raw.mark,
    fragment: (raw.flags & nf_verdict_flags.NF_VERDICT_FRAGMENT) !== 0,
    ethertype: raw.ethertype,
  };
}

/** Calls of which only one end was seen, so that they are not reported. All are 0 in ordinary use. */
export interface MissedVerdicts {
  /** No room to remember that the call had begun. */
  readonly notStored: number;
  /** The return was not seen: the kernel skipped a kretprobe, or an fexit on a preemptible kernel. */
  readonly noReturn: number;
  /** The return was seen and not the beginning; those of `notStored` are among them. */
  readonly noEntry: number;
}

/** How a watch looks at netfilter. */
export interface NfProbe extends VariantChoice {
  /** Why these were preferred. */
  readonly why: string;
}

/** A running watch over netfilter's verdicts. Closing it detaches and unloads everything. */
export class NfVerdicts implements AsyncIterable<NfVerdict>, Disposable {
  /** The stream itself, for all that a ring buffer can. */
  readonly events: RingBuffer<NfVerdict>;
  /** How it looks: which programs are in use, and why others are not. */
  readonly probe: NfProbe;
  readonly #object: NfVerdictsBpf;

  /** @internal */
  constructor(object: NfVerdictsBpf, why: string) {
    this.#object = object;
    this.events = object.ringBuffer("verdicts", { convert: fromRaw });
    object.attach();
    this.probe = { ...object.variant("nf_hook_slow"), why };
  }

  on(event: "event", listener: (verdict: NfVerdict) => void): this;
  on(event: "lost", listener: (lost: LostRecords) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "event" | "lost" | "error", listener: (argument: never) => void): this {
    this.events.on(event as keyof StreamEvents<NfVerdict>, listener as () => void);
    return this;
  }

  get totals(): StreamTotals {
    return this.events.totals;
  }

  get missed(): MissedVerdicts {
    const { not_stored, no_return, no_entry } = this.#object.bss.missed;
    return { notStored: Number(not_stored), noReturn: Number(no_return), noEntry: Number(no_entry) };
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<NfVerdict, undefined> {
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
 * Watches what netfilter decides: nftables, iptables, conntrack and NAT hooks of all families, packet by packet.
 *
 * A verdict is that of all hooks of one hook point together (nf_hook_slow); hook points without a hook registered decide nothing
 * and are not seen. Minimum kernel 5.8 (ring buffer), with BTF, and kprobes or BPF trampolines.
 *
 * @throws BpfError PERMISSION_DENIED, KERNEL_UNSUPPORTED when neither fexit nor kprobes work here: the message has both reasons
 *
 * @example
 * ```ts
 * import { nfVerdicts } from "ebpf/net";
 * using verdicts = await nfVerdicts({ only: "drop" });
 * verdicts.on("event", (v) => console.log(v.comm, v.hook, v.protocol, v.destination, v.destinationPort));
 * ```
 */
export async function nfVerdicts(options: NfVerdictsOptions = {}): Promise<NfVerdicts> {
  checkOptions("nfVerdicts", options, OPTIONS);
  const { candidates, why } = preference(options.probe);
  const unused = [FEXIT, KPROBE].filter((candidate) => !candidates.includes(candidate)).flat();
  const opened = NfVerdictsBpf.open({ variants: { nf_hook_slow: candidates } });
  try {
    for (const program of unused) opened.programs[program].autoload = false;
    if (options.ringBytes !== undefined) opened.maps.verdicts.maxEntries = options.ringBytes;
    const { rodata } = opened;
    if (options.only !== undefined) rodata.only_drops = true;
    if (options.netns !== undefined) rodata.only_netns = netnsInode(options.netns, "nfVerdicts");
    if (options.pid !== undefined) rodata.only_tgid = options.pid;
    if (options.cgroup !== undefined) rodata.only_cgroup = cgroupIdFor("nfVerdicts", options.cgroup);
    if (options.port !== undefined) rodata.only_port = options.port;
    rodata.only_protocol = options.protocol === undefined ? 0 : protocolNumber(options.protocol);
    if (options.family !== undefined) rodata.only_pf = options.family === "ipv4" ? 2 : 10;
    if (options.hook !== undefined) rodata.only_hook = hookNumber(options.hook);
  } catch (error) {
    opened.close();
    throw error;
  }
  const object = await opened.load();
  try {
    return new NfVerdicts(object, why);
  } catch (error) {
    object.close();
    throw error;
  }
}
