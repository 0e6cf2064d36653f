/** Attachments without links in a network namespace: XDP and tc by netlink, and routes. */
import { clsactKinds } from "../kernel/clsact.js";
import { inNetns } from "../kernel/device.js";
import { errno } from "../kernel/errno.js";
import { attempt, isNativeFailure } from "../kernel/explain.js";
import { programNameById } from "../kernel/handles.js";
import { addressText } from "../kernel/ip_address.js";
import {
  attribute,
  attributesOf,
  LwtEncap,
  message,
  NLA_F_NESTED,
  NlmFlag,
  Rtm,
  readText,
  readU16,
  readU32,
  request,
  TCA,
  TCMSG_SIZE,
  u32,
} from "../kernel/netlink.js";
import { listLinks } from "./enumerate.js";
import type { FoundAttachment } from "./found_attachment.js";

// include/uapi/linux/{if_link,pkt_cls,pkt_sched,rtnetlink,seg6_local}.h
const IFLA = { name: 3, xdp: 43 } as const;
const IFLA_XDP = { fd: 1, attached: 2, flags: 3, programId: 4 } as const;
/** XDP_ATTACHED_* -> XDP_FLAGS_*: driver, generic, hardware. */
const XDP_MODE_FLAGS: Readonly<Record<number, number>> = { 1: 4, 2: 2, 3: 8 };
const TCA_BPF_ID = 11;
const CLSACT = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const;
const RTA = { dst: 1, oif: 4, table: 15, encapType: 21, encap: 22 } as const;
const SEG6_LOCAL_BPF = 8;
const IFINFO_SIZE = 16;
const RTMSG_SIZE = 12;

/** What is attached in the namespace that the path leads to; by default that of this process. */
export function attachmentsInNetns(netns: string | undefined): FoundAttachment[] {
  // The netns of a removal is that of the listing, wherever the caller is by then.
  const remove = (what: string, bytes: Buffer) => () =>
    inNetns("remove", netns, () =>
      attempt(
        { doing: `remove ${what}`, meanings: { [errno.ESRCH]: { code: "NOT_FOUND", text: "it is gone" } } },
        () => {
          request(bytes);
        },
      ),
    );
  return inNetns("listAttachments", netns, () =>
    attempt({ doing: "list what is attached" }, () => {
      const linked = new Set(listLinks().flatMap((link) => (link.type === "xdp" ? [link.programId] : [])));
      const devices = request(message(Rtm.getLink, NlmFlag.dump, Buffer.alloc(IFINFO_SIZE))).map((answer) => {
        const attributes = answer.attributes(IFINFO_SIZE);
        return {
          index: answer.u32(4),
          name: readText(attributes.get(IFLA.name)),
          xdp: attributesOf(attributes.get(IFLA.xdp) ?? Buffer.alloc(0)),
        };
      });
      return [...xdp(devices, linked, remove), ...filters(devices, remove), ...routes(devices, remove)];
    }),
  );
}

interface Device {
  readonly index: number;
  readonly name: string;
  readonly xdp: ReadonlyMap<number, Buffer>;
}

type Remove = (what: string, bytes: Buffer) => () => void;

function ifinfo(index: number): Buffer {
  return Buffer.concat([Buffer.alloc(4), u32(index), Buffer.alloc(8)]);
}

function xdp(devices: readonly Device[], linked: ReadonlySet<number>, remove: Remove): FoundAttachment[] {
  return devices.flatMap((device) => {
    const id = device.xdp.get(IFLA_XDP.programId);
    const programId = id === undefined ? 0 : readU32(id);
    if (programId === 0 || linked.has(programId)) return [];
    const mode = XDP_MODE_FLAGS[device.xdp.get(IFLA_XDP.attached)?.[0] ?? 0] ?? 0;
    const nothing = attribute(
      IFLA.xdp | NLA_F_NESTED,
      attribute(IFLA_XDP.fd, u32(-1)),
      attribute(IFLA_XDP.flags, u32(mode)),
    );
    const target = device.name;
    return [
      {
        kind: "xdp",
        target,
        programId,
        program: programNameById(programId) ?? "",
        remove: remove(`XDP from ${target}`, message(Rtm.setLink, 0, ifinfo(device.index), nothing)),
      },
    ];
  });
}

