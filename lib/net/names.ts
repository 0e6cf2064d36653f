/** Numbers of network headers by the names that people use. */

const FAMILIES: Readonly<Record<number, string>> = {
  1: "inet",
  2: "ipv4",
  3: "arp",
  5: "netdev",
  7: "bridge",
  10: "ipv6",
};

/** NFPROTO_* (include/uapi/linux/netfilter.h). */
export function familyName(pf: number): string {
  return FAMILIES[pf] ?? `family ${pf}`;
}

const INET_HOOKS = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
const ARP_HOOKS = ["input", "output", "forward"];
const NETDEV_HOOKS = ["ingress", "egress"];

/** NF_INET_*, NF_ARP_*, NF_NETDEV_*: the numbers mean different hooks in different families. Bridge hooks are numbered as inet's. */
export function hookName(pf: number, hook: number): string {
  const names = pf === 3 ? ARP_HOOKS : pf === 5 ? NETDEV_HOOKS : INET_HOOKS;
  return names[hook] ?? `hook ${hook}`;
}

/** The number of a hook of IPv4, IPv6 and bridge. */
export function hookNumber(name: string): number {
  return INET_HOOKS.indexOf(name);
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  4: "ipip",
  6: "tcp",
  17: "udp",
  33: "dccp",
  41: "ipv6",
  47: "gre",
  50: "esp",
  51: "ah",
  58: "icmpv6",
  89: "ospf",
  103: "pim",
  112: "vrrp",
  132: "sctp",
  136: "udplite",
  255: "raw",
};

/** IPPROTO_*. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? `protocol ${protocol}`;
}

/** The number of a protocol that {@link PROTOCOL_NAMES} has. */
export function protocolNumber(name: string): number {
  return Number(Object.entries(PROTOCOLS).find(([, known]) => known === name)?.[0]);
}

export const PROTOCOL_NAMES: readonly string[] = Object.values(PROTOCOLS);
export const HOOK_NAMES: readonly string[] = INET_HOOKS.slice(0, 5);
