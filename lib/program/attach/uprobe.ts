import { BpfError } from "../../errors.js";
import { AttachType, ProgramType } from "../../kernel/abi.js";
import { errno } from "../../kernel/errno.js";
import { byPerfEvent } from "../../kernel/rights.js";
import type { Link } from "../../link/link.js";
import { MultiLink } from "../../link/multi_link.js";
import { nearest } from "../../nearest.js";
import { checkOptions, checkString, integer, invalid, oneOf, shown, u64 } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { sectionKind } from "../section.js";
import { type CookieOptions, cookieOf } from "./cookie.js";
import { elfFunctions } from "./elf_functions.js";
import { DEFAULT_LIMIT, type FunctionSelector, selectFunctions } from "./functions.js";
import { mustBeSingle, probeMode } from "./kprobe.js";
import { cookiesFor, MULTI_OPTIONS, type MultiOptions } from "./kprobe_multi.js";
import { resolveBinary } from "./library.js";

/** Whose calls are seen. */
export interface ProcessOptions {
  /** Only this process's; by default every process's that runs the file, those to come included. */
  readonly pid?: number | undefined;
}

export interface UprobeOptions extends CookieOptions, ProcessOptions {
  /**
   * Bytes from the start of the function; in the file when there is no function. Must be the start of an instruction: the kernel cannot tell, and within
   * one the probe's breakpoint changes what the process does.
   */
  readonly offset?: number | bigint | undefined;
  /** Offset in the file of a counter (a USDT semaphore) that the kernel raises while the probe is there. Minimum kernel 4.20. */
  readonly refCounterOffset?: number | bigint | undefined;
  /** As {@link KprobeOptions.mode}. */
  readonly mode?: "link" | "perf" | "legacy" | undefined;
}

const PID = integer(1, 0x7fffffff);

function meanings(path: string, functionName: string | undefined): Meanings {
  return {
    ...byPerfEvent(),
    [errno.ENOENT]: {
      code: "NOT_FOUND",
      text: functionName === undefined ? `there is no ${path}` : unknownFunction(path, functionName),
    },
    [errno.ESRCH]: { code: "NOT_FOUND", text: "there is no such process" },
    [errno.EIO]: { code: "INVALID_ARGUMENT", text: `${path} is no file that a process can have code from` },
    [errno.EINVAL]: {
      code: "INVALID_ARGUMENT",
      text: "the offset is not in the file's code, or what is there is no instruction that can be probed",
    },
    [errno.EOPNOTSUPP]: {
      code: "KERNEL_UNSUPPORTED",
      text: "this instruction cannot be probed, or this kernel has no uprobes of that kind (CONFIG_UPROBES)",
    },
  };
}

function unknownFunction(path: string, name: string): string {
  const all = elfFunctions(path);
  const near = nearest(name, all.keys());
  return `${path} has no function ${name}${near === undefined ? "" : ` (did you mean "${near}"?)`}${all.size === 0 ? ": it has no symbols at all (stripped); an offset does without" : ""}`;
}

export function attachUprobe(
  attacher: Attacher,
  kind: "uprobe" | "uretprobe",
  binary: string,
  functionName: string | undefined,
  options: UprobeOptions,
): Link {
  const operation = `${attacher.name}.attach${kind === "uprobe" ? "Uprobe" : "Uretprobe"}`;
  checkString(operation, "binary", binary);
  if (functionName !== undefined) checkString(operation, "function name", functionName);
  checkOptions(operation, options, {
    cookie: u64,
    pid: PID,
    offset: u64,
    refCounterOffset: u64,
    mode: oneOf("link", "perf", "legacy"),
  });
  mustBeSingle(attacher, operation);
  attacher.loaded("attach");
  if (functionName === undefined && options.offset === undefined) {
    throw invalid(`${operation}: say where in ${binary}: the name of a function, or option offset`);
  }
  const path = resolveBinary(operation, binary, options.pid);
  if (functionName !== undefined && !elfFunctions(path).has(functionName.replace(/@.*$/, ""))) {
    throw new BpfError({ code: "NOT_FOUND", message: `${operation}: ${unknownFunction(path, functionName)}` });
  }
  const native = {
    function: functionName,
    refCounterOffset: BigInt(options.refCounterOffset ?? 0),
    cookie: cookieOf(options),
    retprobe: kind === "uretprobe",
    mode: probeMode(attacher, options.mode),
  };
  const target = `${path}:${functionName ?? ""}${options.offset === undefined ? "" : `+${options.offset}`}`;
  return attacher.link(
    { kind, target },
    (program) => program.attachUprobe(options.pid ?? -1, path, BigInt(options.offset ?? 0), native),
    () => meanings(path, functionName),
  );
}

export interface UprobeMultiOptions extends MultiOptions, ProcessOptions {}

