import { BpfError } from "../../errors.js";
import { AttachType, MapType, ProgramType } from "../../kernel/abi.js";
import { descriptorOf } from "../../kernel/descriptor.js";
import { errno } from "../../kernel/errno.js";
import { fdInfo } from "../../kernel/fd_info.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { invalid } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";

/** A sockmap or sockhash. */
export interface SocketMapTarget {
  readonly fd: number;
  readonly name: string;
}

const ATTACH_TYPES = [
  AttachType.skMsgVerdict,
  AttachType.skSkbStreamParser,
  AttachType.skSkbStreamVerdict,
  AttachType.skSkbVerdict,
];

const BUSY = {
  code: "BUSY",
  text: "the map has such a program: stream_verdict and verdict exclude each other, and a program is not replaced",
} as const;

/** Without a link the kernel would put it in the place of the one that is there, without a word. Before 5.18 it does not tell. */
function mustBeFree(attacher: Attacher, map: SocketMapTarget, fd: number, type: number): void {
  if (attacher.attachedTo(fd, type).length > 0)
    throw new BpfError({ code: BUSY.code, message: `cannot attach ${attacher.name} to ${map.name}: ${BUSY.text}` });
}

/** Kernels say EINVAL or EOPNOTSUPP, and both mean other things too; where /proc is not there, that is what is told. */
function mustBeSocketMap(operation: string, map: SocketMapTarget, fd: number): void {
  const told = fdInfo(fd);
  // Every descriptor has a position.
  if (told("pos") === undefined) return;
  const type = told("map_type");
  if (type !== MapType.sockmap && type !== MapType.sockhash)
    throw invalid(`${operation}: ${map.name ?? `descriptor ${fd}`} is neither a sockmap nor a sockhash`);
}

export function attachSockmap(attacher: Attacher, map: SocketMapTarget): Link {
  const operation = `${attacher.name}.attachSockmap`;
  const fd = descriptorOf(operation, "map", map);
  attacher.mustBe(operation, [ProgramType.skMsg, ProgramType.skSkb], "sk_msg and sk_skb");
  const type = attacher.mustExpect(
    operation,
    ATTACH_TYPES,
    "sections sk_msg, sk_skb/stream_parser, sk_skb/stream_verdict and sk_skb/verdict",
  );
  attacher.loaded("attach");
  mustBeSocketMap(operation, map, fd);
  const where = { kind: attacher.type === ProgramType.skMsg ? "sk_msg" : "sk_skb", target: map.name };
  const meanings: Meanings = {
    ...(type === AttachType.skSkbVerdict && !kernelAtLeast("5.13")
      ? {
          [errno.EINVAL]: {
            code: "KERNEL_UNSUPPORTED",
            text: "sk_skb/verdict needs kernel 5.13: use section sk_skb/stream_verdict",
          },
        }
      : {}),
    [errno.EOPNOTSUPP]: {
      code: "KERNEL_UNSUPPORTED",
      text: "this map or kernel takes no such program (CONFIG_BPF_STREAM_PARSER)",
    },
    [errno.EBUSY]: BUSY,
  };
  if (kernelAtLeast("6.10")) {
    const none = { flags: 0, relativeFd: 0, relativeId: 0, revision: 0n };
    return attacher.link(where, (native) => attacher.addon.linkCreate(native.fd(), fd, type, none), meanings);
  }
  mustBeFree(attacher, map, fd, type);
  return attacher.attach(
    where,
    (native) => ({ attachment: attacher.addon.attachProgram(native.fd(), fd, type, 0), gone: [errno.ENOENT] }),
    meanings,
  );
}
