/**
 * Attachments for which the kernel has no link, found where they are: what a process that was killed has left behind.
 * Whose they are the kernel does not know.
 */
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AttachType } from "../kernel/abi.js";
import { cgroup2Mount, withCgroup } from "../kernel/cgroup.js";
import { inNetns, NETNS_OPTION, type NetnsOption } from "../kernel/device.js";
import { errno } from "../kernel/errno.js";
import { attempt, isNativeFailure } from "../kernel/explain.js";
import { programNameOf } from "../kernel/handles.js";
import {
  attribute,
  attributesOf,
  LwtEncap,
  message,
  NLA_F_NESTED,
  NlmFlag,
  Rtm,
  readU16,
  readU32,
  request,
  u32,
} from "../kernel/netlink.js";
import { native } from "../native.js";
import { checkOptions } from "../options.js";
import { listLinks } from "./enumerate.js";
import { attachTypeName } from "./link_info.js";

export interface AttachmentInfo {
  readonly kind: "xdp" | "tc" | "lwt" | "cgroup";
  /** Where: a device (with the direction, handle and priority of a tc filter), a route, a cgroup (with the attach type). */
  readonly target: string;
  readonly programId: number;
  /** The program's name in the kernel; empty when it is not ours to know. */
  readonly program: string;
}

/** An attachment that can be removed. */
export interface FoundAttachment extends AttachmentInfo {
  /** @throws BpfError NOT_FOUND when it is gone by now, PERMISSION_DENIED */
  remove(): void;
}

export interface ListAttachmentsOptions extends NetnsOption {
  /** The cgroup v2 directory to look at, with all below it; by default where the hierarchy is mounted. */
  readonly cgroup?: string | undefined;
}

// include/uapi/linux/{if_link,pkt_cls,pkt_sched,rtnetlink,seg6_local}.h
const IFLA = { name: 3, xdp: 43 } as const;
const IFLA_XDP = { fd: 1, attached: 2, flags: 3, programId: 4 } as const;
/** XDP_ATTACHED_* -> XDP_FLAGS_*: driver, generic, hardware. */
const XDP_MODE_FLAGS: Readonly<Record<number, number>> = { 1: 4, 2: 2, 3: 8 };
const TCA = { kind: 1, options: 2 } as const;
const TCA_BPF_ID = 11;
const CLSACT = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const;
const RTA = { dst: 1, oif: 4, table: 15, encapType: 21, encap: 22 } as const;
const SEG6_LOCAL_BPF = 8;
const IFINFO_SIZE = 16;
const TCMSG_SIZE = 20;
const RTMSG_SIZE = 12;

function nameOf(programId: number): string {
  try {
    const fd = native().openById.program(programId);
    try {
      return programNameOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}

function text(bytes: Buffer | undefined): string {
  return bytes === undefined ? "" : bytes.toString("latin1").replace(/\0.*$/s, "");
}

/**
 * Attachments without links, in a network namespace (XDP and tc by netlink, routes) and in the cgroup hierarchy. Those of this process are among
 * them. Sockets, sockmaps and their like go with what holds them, and are not listed.
 *
 * @example
 * ```ts
 * import { listAttachments } from "ebpf";
 * for (const found of listAttachments({ netns: "/run/netns/blue" })) {
 *   console.log(found.kind, found.target, found.program);
 *   if (found.program === "drop_all") found.remove();
 * }
 * ```
 * @throws BpfError PERMISSION_DENIED, NOT_FOUND
 */
export function listAttachments(options: ListAttachmentsOptions = {}): FoundAttachment[] {
  checkOptions("listAttachments", options, { ...NETNS_OPTION, cgroup: "string" });
  const { netns } = options;
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
  const found = inNetns("listAttachments", netns, () =>
    attempt({ doing: "list what is attached" }, () => {
      const linked = new Set(listLinks().flatMap((link) => (link.type === "xdp" ? [link.programId] : [])));
      const devices = request(message(Rtm.getLink, NlmFlag.dump, Buffer.alloc(IFINFO_SIZE))).map((answer) => {
        const attributes = answer.attributes(IFINFO_SIZE);
        return {
          index: answer.u32(4),
          name: text(attributes.get(IFLA.name)),
          xdp: attributesOf(attributes.get(IFLA.xdp) ?? Buffer.alloc(0)),
        };
      });
      return [
        ...xdp(devices, linked, remove),
        ...devices.flatMap((device) => filters(device, remove)),
        ...routes(devices, remove),
      ];
    }),
  );
  if (options.cgroup !== undefined) withCgroup("listAttachments", options.cgroup, () => {});
  const cgroup = options.cgroup ?? cgroup2Mount();
  return cgroup === undefined ? found : [...found, ...cgroups(cgroup)];
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
        program: nameOf(programId),
        remove: remove(`XDP from ${target}`, message(Rtm.setLink, 0, ifinfo(device.index), nothing)),
      },
    ];
  });
}