export function attachUprobeMulti(
  attacher: Attacher,
  binary: string,
  functions: FunctionSelector,
  options: UprobeMultiOptions,
): MultiLink {
  const operation = `${attacher.name}.attachUprobeMulti`;
  checkString(operation, "binary", binary);
  checkOptions(operation, options, { ...MULTI_OPTIONS, pid: PID });
  attacher.mustBe(operation, [ProgramType.kprobe], "kprobe");
  const expected = attacher.mustExpect(
    operation,
    [AttachType.traceUprobeMulti, AttachType.traceUprobeSession],
    "section uprobe.multi, uretprobe.multi or uprobe.session",
  );
  attacher.loaded("attach");
  attacher.needsLibbpf("uprobe_multi", "uprobe.multi", "1.3");
  const at = options.at ?? "entry";
  if ((at === "session") !== (expected === AttachType.traceUprobeSession)) {
    throw invalid(
      `${operation}: ${attacher.name} has section ${attacher.section}: at "session" goes with section uprobe.session, and no other does`,
    );
  }
  if (at === "session") attacher.needsLibbpf("uprobe_session", "a uprobe session", "1.6");
  const path = resolveBinary(operation, binary, options.pid);
  const all = elfFunctions(path);
  const selection = selectFunctions(operation, functions, options.limit ?? DEFAULT_LIMIT, {
    all: (accept) => [...all.keys()].filter(accept),
    refusal: () => undefined,
    unknown: (name) => new BpfError({ code: "NOT_FOUND", message: `${operation}: ${unknownFunction(path, name)}` }),
  });
  const cookies = cookiesFor(operation, options.cookies, functions, selection.names.length);
  const what =
    typeof functions === "string"
      ? functions
      : functions.length === 1
        ? (functions[0] as string)
        : `${functions.length} functions`;
  const where = { kind: `uprobe.${at === "session" ? "session" : "multi"}`, target: `${path}:${what}` };
  const parts = attacher.try(
    where,
    (native) => ({
      links: [
        native.attachUprobeMulti(options.pid ?? -1, path, {
          symbols: selection.names,
          cookies,
          retprobe: at === "return",
          session: at === "session",
        }),
      ],
    }),
    {
      ...meanings(path, undefined),
      [errno.EINVAL]: {
        code: "KERNEL_UNSUPPORTED",
        text:
          at === "session"
            ? "a uprobe session needs kernel 6.13: use a uprobe and a uretprobe"
            : "uprobe.multi needs kernel 6.6: use section uprobe, and a uprobe each",
      },
    },
  );
  return attacher.adopt(
    new MultiLink(
      parts,
      {
        program: attacher.name,
        ...where,
        matched: selection.matched,
        functions: selection.names,
        skipped: selection.skipped,
      },
      attacher.release,
    ),
  );
}

export interface UsdtOptions extends CookieOptions, ProcessOptions {}

export function attachUsdt(
  attacher: Attacher,
  binary: string,
  provider: string,
  name: string,
  options: UsdtOptions,
): Link {
  const operation = `${attacher.name}.attachUsdt`;
  checkString(operation, "binary", binary);
  checkString(operation, "provider", provider);
  checkString(operation, "name", name);
  checkOptions(operation, options, { cookie: u64, pid: PID });
  // Programs of section usdt are loaded for uprobe.multi by libbpf itself where the kernel has it (1.3).
  if (sectionKind(attacher.section) === "usdt") attacher.mustBe(operation, [ProgramType.kprobe], "kprobe");
  else mustBeSingle(attacher, operation);
  attacher.loaded("attach");
  const path = resolveBinary(operation, binary, options.pid);
  return attacher.attach(
    { kind: "usdt", target: `${path}:${provider}:${name}` },
    (native) => ({
      links: [native.attachUsdt(options.pid ?? -1, path, provider, name, cookieOf(options))],
      noDescriptor: "it is a uprobe for each place that the binary has of it, which libbpf keeps to itself",
    }),
    {
      [errno.EEXIST]: {
        code: "EXISTS",
        text: "a program of the object is at this probe already, and kernels before 5.15, which have no cookies, do not tell two apart",
      },
      [errno.ENOENT]: { code: "NOT_FOUND", text: `${path} has no USDT probe ${provider}:${name} (see "readelf -n")` },
      [errno.ESRCH]: {
        code: "NOT_FOUND",
        text: "the program has no USDT support (include <bpf/usdt.bpf.h>), or there is no such process",
      },
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: `${path} cannot be probed: its notes are damaged, or it is of another architecture`,
      },
      [errno.EOPNOTSUPP]: {
        code: "KERNEL_UNSUPPORTED",
        text: `the probe has a semaphore, which needs kernel 4.20; or ${shown(path)} is a 32-bit binary; or it is a library or position-independent, and this kernel, older than 5.15, needs option pid`,
      },
    },
  );
}
