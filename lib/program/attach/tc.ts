/** Traffic control: clsact filters, and what came after them, tcx and netkit. */
import { AttachType, ProgramType } from "../../kernel/abi.js";
import { clsactKinds } from "../../kernel/clsact.js";
import { deviceIndex, deviceName, inNetns, NETNS_OPTION, type NetnsOption } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import { BY_NETLINK } from "../../kernel/rights.js";
import { kernelAtLeast } from "../../kernel/version.js";
import { Link } from "../../link/link.js";
import { checkOptions, integer, invalid, shown } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { ANCHOR_OPTIONS, type AnchorOptions, anchorFields } from "./anchor.js";

export interface TcOptions extends NetnsOption {
  /** The filter's handle; by default the kernel's choice. */
  readonly handle?: number | undefined;
  /** Lower numbers run first; by default the kernel's choice, before all that are there. */
  readonly priority?: number | undefined;
  /** Take the place of the filter with that handle and priority. */
  readonly replace?: boolean | undefined;
}

export interface TcxOptions extends NetnsOption, AnchorOptions {}

/** A tc filter on clsact: by handle and priority the kernel, and tc(8), know it. */
export class TcLink extends Link {
  readonly handle: number;
  readonly priority: number;

  /** @internal */
  constructor(
    made: { readonly handle: number; readonly priority: number },
    ...rest: ConstructorParameters<typeof Link>
  ) {
    super(...rest);
    this.handle = made.handle;
    this.priority = made.priority;
  }
}

export type TcDirection = "ingress" | "egress";

function checkWord(operation: string, what: string, value: string, words: readonly string[]): void {
  if (!words.includes(value))
    throw invalid(
      `${operation}: ${what} must be ${words.map((word) => `"${word}"`).join(" or ")}, got ${shown(value)}`,
    );
}

export function attachTc(
  attacher: Attacher,
  device: string | number,
  direction: TcDirection,
  options: TcOptions,
): TcLink {
  const operation = `${attacher.name}.attachTc`;
  checkWord(operation, "direction", direction, ["ingress", "egress"]);
  checkOptions(operation, options, {
    ...NETNS_OPTION,
    handle: integer(1, 0xffffffff),
    priority: integer(1, 0xffff),
    replace: "boolean",
  });
  attacher.mustBe(operation, [ProgramType.schedCls], "sched_cls (tc)");
  if (options.replace && (options.handle === undefined || options.priority === undefined))
    throw invalid(`${operation}: to replace a filter, say its handle and priority`);
  return inNetns(operation, options.netns, () => {
    const index = deviceIndex(operation, device, options.netns);
    const where = { kind: "tc", target: `${deviceName(device, options.netns)} ${direction}` };
    if (direction === "egress" && clsactKinds().get(index) === "ingress")
      throw invalid(
        `${operation}: ${deviceName(device, options.netns)} has another queueing discipline (ingress) in the place of clsact, which has no egress`,
      );
    const made = attacher.try(
      where,
      (native) =>
        attacher.addon.attachTc(index, direction === "ingress", native.fd(), {
          handle: options.handle ?? 0,
          priority: options.priority ?? 0,
          replace: options.replace ?? false,
        }),
      {
        ...BY_NETLINK,
        [errno.EEXIST]: {
          code: "EXISTS",
          text: "there is a filter with that handle and priority: option replace takes its place",
        },
        [errno.ENOENT]: {
          code: "KERNEL_UNSUPPORTED",
          text: "this kernel has no clsact (CONFIG_NET_CLS_ACT, CONFIG_NET_SCH_INGRESS) or no BPF filters (CONFIG_NET_CLS_BPF)",
        },
        [errno.ENODEV]: { code: "NOT_FOUND", text: "there is no such device" },
        // Whose priority is the kernel's choice has it alone.
        ...(options.priority === undefined
          ? {}
          : {
              [errno.EINVAL]: {
                code: "EXISTS",
                text: "filters of another kind, or for another protocol, have that priority: take another one",
              },
            }),
        [errno.EOPNOTSUPP]: {
          code: "INVALID_ARGUMENT",
          text: "clsact shares its filters with other devices there (ingress_block and egress_block of tc(8)), and takes none for one device",
        },
      },
    );
    // ENOENT, EINVAL: the filter, or clsact with all of its filters, was removed by another, or another has its place.
    const parts = { attachment: made.attachment, gone: [errno.ENODEV, errno.ENOENT, errno.EINVAL] };
    return attacher.adopt(new TcLink(made, parts, { program: attacher.name, ...where }, attacher.release));
  });
}

