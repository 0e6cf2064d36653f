import { closeSync } from "node:fs";
import { ProgramType } from "../../kernel/abi.js";
import { type SocketDescriptor, socketDescriptor } from "../../kernel/descriptor.js";
import { deviceIndex, deviceName, inNetns, NETNS_OPTION, type NetnsOption } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import type { Link } from "../../link/link.js";
import { checkOptions, integer } from "../../options.js";
import type { Attacher } from "../attacher.js";

/** ETH_P_ALL: every protocol, in both directions. */
const ETH_P_ALL = 3;

export interface PacketSocketOptions extends NetnsOption {
  /** Ethernet protocol, for example 0x0800 for IPv4; by default all, received and sent. */
  readonly protocol?: number | undefined;
}

export function attachSocketFilter(attacher: Attacher, socket: SocketDescriptor): Link {
  return attachToSocket(attacher, "attachSocketFilter", socket, false);
}

export function attachReuseport(attacher: Attacher, socket: SocketDescriptor): Link {
  return attachToSocket(attacher, "attachReuseport", socket, true);
}

function attachToSocket(attacher: Attacher, method: string, socket: SocketDescriptor, reuseport: boolean): Link {
  const operation = `${attacher.name}.${method}`;
  attacher.mustBe(
    operation,
    reuseport ? [ProgramType.skReuseport, ProgramType.socketFilter] : [ProgramType.socketFilter],
    reuseport ? "sk_reuseport" : "socket_filter",
  );
  attacher.loaded("attach");
  const fd = socketDescriptor(operation, socket);
  return attacher.attach(
    { kind: reuseport ? "sk_reuseport" : "socket_filter", target: `socket ${fd}` },
    (native) => ({
      attachment: attacher.addon.attachSocket(fd, reuseport, native.fd(), false),
      gone: [errno.ENOENT, errno.EBADF],
    }),
    {
      [errno.EBUSY]: {
        code: "BUSY",
        text: "the socket has a program by another link of this process: update() that one, or close it first",
      },
      [errno.ENOTSOCK]: { code: "INVALID_ARGUMENT", text: `descriptor ${fd} is not a socket` },
      [errno.EBADF]: { code: "INVALID_ARGUMENT", text: `descriptor ${fd} is not open` },
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: reuseport ? "the socket has no SO_REUSEPORT, or is not bound" : "the socket does not take a filter",
      },
      [errno.EPERM]: {
        code: "PERMISSION_DENIED",
        text: "the socket's filter is locked (SO_LOCK_FILTER), or this is not allowed",
      },
    },
  );
}

/** A raw packet socket of the link's own: the program sees what goes through a device, and nobody reads the socket. */
export function attachPacketSocket(attacher: Attacher, device: string | number, options: PacketSocketOptions): Link {
  const operation = `${attacher.name}.attachPacketSocket`;
  checkOptions(operation, options, { ...NETNS_OPTION, protocol: integer(1, 0xffff) });
  attacher.mustBe(operation, [ProgramType.socketFilter], "socket_filter");
  attacher.loaded("attach");
  return inNetns(operation, options.netns, () => {
    const index = deviceIndex(operation, device, options.netns);
    return attacher.attach(
      { kind: "socket_filter", target: deviceName(device, options.netns) },
      (native) => {
        const fd = attacher.addon.packetSocket(index, options.protocol ?? ETH_P_ALL);
        try {
          return { attachment: attacher.addon.attachSocket(fd, false, native.fd(), true) };
        } catch (error) {
          closeSync(fd);
          throw error;
        }
      },
      {
        [errno.EPERM]: { code: "PERMISSION_DENIED", text: "a packet socket needs CAP_NET_RAW" },
        [errno.ENODEV]: { code: "NOT_FOUND", text: "there is no such device" },
      },
    );
  });
}
