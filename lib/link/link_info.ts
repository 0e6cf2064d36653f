import { AttachType, LinkType } from "../kernel/abi.js";
import { InfoBuffer, textOf, u64List } from "../kernel/layout.js";
import { snakeCase } from "../kernel/since.js";

interface LinkIdentity {
  readonly id: number;
  /** Id of the program; 0 for struct_ops. */
  readonly programId: number;
}

/** What the kernel says of a link; which fields there are depends on `type`. */
export type LinkInfo =
  | (LinkIdentity & {
      readonly type: "raw_tracepoint";
      readonly name: string;
      /** Minimum kernel 6.16. */
      readonly cookie: bigint;
    })
  | (LinkIdentity & {
      readonly type: "tracing";
      readonly attachType: string;
      /** Id of the BTF object (the kernel's or a program's) that holds the function, and the function's id in it. */
      readonly targetObjectId: number;
      readonly targetBtfId: number;
      /** Minimum kernel 6.16. */
      readonly cookie: bigint;
    })
  | (LinkIdentity & { readonly type: "cgroup"; readonly cgroupId: bigint; readonly attachType: string })
  | (LinkIdentity & { readonly type: "iter"; readonly target: string; readonly mapId: number })
  | (LinkIdentity & { readonly type: "netns"; readonly netnsInode: number; readonly attachType: string })
  | (LinkIdentity & { readonly type: "xdp"; readonly interfaceIndex: number })
  | (LinkIdentity & {
      readonly type: "perf_event";
      readonly event: "uprobe" | "uretprobe" | "kprobe" | "kretprobe" | "tracepoint" | "event" | "unspecified";
      /** Function, tracepoint or path; empty for `event`. Minimum kernel 6.6, as the rest. */
      readonly name: string;
      /** Bytes from the start of the function (kprobes) or of the file (uprobes). */
      readonly offset: number;
      /** Address of a kprobe; config of an event. */
      readonly address: bigint;
      /** Hits that a kprobe missed. */
      readonly missed: bigint;
      /** Minimum kernel 6.9. */
      readonly cookie: bigint;
    })
  | (LinkIdentity & {
      readonly type: "kprobe_multi";
      readonly return: boolean;
      readonly count: number;
      /** Minimum kernel 6.6. */
      readonly addresses: readonly bigint[];
      /** In the order of `addresses`. Minimum kernel 6.9. */
      readonly cookies: readonly bigint[];
      readonly missed: bigint;
    })
  | (LinkIdentity & { readonly type: "struct_ops"; readonly mapId: number })
  | (LinkIdentity & {
      readonly type: "netfilter";
      /** NFPROTO_*: 2 IPv4, 10 IPv6. */
      readonly family: number;
      /** NF_INET_*: 0 pre-routing, 1 local in, 2 forward, 3 local out, 4 post-routing. */
      readonly hook: number;
      readonly priority: number;
      readonly flags: number;
    })
  | (LinkIdentity & { readonly type: "tcx" | "netkit"; readonly interfaceIndex: number; readonly attachType: string })
  | (LinkIdentity & {
      readonly type: "uprobe_multi";
      readonly path: string;
      readonly return: boolean;
      readonly pid: number;
      readonly count: number;
      readonly offsets: readonly bigint[];
      readonly cookies: readonly bigint[];
    })
  | (LinkIdentity & { readonly type: "sockmap"; readonly mapId: number; readonly attachType: string })
  /** A type that is newer than this library. */
  | (LinkIdentity & { readonly type: "unknown"; readonly typeNumber: number });

