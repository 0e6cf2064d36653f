/** Attaching as a section says, with what it cannot say as options. */
import { ProgramType } from "../../kernel/abi.js";
import { errno } from "../../kernel/errno.js";
import { functionMeanings } from "../../kernel/functions.js";
import type { Link } from "../../link/link.js";
import { checkOptions, invalid, shown } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { needsCgroup, sectionKind, sectionTarget } from "../section.js";
import type { TcDirection } from "./tc.js";
import { AT_TRACEPOINT_ALREADY, tracepointMeanings } from "./tracepoint.js";

/** Options of {@link Program.attach}: what the sections of some kinds cannot say. */
export interface AttachOptions {
  /** For programs that attach to a cgroup (sockops and the cgroup sections): path of a cgroup v2 directory. */
  readonly cgroup?: string | undefined;
  /** For XDP, tcx and netkit programs: the device. */
  readonly device?: string | number | undefined;
  /** For sk_lookup, flow_dissector, and with `device`: path of the network namespace. */
  readonly netns?: string | undefined;
}

const OPTIONS = {
  cgroup: "string",
  device: {
    wants: "a device's name or index",
    accepts: (value: unknown) => typeof value === "string" || typeof value === "number",
  },
  netns: "string",
} as const;

/** @throws BpfError INVALID_ARGUMENT */
export function checkAttachOptions(operation: string, options: unknown): asserts options is AttachOptions {
  checkOptions(operation, options, OPTIONS);
}

/** The methods that sections lead to. */
interface Methods {
  attachCgroup(path: string): Link;
  attachXdp(device: string | number, options: { readonly netns?: string | undefined }): Link;
  attachTcx(device: string | number, direction: TcDirection, options: { readonly netns?: string | undefined }): Link;
  attachNetkit(
    device: string | number,
    side: "primary" | "peer",
    options: { readonly netns?: string | undefined },
  ): Link;
  attachNetns(path: string): Link;
  attachKprobeMulti(functions: string, options: { readonly at: "entry" | "return" | "session" }): Link;
  attachUprobeMulti(binary: string, functions: string, options: { readonly at: "entry" | "return" | "session" }): Link;
  attachUprobe(binary: string, functionName: string, options: { readonly offset?: bigint | undefined }): Link;
  attachUretprobe(binary: string, functionName: string, options: { readonly offset?: bigint | undefined }): Link;
  attachUsdt(binary: string, provider: string, name: string): Link;
  attachTrace(): Link;
  attachLsm(): Link;
  attachIter(): Link;
}

function required<T>(attacher: Attacher, value: T | undefined, what: string, example: string): T {
  if (value !== undefined) return value;
  throw invalid(`${attacher.name} (section ${attacher.section}) attaches to ${what}: say which, attach(${example})`);
}

/** Bytes from the start of a function, in any base that C writes numbers in. */
function offsetOf(attacher: Attacher, text: string): bigint {
  if (/^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(text)) return BigInt(text.replace(/^0(?=[0-7]+$)/, "0o"));
  throw invalid(`${attacher.name}: section "${attacher.section}" has an offset that is no number: ${shown(text)}`);
}

export function attachBySection(attacher: Attacher, program: Methods, options: AttachOptions): Link {
  checkAttachOptions(`${attacher.name}.attach`, options);
  attacher.loaded("attach");
  const kind = sectionKind(attacher.section);
  const target = sectionTarget(attacher.section);
  if (needsCgroup(attacher.section))
    return program.attachCgroup(required(attacher, options.cgroup, "a cgroup", '{ cgroup: "/sys/fs/cgroup/..." }'));
  const netns = { netns: options.netns };
  const device = () => required(attacher, options.device, "a network device", '{ device: "eth0" }');
  switch (kind) {
    case "xdp":
    case "xdp.frags":
      // xdp/devmap and xdp/cpumap are run by a map's entries.
      if (target === "" || target === "frags") return program.attachXdp(device(), netns);
      break;
    case "tcx":
      if (target === "ingress" || target === "egress") return program.attachTcx(device(), target, netns);
      break;
    case "netkit":
      if (target === "primary" || target === "peer") return program.attachNetkit(device(), target, netns);
      break;
    case "sk_lookup":
    case "flow_dissector":
      return program.attachNetns(
        required(attacher, options.netns, "a network namespace", '{ netns: "/run/netns/..." }'),
      );
    case "kprobe.multi":
    case "kretprobe.multi":
    case "kprobe.session":
      if (target !== "")
        return program.attachKprobeMulti(target, {
          at: kind === "kprobe.session" ? "session" : kind === "kprobe.multi" ? "entry" : "return",
        });
      break;
    case "uprobe":
    case "uretprobe":
    case "uprobe.s":
    case "uretprobe.s": {
      // uprobe/binary:function[+offset]
      const [, binary, name, offset] = /^(.+):([^:+]+)(?:\+(.*))?$/.exec(target) ?? [];
      if (binary === undefined || name === undefined) break;
      const at = offset === undefined ? {} : { offset: offsetOf(attacher, offset) };
      return kind.startsWith("uprobe")
        ? program.attachUprobe(binary, name, at)
        : program.attachUretprobe(binary, name, at);
    }
    case "uprobe.multi":
    case "uretprobe.multi":
    case "uprobe.session": {
      const [, binary, pattern] = /^(.+):([^:]+)$/.exec(target) ?? [];
      if (binary === undefined || pattern === undefined) break;
      return program.attachUprobeMulti(binary, pattern, {
        at: kind === "uprobe.session" ? "session" : kind === "uprobe.multi" ? "entry" : "return",
      });
    }
    case "usdt": {
      const [, binary, provider, name] = /^(.+):([^:]+):([^:]+)$/.exec(target) ?? [];
      if (binary === undefined || provider === undefined || name === undefined) break;
      return program.attachUsdt(binary, provider, name);
    }
    case "fentry":
    case "fentry.s":
    case "fexit":
    case "fexit.s":
    case "fmod_ret":
    case "fmod_ret.s":
    case "tp_btf":
      return program.attachTrace();
    case "lsm":
    case "lsm.s":
      return program.attachLsm();
    case "iter":
    case "iter.s":
      return program.attachIter();
    default:
  }
  return attacher.link(
    { kind, target: target || attacher.section },
    (native) => native.attach(),
    meanings(attacher, target),
  );
}

function meanings(attacher: Attacher, target: string): Meanings | (() => Meanings) {
  const notEnough = {
    code: "INVALID_ARGUMENT",
    text: `section "${attacher.section}" does not say where to attach; use the method for its kind (${attacher.method})`,
  } as const;
  switch (attacher.type) {
    case ProgramType.kprobe:
      return () => ({
        ...functionMeanings(target.replace(/\+.*$/, "")),
        ...(target === "" ? { [errno.EOPNOTSUPP]: notEnough } : {}),
      });
    case ProgramType.tracepoint: {
      const [category = "", name = ""] = target.split("/");
      return () => ({ ...tracepointMeanings(category, name), [errno.EOPNOTSUPP]: notEnough });
    }
    case ProgramType.rawTracepoint:
    case ProgramType.rawTracepointWritable:
      return {
        [errno.EOPNOTSUPP]: notEnough,
        [errno.ENOENT]: { code: "NOT_FOUND", text: `this kernel has no tracepoint ${target}` },
        [errno.EEXIST]: AT_TRACEPOINT_ALREADY,
      };
    default:
      return { [errno.EOPNOTSUPP]: notEnough, [errno.EINVAL]: notEnough };
  }
}
