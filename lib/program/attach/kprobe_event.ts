/** kretprobes with a number of calls that they follow at once, which only tracefs takes. */
import { BpfError } from "../../errors.js";
import { errno } from "../../kernel/errno.js";
import { functionMeanings } from "../../kernel/functions.js";
import { GROUP, tracefs } from "../../kernel/kprobe_events.js";
import { kernelAtLeast } from "../../kernel/version.js";
import type { Link } from "../../link/link.js";
import type { Attacher } from "../attacher.js";

/** include/linux/kprobes.h: KRETPROBE_MAXACTIVE_MAX. */
export const MAX_ACTIVE = 4096;

let made = 0;

export function attachKretprobeEvent(
  attacher: Attacher,
  operation: string,
  functionName: string,
  maxActive: number,
  cookie: bigint,
): Link {
  attacher.loaded("attach");
  const root = tracefs();
  if (root === undefined) {
    throw new BpfError({
      code: "KERNEL_UNSUPPORTED",
      message: `${operation}: maxActive is for tracefs to take, which is not mounted: mount -t tracefs tracefs /sys/kernel/tracing`,
    });
  }
  if (cookie !== 0n && !kernelAtLeast("5.15"))
    throw new BpfError({ code: "KERNEL_UNSUPPORTED", message: `${operation}: a cookie needs kernel 5.15` });
  // Letters, digits and underscores; 64 characters at most (MAX_EVENT_NAME_LEN). The process and the count make it ours alone.
  const name = `${functionName.replace(/\W/g, "_").slice(0, 40)}_${process.pid}_${++made}`;
  const file = `${root}/kprobe_events`;
  return attacher.attach(
    { kind: "kretprobe", target: functionName },
    (native) => ({
      attachment: attacher.addon.attachKprobeEvent({
        file,
        definition: `r${maxActive}:${GROUP}/${name} ${functionName}\n`,
        removal: `-:${GROUP}/${name}\n`,
        number: `${root}/events/${GROUP}/${name}/id`,
        program: native.fd(),
        byLink: kernelAtLeast("5.15"),
        cookie,
      }),
      gone: [errno.ENOENT],
    }),
    () => functionMeanings(functionName),
  );
}