function filters(devices: readonly Device[], remove: Remove): FoundAttachment[] {
  const kinds = clsactKinds();
  return devices.flatMap((device) => {
    const kind = kinds.get(device.index);
    if (kind === undefined) return [];
    const directions = kind === "clsact" ? (["ingress", "egress"] as const) : (["ingress"] as const);
    return directions.flatMap((direction) => filtersOf(device, direction, remove));
  });
}

function filtersOf(device: Device, direction: keyof typeof CLSACT, remove: Remove): FoundAttachment[] {
  const tcmsg = (handle: number, info: number) =>
    Buffer.concat([Buffer.alloc(4), u32(device.index), u32(handle), u32(CLSACT[direction]), u32(info)]);
  let answers: ReturnType<typeof request>;
  try {
    answers = request(message(Rtm.getFilter, NlmFlag.dump, tcmsg(0, 0)));
  } catch (failure) {
    // The device is gone by now, or there are no filters in this kernel.
    if (isNativeFailure(failure)) return [];
    throw failure;
  }
  return answers.flatMap((answer) => {
    const attributes = answer.attributes(TCMSG_SIZE);
    const id = attributesOf(attributes.get(TCA.options) ?? Buffer.alloc(0)).get(TCA_BPF_ID);
    if (answer.type !== Rtm.newFilter || readText(attributes.get(TCA.kind)) !== "bpf" || id === undefined) return [];
    const [handle, info] = [answer.u32(8), answer.u32(16)];
    const target = `${device.name} ${direction} handle ${handle} priority ${info >>> 16}`;
    const bytes = message(Rtm.delFilter, 0, tcmsg(handle, info), attribute(TCA.kind, Buffer.from("bpf\0")));
    return [
      {
        kind: "tc" as const,
        target,
        programId: readU32(id),
        program: programNameById(readU32(id)) ?? "",
        remove: remove(`tc filter ${target}`, bytes),
      },
    ];
  });
}

/** What a route's encapsulation says of its program: always the name it was given, its id only of one at a segment. */
function routeProgram(attributes: ReadonlyMap<number, Buffer>): { id: number; name: string } | undefined {
  const type = attributes.get(RTA.encapType);
  const encap = attributesOf(attributes.get(RTA.encap) ?? Buffer.alloc(0));
  const program = (number: number) => attributesOf(encap.get(number) ?? Buffer.alloc(0));
  switch (type === undefined ? 0 : readU16(type)) {
    case LwtEncap.bpf:
      return { id: 0, name: readText([1, 2, 3].map((hook) => program(hook).get(2)).find(Boolean)) };
    case LwtEncap.seg6Local: {
      const id = program(SEG6_LOCAL_BPF).get(1);
      // Without a program it is one of the kernel's own functions.
      return id === undefined ? undefined : { id: readU32(id), name: readText(program(SEG6_LOCAL_BPF).get(2)) };
    }
    default:
      return undefined;
  }
}

function routes(devices: readonly Device[], remove: Remove): FoundAttachment[] {
  return request(message(Rtm.getRoute, NlmFlag.dump, Buffer.alloc(RTMSG_SIZE))).flatMap((answer) => {
    const attributes = answer.attributes(RTMSG_SIZE);
    const program = routeProgram(attributes);
    if (program === undefined) return [];
    const index = attributes.get(RTA.oif);
    const device = devices.find((candidate) => index !== undefined && candidate.index === readU32(index));
    const to = attributes.get(RTA.dst);
    const target = `${to === undefined ? "default" : addressText(to)}/${answer.body[1]} dev ${device?.name ?? "?"}`;
    const parts = [RTA.dst, RTA.oif, RTA.table].flatMap((number) => {
      const value = attributes.get(number);
      return value === undefined ? [] : [attribute(number, value)];
    });
    return [
      {
        kind: "lwt" as const,
        target,
        programId: program.id,
        program: program.name,
        remove: remove(`route ${target}`, message(Rtm.delRoute, 0, answer.body.subarray(0, RTMSG_SIZE), ...parts)),
      },
    ];
  });
}
