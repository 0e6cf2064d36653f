import { BpfError } from "../../errors.js";
import { AttachFlag } from "../../kernel/abi.js";
import { withCgroup } from "../../kernel/cgroup.js";
import { errno } from "../../kernel/errno.js";
import type { Meaning } from "../../kernel/explain.js";
import { lackedCapabilities } from "../../kernel/process.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { checkOptions, invalid, oneOf } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { readProgramInfo } from "../program_info.js";
import { needsCgroup } from "../section.js";
import { ANCHOR_OPTIONS, type AnchorOptions, anchorFields } from "./anchor.js";

export interface CgroupOptions extends AnchorOptions {
  /**
   * By default a link, beside which others may be (5.7). With this it is attached as before links: `multi`, beside others; `override`, one, which
   * a cgroup below may replace for itself; `exclusive`, one, and none below. Where there is one already a second is refused (BUSY; EXISTS where it
   * is the same program). It then outlives a process that is killed: see {@link Link}.
   */
  readonly mode?: "multi" | "override" | "exclusive" | undefined;
}

const MODES = { multi: AttachFlag.allowMulti, override: AttachFlag.allowOverride, exclusive: 0 } as const;

const TWICE = { code: "EXISTS", text: "this program is attached there already" } as const;

function isAmong(attacher: Attacher, programs: readonly number[]): boolean {
  return programs.length > 0 && programs.includes(readProgramInfo(attacher.owner.native().fd(), attacher.name).id);
}

/** The kernel would put it in the place of the one that is there, without a word. */
function mustBeFree(attacher: Attacher, path: string, cgroupFd: number, type: number, mode: string): void {
  const there = attacher.attachedTo(cgroupFd, type);
  if (there.length === 0) return;
  const { code, text } = isAmong(attacher, there)
    ? TWICE
    : ({ code: "BUSY", text: `the cgroup has a program already, and in mode ${mode} it has one` } as const);
  throw new BpfError({ code, message: `cannot attach ${attacher.name} to cgroup ${path}: ${text}` });
}

function meaningsAt(attacher: Attacher, cgroupFd: number, type: number, anchored: boolean): Meanings {
  const invalidHere: Meaning = anchored
    ? kernelAtLeast("6.16")
      ? { code: "INVALID_ARGUMENT", text: "the anchor is not attached there, or is of another kind" }
      : { code: "KERNEL_UNSUPPORTED", text: "an anchor in a cgroup needs kernel 6.16" }
    : // What the kernel also says of a program that is there already, in mode multi.
      isAmong(attacher, attacher.attachedTo(cgroupFd, type))
      ? TWICE
      : {
          code: "KERNEL_UNSUPPORTED",
          text: `a ${attacher.typeName} program cannot be attached to a cgroup in this way, or this kernel is older than 5.7`,
        };
  const without = lackedCapabilities("CAP_NET_ADMIN").length > 0;
  const denied: Meaning = {
    code: "PERMISSION_DENIED",
    text: without
      ? "this needs root, or CAP_NET_ADMIN"
      : "a program that allows no other beside it, or below it, is in the way",
  };
  return {
    // bpf_prog_attach() makes the one of the other.
    [errno.EINVAL]: without && !anchored ? denied : invalidHere,
    [errno.EPERM]: denied,
    [errno.E2BIG]: { code: "FULL", text: "the cgroup has as many programs as the kernel allows (64)" },
    [errno.EEXIST]: TWICE,
    [errno.ENOENT]: { code: "NOT_FOUND", text: "the anchor is not attached there" },
  };
}

export function attachCgroup(attacher: Attacher, path: string, options: CgroupOptions): Link {
  const operation = `${attacher.name}.attachCgroup`;
  checkOptions(operation, options, { ...ANCHOR_OPTIONS, mode: oneOf("multi", "override", "exclusive") });
  if (!needsCgroup(attacher.section)) throw attacher.wrongType(operation, "programs of cgroup sections");
  const anchored = options.before !== undefined || options.after !== undefined || options.revision !== undefined;
  if (options.mode !== undefined && anchored)
    throw invalid(`${operation}: anchors go with links, and not with mode ${options.mode}`);
  attacher.loaded("attach");
  const type = attacher.owner.native().expectedAttachType;
  return withCgroup(operation, path, (fd) => {
    const where = { kind: "cgroup", target: path };
    const meanings = () => meaningsAt(attacher, fd, type, anchored);
    const { mode } = options;
    if (mode !== undefined) {
      if (mode !== "multi") mustBeFree(attacher, path, fd, type, mode);
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
