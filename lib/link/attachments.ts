/**
 * Attachments for which the kernel has no link, found where they are: what a process that was killed has left behind.
 * Whose they are the kernel does not know.
 */
import { cgroup2Mount, withCgroup } from "../kernel/cgroup.js";
import { NETNS_OPTION, type NetnsOption } from "../kernel/device.js";
import { checkOptions } from "../options.js";
import { attachmentsToCgroups } from "./attachments_cgroup.js";
import { attachmentsInNetns } from "./attachments_net.js";
import { attachmentsToSystem } from "./attachments_system.js";
import type { FoundAttachment } from "./found_attachment.js";

/** Where {@link listAttachments} looks. */
export interface ListAttachmentsOptions extends NetnsOption {
  /** The cgroup v2 directory to look at, with all below it; by default where the hierarchy is mounted. */
  readonly cgroup?: string | undefined;
}

/**
 * Attachments without links: in a network namespace (XDP and tc by netlink, routes), in the cgroup hierarchy, probes that tracefs defines
 * (kretprobes with `maxActive`, mode `legacy`) and struct_ops by map. Those of this process are among them. Sockets, sockmaps and their like go
 * with what holds them, and are not listed.
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
  if (options.cgroup !== undefined) withCgroup("listAttachments", options.cgroup, () => {});
  const cgroup = options.cgroup ?? cgroup2Mount();
  return [
    ...attachmentsInNetns(options.netns),
    ...(cgroup === undefined ? [] : attachmentsToCgroups(cgroup)),
    ...attachmentsToSystem(),
  ];
}
