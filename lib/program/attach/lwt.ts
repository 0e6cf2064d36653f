/** Lightweight tunnels: a route that runs a program for each packet that takes it. The kernel's interface is rtnetlink. */
import { ProgramType } from "../../kernel/abi.js";
import { deviceIndex, deviceName, inNetns, NETNS_OPTION, type NetnsOption } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import { AF_INET, AF_INET6, parseAddress, parsePrefix } from "../../kernel/ip_address.js";
import { attribute, LwtEncap, message, NLA_F_NESTED, NlmFlag, Rtm, u16, u32 } from "../../kernel/netlink.js";
import { BY_NETLINK } from "../../kernel/rights.js";
import type { Link } from "../../link/link.js";
import { checkOptions, checkString, integer, invalid, shown } from "../../options.js";
import type { Attacher } from "../attacher.js";

export interface LwtOptions extends NetnsOption {
  /** The device that the route leads to. */
  readonly device: string | number;
  /** The next hop, an address of the destination's family; by default the destination is on the device's own link. */
  readonly via?: string | undefined;
  /** Routing table; 254, the main one, by default. */
  readonly table?: number | undefined;
  /** For lwt_xmit: bytes of room that the program may add before the packet. */
  readonly headroom?: number | undefined;
}

// include/uapi/linux/{rtnetlink,lwtunnel,seg6_local}.h
const RTA = { dst: 1, oif: 4, gateway: 5, table: 15, encapType: 21, encap: 22 } as const;
const LWT_BPF = { in: 1, out: 2, xmit: 3, headroom: 4 } as const;
/** LWT_BPF_PROG_* and SEG6_LOCAL_BPF_PROG_*, which are the same. */
const ENCAP_PROGRAM = { fd: 1, name: 2 } as const;
const SEG6_LOCAL = { action: 1, bpf: 8 } as const;
const SEG6_LOCAL_ACTION_END_BPF = 15;
const SCOPE_UNIVERSE = 0;
const SCOPE_LINK = 253;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;

interface Destination {
  readonly family: number;
  readonly length: number;
  readonly address: Uint8Array;
}

const familyOf = (address: Uint8Array): number => (address.length === 4 ? AF_INET : AF_INET6);

/** Which device it is on is said by the route. */
const nextHop = (text: string): Uint8Array | undefined => parseAddress(text.replace(/%.*$/, ""));

function parseDestination(operation: string, text: string): Destination {
  const { address, length } = parsePrefix(text) ?? {};
  if (address === undefined || length === undefined) {
    throw invalid(
      `${operation}: destination must be an address or a prefix, such as "10.1.0.0/16" or "fd00::/8", got ${shown(text)}`,
    );
  }
  return { family: familyOf(address), length, address };
}

function routeMessage(
  type: number,
  flags: number,
  destination: Destination,
  scope: number,
  table: number,
  ...attributes: readonly Buffer[]
): Buffer {
  const route = Buffer.concat([
    Buffer.from([
      destination.family,
      destination.length,
      0,
      0,
      table < 256 ? table : 0,
      RTPROT_STATIC,
      scope,
      RTN_UNICAST,
    ]),
    u32(0),
  ]);
  return message(
    type,
    flags,
    route,
    attribute(RTA.dst, destination.address),
    attribute(RTA.table, u32(table)),
    ...attributes,
  );
}

const HOOKS: Readonly<Record<number, "in" | "out" | "xmit" | "seg6local">> = {
  [ProgramType.lwtIn]: "in",
  [ProgramType.lwtOut]: "out",
  [ProgramType.lwtXmit]: "xmit",
  [ProgramType.lwtSeg6local]: "seg6local",
};

/** The attributes of a route that have it run the program. */
function encapsulation(
  hook: "in" | "out" | "xmit" | "seg6local",
  fd: number,
  name: string,
  headroom: number | undefined,
): readonly Buffer[] {
  const program = [
    attribute(ENCAP_PROGRAM.fd, u32(fd)),
    attribute(ENCAP_PROGRAM.name, Buffer.from(`${name}\0`)),
  ] as const;
  if (hook === "seg6local") {
    return [
      attribute(RTA.encapType, u16(LwtEncap.seg6Local)),
      attribute(
        RTA.encap | NLA_F_NESTED,
        attribute(SEG6_LOCAL.action, u32(SEG6_LOCAL_ACTION_END_BPF)),
        attribute(SEG6_LOCAL.bpf | NLA_F_NESTED, ...program),
      ),
    ];
  }
  return [
    attribute(RTA.encapType, u16(LwtEncap.bpf)),
    attribute(
      RTA.encap | NLA_F_NESTED,
      attribute(LWT_BPF[hook] | NLA_F_NESTED, ...program),
      ...(headroom === undefined ? [] : [attribute(LWT_BPF.headroom, u32(headroom))]),
    ),
  ];
}

