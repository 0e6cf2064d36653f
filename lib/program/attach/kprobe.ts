import { AttachType, ProgramType } from "../../kernel/abi.js";
import { functionMeanings } from "../../kernel/functions.js";
import type { Link } from "../../link/link.js";
import { checkOptions, checkString, integer, invalid, oneOf, u64 } from "../../options.js";
import type { Attacher } from "../attacher.js";
import { COOKIE, type CookieOptions, cookieOf } from "./cookie.js";
import { attachKretprobeEvent, MAX_ACTIVE } from "./kprobe_event.js";

export interface KprobeOptions extends CookieOptions {
  /** Bytes from the function's start; must be the start of an instruction. */
  readonly offset?: number | undefined;
  /**
   * For a kretprobe: how many calls it follows at once, 1 to 4096; the return of any more is missed in silence. By default ten, or twice the
   * number of CPUs where that is more. It is then attached through tracefs, without a link: see {@link Link} for its life. Minimum kernel 4.12.
   */
  readonly maxActive?: number | undefined;
  /** How libbpf attaches: `link` (5.15), `perf` (4.17) or `legacy` (tracefs); by default the newest this kernel has. */
  readonly mode?: "link" | "perf" | "legacy" | undefined;
}

export const PROBE_MODES: Readonly<Record<string, number>> = { legacy: 1, perf: 2, link: 3 };

export function probeMode(attacher: Attacher, mode: string | undefined): number {
  if (mode === undefined) return 0;
  attacher.needsLibbpf("kprobe_attach_mode", "option mode", "1.2");
  return PROBE_MODES[mode] as number;
}

/** What links of many functions are for: the kernel attaches such a program in no other way (perf_event_set_bpf_prog()). */
const MULTI = [
  AttachType.traceKprobeMulti,
  AttachType.traceKprobeSession,
  AttachType.traceUprobeMulti,
  AttachType.traceUprobeSession,
];

/** @throws BpfError INVALID_ARGUMENT unless the program is for one probe: of the kernel or of user space, which are one type */
export function mustBeSingle(attacher: Attacher, operation: string): void {
  attacher.mustBe(operation, [ProgramType.kprobe], "kprobe");
  attacher.mustNotExpect(operation, MULTI, "kprobe, ksyscall and uprobe");
}

export function attachKprobe(
  attacher: Attacher,
  kind: "kprobe" | "kretprobe",
  functionName: string,
  options: KprobeOptions,
): Link {
  const operation = `${attacher.name}.attach${kind === "kprobe" ? "Kprobe" : "Kretprobe"}`;
  checkString(operation, "function name", functionName);
  checkOptions(operation, options, {
    cookie: u64,
    offset: integer(0, 0xffffffff),
    mode: oneOf("link", "perf", "legacy"),
    maxActive: integer(1, MAX_ACTIVE),
  });
  mustBeSingle(attacher, operation);
  const { maxActive, offset = 0 } = options;
  if (kind === "kretprobe" && offset !== 0)
    throw invalid(`${operation}: a function returns as a whole: option "offset" is for attachKprobe()`);
  if (maxActive !== undefined) {
    if (kind === "kprobe") throw invalid(`${operation}: option "maxActive" is for attachKretprobe()`);
    if (options.mode !== undefined)
      throw invalid(`${operation}: with option "maxActive" there is one way to attach: say no mode`);
    return attachKretprobeEvent(attacher, operation, functionName, maxActive, cookieOf(options));
  }
  const native = {
    retprobe: kind === "kretprobe",
    offset,
    cookie: cookieOf(options),
    mode: probeMode(attacher, options.mode),
  };
  return attacher.link(
    { kind, target: offset === 0 ? functionName : `${functionName}+${offset}` },
    (program) => program.attachKprobe(functionName, native),
    () => functionMeanings(functionName, offset),
  );
}

export type KsyscallOptions = CookieOptions;

export function attachKsyscall(
  attacher: Attacher,
  kind: "ksyscall" | "kretsyscall",
  name: string,
  options: KsyscallOptions,
): Link {
  const operation = `${attacher.name}.attach${kind === "ksyscall" ? "Ksyscall" : "Kretsyscall"}`;
  checkString(operation, "system call", name);
  checkOptions(operation, options, COOKIE);
  mustBeSingle(attacher, operation);
  const retprobe = kind === "kretsyscall";
  return attacher.link(
    { kind, target: name },
    (native) => native.attachKsyscall(name, retprobe, cookieOf(options)),
    () => functionMeanings(name),
  );
}
