/** What a process lacks when the kernel refuses it, by the names that the system has for it. */
import { errno } from "./errno.js";
import type { Meaning } from "./explain.js";
import { perfEventParanoid } from "./process.js";

type Meanings = Readonly<Record<number, Meaning>>;

/** Of what is done by rtnetlink, which asks for the capability of the network namespace's owner. */
export const BY_NETLINK: Meanings = {
  [errno.EPERM]: {
    code: "PERMISSION_DENIED",
    text: "this needs root, or CAP_NET_ADMIN in the user namespace that the network namespace belongs to",
  },
};

/** Of what opens a perf event: perf_event_open(2) says one or the other, by what is asked for. */
export function byPerfEvent(): Meanings {
  const setting = perfEventParanoid();
  const denied: Meaning = {
    code: "PERMISSION_DENIED",
    text: `this needs root, or CAP_PERFMON (Linux 5.8): kernel.perf_event_paranoid${setting === undefined ? "" : `, which is ${setting},`} says what anybody may`,
  };
  return { [errno.EACCES]: denied, [errno.EPERM]: denied };
}

/** Of a file that is made in a bpf file system. */
export const IN_FOLDER: Meanings = {
  [errno.EACCES]: {
    code: "PERMISSION_DENIED",
    text: "this user may not write into the folder, or not enter one above it (as root, or with CAP_DAC_OVERRIDE, one may)",
  },
};
