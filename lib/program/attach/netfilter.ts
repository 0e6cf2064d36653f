import { ProgramType } from "../../kernel/abi.js";
import { inNetns, NETNS_OPTION, type NetnsOption } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import { checkOptions, integer, invalid, oneOf } from "../../options.js";
import type { Attacher } from "../attacher.js";

/** NFPROTO_IPV4 and NFPROTO_IPV6. */
const FAMILIES = { ipv4: 2, ipv6: 10 } as const;
/** NF_INET_*, the same for both families. */
const HOOKS = { preRouting: 0, localIn: 1, forward: 2, localOut: 3, postRouting: 4 } as const;
const IP_DEFRAG = 1;
const DEFRAG_PRIORITY = -400;

export interface NetfilterOptions extends NetnsOption {
  readonly family: keyof typeof FAMILIES;
  readonly hook: keyof typeof HOOKS;
  /**
   * Lower numbers run first: -300 raw, -200 connection tracking, -150 mangle, -100 destination NAT, 0 filter, 100 source NAT. No two of one hook
   * may be the same, and the very first and last are taken. 0 by default.
   */
  readonly priority?: number | undefined;
  /** Have fragments put together first; the priority must then be above -400. Minimum kernel 6.6. */
  readonly defrag?: boolean | undefined;
}

export function attachNetfilter(attacher: Attacher, options: NetfilterOptions): Link {
  const operation = `${attacher.name}.attachNetfilter`;
  checkOptions(operation, options, {
    ...NETNS_OPTION,
    family: oneOf(...Object.keys(FAMILIES)),
    hook: oneOf(...Object.keys(HOOKS)),
    priority: integer(-0x7fffffff, 0x7ffffffe),
    defrag: "boolean",
  });
  for (const name of ["family", "hook"] as const)
    if (options?.[name] === undefined) throw invalid(`${operation}: option "${name}" must be given`);
  attacher.mustBe(operation, [ProgramType.netfilter], "netfilter");
  attacher.loaded("attach");
  attacher.needsLibbpf("netfilter", "netfilter", "1.3");
  const priority = options.priority ?? 0;
  if (options.defrag && priority <= DEFRAG_PRIORITY)
    throw invalid(`${operation}: with defrag the priority must be above ${DEFRAG_PRIORITY}, got ${priority}`);
  const native = {
    family: FAMILIES[options.family],
    hook: HOOKS[options.hook],
    priority,
    flags: options.defrag ? IP_DEFRAG : 0,
  };
  return inNetns(operation, options.netns, () =>
    attacher.link(
      { kind: "netfilter", target: `${options.family} ${options.hook} ${priority}` },
      (program) => program.attachNetfilter(native),
      {
        [errno.EBUSY]: { code: "BUSY", text: `a program with priority ${priority} is at that hook already` },
        [errno.EOPNOTSUPP]: {
          code: "KERNEL_UNSUPPORTED",
          text:
            options.defrag && !kernelAtLeast("6.6")
              ? "defrag needs kernel 6.6"
              : "this kernel has no netfilter links (6.4, CONFIG_NETFILTER_BPF_LINK)",
        },
        [errno.EAFNOSUPPORT]: {
          code: "KERNEL_UNSUPPORTED",
          text: "this kernel does not filter that family, or cannot put its fragments together (CONFIG_NF_DEFRAG_IPV4, _IPV6)",
        },
        [errno.ENOENT]: {
          code: "KERNEL_UNSUPPORTED",
          text: "defrag needs the module nf_defrag_ipv4 or nf_defrag_ipv6",
        },
        [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "this kernel does not take these options" },
      },
    ),
  );
}
