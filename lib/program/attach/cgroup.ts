import { AttachFlag } from "../../kernel/abi.js";
import { withCgroup } from "../../kernel/cgroup.js";
import { errno } from "../../kernel/errno.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { checkOptions, invalid, oneOf } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { needsCgroup } from "../section.js";
import { ANCHOR_OPTIONS, type AnchorOptions, anchorFields } from "./anchor.js";

export interface CgroupOptions extends AnchorOptions {
  /**
   * By default a link, beside which others may be (5.7). With this it is attached as before links: `multi`, beside others; `override`, one, which
   * a cgroup below may replace for itself; `exclusive`, one, and none below. It then outlives a process that is killed: see {@link Link}.
   */
  readonly mode?: "multi" | "override" | "exclusive" | undefined;
}

const MODES = { multi: AttachFlag.allowMulti, override: AttachFlag.allowOverride, exclusive: 0 } as const;

export function attachCgroup(attacher: Attacher, path: string, options: CgroupOptions): Link {
  const operation = `${attacher.name}.attachCgroup`;
  checkOptions(operation, options, { ...ANCHOR_OPTIONS, mode: oneOf("multi", "override", "exclusive") });
  if (!needsCgroup(attacher.section))
    throw invalid(
      `${operation}: ${attacher.name} is a ${attacher.typeName} program (section ${attacher.section}); this attaches programs of cgroup sections`,
    );
  const anchored = options.before !== undefined || options.after !== undefined || options.revision !== undefined;
  if (options.mode !== undefined && anchored)
    throw invalid(`${operation}: anchors go with links, and not with mode ${options.mode}`);
  attacher.loaded("attach");
  const type = attacher.owner.native().expectedAttachType;
  const meanings: Meanings = {
    [errno.EINVAL]: anchored
      ? kernelAtLeast("6.16")
        ? { code: "INVALID_ARGUMENT", text: "the anchor is not attached there, or is of another kind" }
        : { code: "KERNEL_UNSUPPORTED", text: "an anchor in a cgroup needs kernel 6.16" }
      : {
          code: "KERNEL_UNSUPPORTED",
          text: `a ${attacher.typeName} program cannot be attached to a cgroup in this way, or this kernel is older than 5.7`,
        },
    [errno.EPERM]: {
      code: "PERMISSION_DENIED",
      text: "a program that allows no other beside it, or below it, is in the way; or this needs CAP_NET_ADMIN",
    },
    [errno.E2BIG]: { code: "FULL", text: "the cgroup has as many programs as the kernel allows (64)" },
    [errno.EEXIST]: { code: "EXISTS", text: "this program is attached there already" },
    [errno.ENOENT]: { code: "NOT_FOUND", text: "the anchor is not attached there" },
  };
  return withCgroup(operation, path, (fd) => {
    const where = { kind: "cgroup", target: path };
    const { mode } = options;
    if (mode !== undefined) {
      return attacher.attach(
        where,
        (native) => ({
          attachment: attacher.addon.attachProgram(native.fd(), fd, type, MODES[mode]),
          gone: [errno.ENOENT],
        }),
        meanings,
      );
    }
    if (!anchored) return attacher.link(where, (native) => native.attachCgroup(fd), meanings);
    attacher.needsLibbpf("cgroup_opts", "an anchor in a cgroup", "1.6");
    const anchor = anchorFields(operation, options);
    return attacher.link(
      where,
      (native) => attacher.addon.linkCreate(native.fd(), fd, type, { ...anchor, anchor: "cgroup" }),
      meanings,
    );
  });
}
