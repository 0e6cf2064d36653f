import { AttachType, ProgramType, XdpFlag } from "../../kernel/abi.js";
import { deviceIndex, deviceName, inNetns, NETNS_OPTION, type NetnsOption } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import { BY_NETLINK } from "../../kernel/rights.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { checkOptions, invalid, oneOf } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";

export interface XdpOptions extends NetnsOption {
  /**
   * Where the program runs: in the driver (`native`), in the network stack (`generic`, which every device has), on the card
   * (`offload`). By default native where the driver can, else generic.
   */
  readonly mode?: "native" | "generic" | "offload" | undefined;
  /**
   * `link` (5.9): goes with the process. `netlink`: the older way, which outlives a process that is killed. By default a link where this
   * kernel has them.
   */
  readonly by?: "link" | "netlink" | undefined;
  /** By netlink, which it implies: take the place of whatever program is there, unless that is by a link. By default that is an error (BUSY). */
  readonly replace?: boolean | undefined;
}

const MODES = { native: XdpFlag.driverMode, generic: XdpFlag.skbMode, offload: XdpFlag.hardwareMode } as const;

const MEANINGS: Meanings = {
  ...BY_NETLINK,
  [errno.EBUSY]: { code: "BUSY", text: "another XDP program is there already: a device has one" },
  [errno.EEXIST]: {
    code: "BUSY",
    text: "another XDP program is there already, perhaps in another mode: a device has one",
  },
  [errno.ENODEV]: { code: "NOT_FOUND", text: "there is no such device" },
  [errno.EOPNOTSUPP]: {
    code: "KERNEL_UNSUPPORTED",
    text: "the device's driver has no native XDP (use mode generic), or cannot have it with this MTU or these features",
  },
  [errno.ERANGE]: {
    code: "INVALID_ARGUMENT",
    text: "the device's MTU is too large for native XDP on packets in one buffer: lower it, use mode generic, or load the program for fragments (flag xdp_has_frags, section xdp.frags; 5.18)",
  },
  [errno.EINVAL]: {
    code: "INVALID_ARGUMENT",
    text: "the program is for a devmap or cpumap, or this device cannot run it in this mode",
  },
};

export function attachXdp(attacher: Attacher, device: string | number, options: XdpOptions): Link {
  const operation = `${attacher.name}.attachXdp`;
  checkOptions(operation, options, {
    ...NETNS_OPTION,
    mode: oneOf("native", "generic", "offload"),
    by: oneOf("link", "netlink"),
    replace: "boolean",
  });
  if (options.replace && options.by === "link")
    throw invalid(`${operation}: replace goes with by "netlink": a link does not take the place of another program`);
  attacher.mustBe(operation, [ProgramType.xdp], "xdp");
  attacher.mustNotExpect(operation, [AttachType.xdpDevmap, AttachType.xdpCpumap], "xdp");
  attacher.loaded("attach");
  const netlink = (options.by ?? (options.replace || !kernelAtLeast("5.9") ? "netlink" : "link")) === "netlink";
  const mode = options.mode === undefined ? 0 : MODES[options.mode];
  return inNetns(operation, options.netns, () => {
    const index = deviceIndex(operation, device, options.netns);
    const where = { kind: "xdp", target: deviceName(device, options.netns) };
    if (netlink) {
      const flags = mode | (options.replace ? 0 : XdpFlag.updateIfNoExist);
      return attacher.attach(
        where,
        (native) => ({
          attachment: attacher.addon.attachXdp(index, native.fd(), flags),
          gone: [errno.ENODEV, errno.ENOENT, errno.EEXIST],
        }),
        MEANINGS,
      );
    }
    const link = { flags: mode, relativeFd: 0, relativeId: 0, revision: 0n };
    return attacher.link(
      where,
      (native) => attacher.addon.linkCreate(native.fd(), index, AttachType.xdp, link),
      MEANINGS,
    );
  });
}