function linkMeanings(kind: "tcx" | "netkit"): Meanings {
  const [since, config] = kind === "tcx" ? ["6.6", "CONFIG_NET_XGRESS"] : ["6.7", "CONFIG_NETKIT"];
  const old = {
    code: "KERNEL_UNSUPPORTED",
    text: `${kind} needs kernel ${since} (${config})${kind === "tcx" ? "; attachTc() does without" : ""}`,
  } as const;
  return {
    [errno.EINVAL]: kernelAtLeast(since)
      ? { code: "INVALID_ARGUMENT", text: `the anchor or the options are not what ${kind} takes` }
      : old,
    [errno.EOPNOTSUPP]: old,
    [errno.ENOENT]: { code: "NOT_FOUND", text: "the anchor is not attached here" },
    [errno.ERANGE]: { code: "FULL", text: "the device has as many programs as the kernel allows (64)" },
    [errno.ESTALE]: {
      code: "INVALID_STATE",
      text: "the programs of this device have changed: the revision is another by now",
    },
    [errno.EEXIST]: { code: "EXISTS", text: "this program is attached here already" },
    [errno.ENODEV]: { code: "NOT_FOUND", text: "there is no such device" },
    [errno.EBADF]: { code: "INVALID_ARGUMENT", text: "the anchor is not attached here, or not of this kind" },
    ...(kind === "netkit"
      ? {
          [errno.ENXIO]: { code: "INVALID_ARGUMENT", text: "this is no netkit device, or its peer side" } as const,
          [errno.EACCES]: {
            code: "INVALID_ARGUMENT",
            text: "netkit programs attach to the primary device, from its own network namespace",
          } as const,
        }
      : {}),
  };
}

const DIRECTIONS = { ingress: AttachType.tcxIngress, egress: AttachType.tcxEgress } as const;
const SIDES = { primary: AttachType.netkitPrimary, peer: AttachType.netkitPeer } as const;

function attachAnchored(
  attacher: Attacher,
  kind: "tcx" | "netkit",
  device: string | number,
  place: string,
  attachType: number,
  options: TcxOptions,
): Link {
  const operation = `${attacher.name}.attach${kind === "tcx" ? "Tcx" : "Netkit"}`;
  checkOptions(operation, options, { ...NETNS_OPTION, ...ANCHOR_OPTIONS });
  attacher.mustBe(operation, [ProgramType.schedCls], "sched_cls (tc)");
  attacher.loaded("attach");
  attacher.needsLibbpf(kind, kind, "1.3");
  const anchor = anchorFields(operation, options);
  return inNetns(operation, options.netns, () => {
    const index = deviceIndex(operation, device, options.netns);
    return attacher.link(
      { kind, target: `${deviceName(device, options.netns)} ${place}` },
      (native) => attacher.addon.linkCreate(native.fd(), index, attachType, { ...anchor, anchor: kind }),
      linkMeanings(kind),
    );
  });
}

export function attachTcx(
  attacher: Attacher,
  device: string | number,
  direction: TcDirection,
  options: TcxOptions,
): Link {
  checkWord(`${attacher.name}.attachTcx`, "direction", direction, Object.keys(DIRECTIONS));
  return attachAnchored(attacher, "tcx", device, direction, DIRECTIONS[direction], options);
}

export function attachNetkit(
  attacher: Attacher,
  device: string | number,
  side: "primary" | "peer",
  options: TcxOptions,
): Link {
  checkWord(`${attacher.name}.attachNetkit`, "side", side, Object.keys(SIDES));
  return attachAnchored(attacher, "netkit", device, side, SIDES[side], options);
}
