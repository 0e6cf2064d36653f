import { inNetns } from "../../../lib/kernel/device.js";
import { attribute, message, NLA_F_NESTED, NlmFlag, Rtm, request, u32 } from "../../../lib/kernel/netlink.js";
import type { NetNamespace } from "./namespace.js";

/** nk0 with 10.98.0.1 in `namespace`, and nk1 with 10.98.0.2 in `other`, of the second layer. ip(8) knows netkit from 6.7 on, and Debian 12 has 6.1. */
export function makeNetkit(namespace: NetNamespace, other: NetNamespace): void {
  // include/uapi/linux/if_link.h
  const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA] = [3, 18, 1, 2];
  const [IFLA_NETKIT_PEER_INFO, IFLA_NETKIT_MODE, NETKIT_L2] = [1, 5, 0];
  const name = (text: string) => attribute(IFLA_IFNAME, Buffer.from(`${text}\0`));
  const header = Buffer.alloc(16);
  const peer = attribute(IFLA_NETKIT_PEER_INFO | NLA_F_NESTED, header, name("nk1"));
  const data = attribute(IFLA_INFO_DATA | NLA_F_NESTED, attribute(IFLA_NETKIT_MODE, u32(NETKIT_L2)), peer);
  const kind = attribute(IFLA_INFO_KIND, Buffer.from("netkit\0"));
  const info = attribute(IFLA_LINKINFO | NLA_F_NESTED, kind, data);
  inNetns("test", namespace.path, () =>
    request(message(Rtm.newLink, NlmFlag.create | NlmFlag.excl, header, name("nk0"), info)),
  );
  namespace.ip("link", "set", "nk1", "netns", other.name);
  for (const [place, device, host] of [
    [namespace, "nk0", 1],
    [other, "nk1", 2],
  ] as const) {
    place.ip("addr", "add", `10.98.0.${host}/24`, "dev", device);
    place.ip("link", "set", device, "up");
  }
}