const SIZE = 64;
const NAME_SIZE = 4096;
/** A u64 pointer to a name and a u32 with its room; offsets in struct bpf_link_info. */
const NAMED = { rawTracepoint: [16, 24], iter: [16, 24], perfEvent: [24, 32] } as const;
const PERF_EVENTS = ["unspecified", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event"] as const;
const ATTACH_TYPE_NAMES = new Map<number, string>(
  Object.entries(AttachType).map(([name, type]) => [type, snakeCase(name)]),
);
const LINK_TYPE_NAMES = new Map<number, string>(
  Object.entries(LinkType).map(([name, type]) => [type, snakeCase(name)]),
);

export function attachTypeName(type: number): string {
  return ATTACH_TYPE_NAMES.get(type) ?? `type ${type}`;
}

export function linkTypeName(type: number): string {
  return LINK_TYPE_NAMES.get(type) ?? `type ${type}`;
}

function withName(
  fd: number,
  what: string,
  [pointer, length]: readonly [number, number],
): { info: InfoBuffer; name: string } {
  const name = new Uint8Array(NAME_SIZE);
  const info = new InfoBuffer(SIZE);
  info.point(pointer, name);
  info.setU32(length, NAME_SIZE);
  return { info: info.fill(fd, what), name: textOf(name) };
}

/** @internal */
export function readLinkInfo(fd: number, what: string): LinkInfo {
  const info = new InfoBuffer(SIZE).fill(fd, what);
  const type = info.u32(0);
  const identity = { id: info.u32(4), programId: info.u32(8) };
  switch (type) {
    case LinkType.rawTracepoint: {
      const named = withName(fd, what, NAMED.rawTracepoint);
      return { ...identity, type: "raw_tracepoint", name: named.name, cookie: named.info.u64(32) };
    }
    case LinkType.tracing:
      return {
        ...identity,
        type: "tracing",
        attachType: attachTypeName(info.u32(16)),
        targetObjectId: info.u32(20),
        targetBtfId: info.u32(24),
        cookie: info.u64(32),
      };
    case LinkType.cgroup:
      return { ...identity, type: "cgroup", cgroupId: info.u64(16), attachType: attachTypeName(info.u32(24)) };
    case LinkType.iter: {
      const named = withName(fd, what, NAMED.iter);
      return { ...identity, type: "iter", target: named.name, mapId: named.info.u32(28) };
    }
    case LinkType.netns:
      return { ...identity, type: "netns", netnsInode: info.u32(16), attachType: attachTypeName(info.u32(20)) };
    case LinkType.xdp:
      return { ...identity, type: "xdp", interfaceIndex: info.u32(16) };
    case LinkType.perfEvent:
      return { ...identity, type: "perf_event", ...readPerfEvent(fd, what, info) };
    case LinkType.kprobeMulti:
      return { ...identity, type: "kprobe_multi", ...readKprobeMulti(fd, what, info) };
    case LinkType.structOps:
      return { ...identity, type: "struct_ops", mapId: info.u32(16) };
    case LinkType.netfilter:
      return {
        ...identity,
        type: "netfilter",
        family: info.u32(16),
        hook: info.u32(20),
        priority: info.s32(24),
        flags: info.u32(28),
      };
    case LinkType.tcx:
    case LinkType.netkit:
      return {
        ...identity,
        type: type === LinkType.tcx ? "tcx" : "netkit",
        interfaceIndex: info.u32(16),
        attachType: attachTypeName(info.u32(20)),
      };
    case LinkType.uprobeMulti:
      return { ...identity, type: "uprobe_multi", ...readUprobeMulti(fd, what, info) };
    case LinkType.sockmap:
      return { ...identity, type: "sockmap", mapId: info.u32(16), attachType: attachTypeName(info.u32(20)) };
    default:
      return { ...identity, type: "unknown", typeNumber: type };
  }
}

function readPerfEvent(fd: number, what: string, first: InfoBuffer) {
  const { info, name } = withName(fd, what, NAMED.perfEvent);
  const event = PERF_EVENTS[info.u32(16)] ?? "unspecified";
  const kprobe = event === "kprobe" || event === "kretprobe";
  const uprobe = event === "uprobe" || event === "uretprobe";
  return {
    event,
    // A plain event has its config where the others have their name's address, which comes back as 0: asked without one, it is there.
    name: event === "event" || event === "unspecified" ? "" : name,
    offset: kprobe || uprobe ? info.u32(36) : 0,
    address: kprobe ? info.u64(40) : event === "event" ? first.u64(24) : 0n,
    missed: kprobe ? info.u64(48) : 0n,
    cookie: kprobe ? info.u64(56) : event === "unspecified" ? 0n : info.u64(40),
  };
}

function readKprobeMulti(fd: number, what: string, first: InfoBuffer) {
  const count = first.u32(24);
  const addresses = new Uint8Array(Math.max(1, count) * 8);
  const cookies = new Uint8Array(Math.max(1, count) * 8);
  const info = new InfoBuffer(SIZE);
  if (count > 0) {
    info.point(16, addresses);
    info.setU32(24, count);
    info.point(40, cookies);
    info.fill(fd, what);
  }
  return {
    return: (first.u32(28) & 1) === 1,
    count,
    addresses: u64List(addresses, count),
    cookies: u64List(cookies, count),
    missed: first.u64(32),
  };
}

function readUprobeMulti(fd: number, what: string, first: InfoBuffer) {
  const count = first.u32(52);
  const path = new Uint8Array(NAME_SIZE);
  const offsets = new Uint8Array(Math.max(1, count) * 8);
  const cookies = new Uint8Array(Math.max(1, count) * 8);
  const info = new InfoBuffer(SIZE);
  info.point(16, path);
  info.setU32(48, NAME_SIZE);
  if (count > 0) {
    info.point(24, offsets);
    info.point(40, cookies);
    info.setU32(52, count);
  }
  info.fill(fd, what);
  return {
    path: textOf(path),
    return: (first.u32(56) & 1) === 1,
    pid: first.u32(60),
    count,
    offsets: u64List(offsets, count),
    cookies: u64List(cookies, count),
  };
}