export function attachLwt(attacher: Attacher, destination: string, options: LwtOptions): Link {
  const operation = `${attacher.name}.attachLwt`;
  checkString(operation, "destination", destination);
  checkOptions(operation, options, {
    ...NETNS_OPTION,
    device: {
      wants: "a device's name or index",
      accepts: (value) => typeof value === "string" || typeof value === "number",
    },
    via: { wants: "an IP address", accepts: (value) => typeof value === "string" && nextHop(value) !== undefined },
    table: integer(1, 0xffffffff),
    headroom: integer(0, 256),
  });
  if (options?.device === undefined) throw invalid(`${operation}: option "device" must be given`);
  attacher.mustBe(operation, Object.keys(HOOKS).map(Number), "lwt_in, lwt_out, lwt_xmit and lwt_seg6local");
  attacher.loaded("attach");
  const hook = HOOKS[attacher.type] as NonNullable<(typeof HOOKS)[number]>;
  if (options.headroom !== undefined && hook !== "xmit")
    throw invalid(`${operation}: option "headroom" is for lwt_xmit programs`);
  const to = parseDestination(operation, destination);
  if (hook === "seg6local" && to.family !== AF_INET6)
    throw invalid(`${operation}: a segment is an IPv6 address or prefix, got ${shown(destination)}`);
  const via = options.via === undefined ? undefined : nextHop(options.via);
  if (via !== undefined && familyOf(via) !== to.family)
    throw invalid(`${operation}: via is of another family than ${destination}`);
  return inNetns(operation, options.netns, () => {
    const index = deviceIndex(operation, options.device, options.netns);
    const where = { kind: `lwt_${hook}`, target: `${destination} dev ${deviceName(options.device, options.netns)}` };
    return attacher.attach(
      where,
      (native) => {
        const table = options.table ?? 254;
        const scope = via === undefined && to.family === AF_INET ? SCOPE_LINK : SCOPE_UNIVERSE;
        const path = [attribute(RTA.oif, u32(index)), ...(via === undefined ? [] : [attribute(RTA.gateway, via)])];
        const encap = encapsulation(hook, native.fd(), attacher.name, options.headroom);
        return {
          attachment: attacher.addon.attachByNetlink(
            routeMessage(Rtm.newRoute, NlmFlag.create | NlmFlag.excl, to, scope, table, ...path, ...encap),
            routeMessage(Rtm.delRoute, 0, to, scope, table, ...path),
          ),
          // ESRCH: somebody removed the route, or it went down with its device.
          gone: [errno.ESRCH, errno.ENODEV],
        };
      },
      {
        ...BY_NETLINK,
        [errno.EEXIST]: { code: "EXISTS", text: "there is such a route already" },
        [errno.ENETUNREACH]: {
          code: "INVALID_ARGUMENT",
          text: "the next hop cannot be reached, or the device is down",
        },
        [errno.EHOSTUNREACH]: { code: "INVALID_ARGUMENT", text: "the next hop cannot be reached by this device" },
        [errno.ENETDOWN]: { code: "INVALID_ARGUMENT", text: "the device is down" },
        [errno.EOPNOTSUPP]: {
          code: "KERNEL_UNSUPPORTED",
          text:
            hook === "seg6local"
              ? "this kernel runs no BPF at segments (CONFIG_IPV6_SEG6_BPF, 4.18)"
              : "this kernel has no BPF tunnels (CONFIG_LWTUNNEL_BPF, 4.10)",
        },
        [errno.EINVAL]: {
          code: "INVALID_ARGUMENT",
          text: "the route is not one that the kernel takes (is the prefix an address of a host?)",
        },
        [errno.ENODEV]: { code: "NOT_FOUND", text: "there is no such device" },
      },
    );
  });
}