function filters(device: Device, remove: Remove): FoundAttachment[] {
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const tcmsg = (handle: number, info: number) =>
      Buffer.concat([Buffer.alloc(4), u32(device.index), u32(handle), u32(CLSACT[direction]), u32(info)]);
    let answers: ReturnType<typeof request>;
    try {
      answers = request(message(Rtm.getFilter, NlmFlag.dump, tcmsg(0, 0)));
    } catch (failure) {
      // No clsact there, or no filters in this kernel.
      if (isNativeFailure(failure)) return [];
      throw failure;
    }
    return answers.flatMap((answer) => {
      const attributes = answer.attributes(TCMSG_SIZE);
      const id = attributesOf(attributes.get(TCA.options) ?? Buffer.alloc(0)).get(TCA_BPF_ID);
      if (answer.type !== Rtm.newFilter || text(attributes.get(TCA.kind)) !== "bpf" || id === undefined) return [];
      const [handle, info] = [answer.u32(8), answer.u32(16)];
      const target = `${device.name} ${direction} handle ${handle} priority ${info >>> 16}`;
      const bytes = message(Rtm.delFilter, 0, tcmsg(handle, info), attribute(TCA.kind, Buffer.from("bpf\0")));
      return [
        {
          kind: "tc" as const,
          target,
          programId: readU32(id),
          program: nameOf(readU32(id)),
          remove: remove(`tc filter ${target}`, bytes),
        },
      ];
    });
  });
}

/** What a route's encapsulation says of its program: always the name it was given, its id only of one at a segment. */
function routeProgram(attributes: ReadonlyMap<number, Buffer>): { id: number; name: string } | undefined {
  const type = attributes.get(RTA.encapType);
  const encap = attributesOf(attributes.get(RTA.encap) ?? Buffer.alloc(0));
  const program = (number: number) => attributesOf(encap.get(number) ?? Buffer.alloc(0));
  switch (type === undefined ? 0 : readU16(type)) {
    case LwtEncap.bpf:
      return { id: 0, name: text([1, 2, 3].map((hook) => program(hook).get(2)).find(Boolean)) };
    case LwtEncap.seg6Local: {
      const id = program(SEG6_LOCAL_BPF).get(1);
      // Without a program it is one of the kernel's own functions.
      return id === undefined ? undefined : { id: readU32(id), name: text(program(SEG6_LOCAL_BPF).get(2)) };
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
    const target = `${addressText(attributes.get(RTA.dst))}/${answer.body[1]} dev ${device?.name ?? "?"}`;
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

function addressText(bytes: Buffer | undefined): string {
  if (bytes === undefined) return "default";
  if (bytes.length === 4) return bytes.join(".");
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(":");
}

/** All attach types of cgroups. */
const CGROUP_TYPES = Object.entries(AttachType).flatMap(([name, type]) =>
  /^cgroup|^lsmCgroup/.test(name) ? [type] : [],
);

function* cgroupsBelow(path: string): Generator<string, void, undefined> {
  yield path;
  let names: string[];
  try {
    names = readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return;
  }
  for (const name of names) yield* cgroupsBelow(join(path, name));
}

function cgroups(root: string): FoundAttachment[] {
  const addon = native();
  const found: FoundAttachment[] = [];
  // One program can be there by links and without: as often as there are links, it is by one.
  const linked = new Map<string, number>();
  for (const link of listLinks()) {
    if (link.type !== "cgroup") continue;
    const key = `${link.cgroupId} ${link.attachType} ${link.programId}`;
    linked.set(key, (linked.get(key) ?? 0) + 1);
  }
  for (const path of cgroupsBelow(root)) {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch {
      // It was removed meanwhile.
      continue;
    }
    try {
      const inode = fstatSync(fd, { bigint: true }).ino;
      for (const type of CGROUP_TYPES) {
        let ids: readonly number[];
        try {
          ids = addon.programQuery(fd, type, 0);
        } catch {
          // Not known to this kernel.
          continue;
        }
        for (const programId of ids) {
          const key = `${inode} ${attachTypeName(type)} ${programId}`;
          const links = linked.get(key) ?? 0;
          if (links > 0) {
            linked.set(key, links - 1);
            continue;
          }
          const target = `${path} ${attachTypeName(type)}`;
          found.push({
            kind: "cgroup",
            target,
            programId,
            program: nameOf(programId),
            remove: () => removeFromCgroup(path, programId, type),
          });
        }
      }
    } finally {
      closeSync(fd);
    }
  }
  return found;
}

function removeFromCgroup(path: string, programId: number, type: number): void {
  const addon = native();
  attempt({ doing: `detach program ${programId} from ${path}` }, () => {
    const program = addon.openById.program(programId);
    try {
      withCgroup("remove", path, (fd) => addon.detachProgram(program, fd, type));
    } finally {
      closeSync(program);
    }
  });
}
