import { readFileSync } from "node:fs";
import { BpfError } from "../../errors.js";
import { AttachType, ProgramType } from "../../kernel/abi.js";
import { errno } from "../../kernel/errno.js";
import type { Meaning } from "../../kernel/explain.js";
import { explainFunction, functionMeanings, kernelFunctions } from "../../kernel/functions.js";
import { isGlob } from "../../kernel/glob.js";
import { kernelAtLeast } from "../../kernel/version.js";
import { MultiLink } from "../../link/multi_link.js";
import type { NativeLink } from "../../native.js";
import { checkOptions, integer, invalid, oneOf, shown } from "../../options.js";
import type { Attacher } from "../attacher.js";
import {
  DEFAULT_LIMIT,
  type FunctionSelector,
  type FunctionSource,
  type Selection,
  selectFunctions,
} from "./functions.js";

export interface MultiOptions {
  /** When: as the functions are entered (the default), as they return, or both by one program (`session`: kernel 6.10, libbpf 1.5). */
  readonly at?: "entry" | "return" | "session" | undefined;
  /** One for all functions, or for each of a list; not for each that a glob matches, whose order nobody knows. */
  readonly cookies?: number | bigint | readonly (number | bigint)[] | undefined;
  /** How many functions a glob may match; 1000 by default. */
  readonly limit?: number | undefined;
}

function isU64(value: unknown): boolean {
  if (typeof value === "bigint") return value >= 0n && value < 1n << 64n;
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const COOKIES = {
  wants: "a u64, or a list of them",
  accepts: (value: unknown) => (Array.isArray(value) ? value : [value]).every(isU64),
} as const;

export const MULTI_OPTIONS = {
  at: oneOf("entry", "return", "session"),
  cookies: COOKIES,
  limit: integer(1, 1_000_000),
} as const;

/** One cookie per function; undefined when there are none. */
export function cookiesFor(
  operation: string,
  cookies: MultiOptions["cookies"],
  selector: FunctionSelector,
  count: number,
): bigint[] | undefined {
  if (cookies === undefined) return undefined;
  if (!Array.isArray(cookies)) return Array.from({ length: count }, () => BigInt(cookies as number | bigint));
  if (typeof selector === "string" || cookies.length !== selector.length) {
    const wanted =
      typeof selector === "string"
        ? "a list of cookies goes with a list of functions"
        : `${selector.length} functions need as many cookies, got ${cookies.length}`;
    throw invalid(`${operation}: ${wanted}`);
  }
  return cookies.map(BigInt);
}

let known: { readonly modules: string; readonly names: ReadonlySet<string> } | undefined;

/** Functions that ftrace can trace, read again when modules have come or gone; undefined where tracefs does not tell. */
function traceable(): ReadonlySet<string> | undefined {
  for (const path of ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]) {
    try {
      const modules = readModules();
      if (known?.modules !== modules) {
        const text = readFileSync(`${path}/available_filter_functions`, "latin1");
        known = { modules, names: new Set(text.split("\n").map((line) => line.split(" ", 1)[0] as string)) };
      }
      return known.names;
    } catch {
      // Not mounted, or without CONFIG_DYNAMIC_FTRACE.
    }
  }
  return undefined;
}

function readModules(): string {
  try {
    return readFileSync("/proc/modules", "latin1").replace(/ \d+ .*$/gm, "");
  } catch {
    // A kernel without modules.
    return "";
  }
}

function kernelSource(operation: string): FunctionSource {
  return {
    trustsLists: true,
    all: (accept) => kernelFunctions(accept),
    refusal: (name) => {
      const names = traceable();
      return names === undefined || names.has(name)
        ? undefined
        : "ftrace cannot trace it (notrace, inlined, or removed after start)";
    },
    unknown: (name) => {
      const meaning = explainFunction(name);
      return new BpfError({
        code: meaning?.code ?? "NOT_FOUND",
        message: `${operation}: ${meaning?.text ?? `this kernel has no function ${name}`}`,
      });
    },
  };
}

/** Which of the names that the kernel refused is to blame, as far as it tells. */
function blame(names: readonly string[]): Meaning | undefined {
  const wanted = new Set(names);
  const there = new Set(kernelFunctions((name) => wanted.has(name)));
  const missing = names.find((name) => !there.has(name));
  if (missing !== undefined) return explainFunction(missing);
  const untraceable = names.find((name) => traceable()?.has(name) === false);
  return untraceable === undefined
    ? undefined
    : {
        code: "KERNEL_UNSUPPORTED",
        text: `ftrace cannot trace ${untraceable} (notrace, inlined, or removed after start)`,
      };
}

export function attachKprobeMulti(attacher: Attacher, functions: FunctionSelector, options: MultiOptions): MultiLink {
  const operation = `${attacher.name}.attachKprobeMulti`;
  checkOptions(operation, options, MULTI_OPTIONS);
  attacher.mustBe(operation, [ProgramType.kprobe], "kprobe");
  attacher.mustNotExpect(operation, [AttachType.traceUprobeMulti, AttachType.traceUprobeSession], "kprobe");
  attacher.loaded("attachKprobeMulti");
  const at = options.at ?? "entry";
  const expected = attacher.owner.native().expectedAttachType;
  const multi = expected === AttachType.traceKprobeMulti || expected === AttachType.traceKprobeSession;
  if ((at === "session") !== (expected === AttachType.traceKprobeSession)) {
    throw invalid(
      `${operation}: ${attacher.name} has section ${attacher.section}: at "session" goes with section kprobe.session, and no other does`,
    );
  }
  if (at === "session") attacher.needsLibbpf("kprobe_session", "a kprobe session", "1.5");
  const selection = selectFunctions(operation, functions, options.limit ?? DEFAULT_LIMIT, kernelSource(operation));
  const cookies = cookiesFor(operation, options.cookies, functions, selection.names.length);
  const what =
    typeof functions === "string"
      ? functions
      : functions.length === 1
        ? shown(functions[0])
        : `${functions.length} functions`;
  const where = {
    kind: multi ? `kprobe.${at === "session" ? "session" : "multi"}` : at === "return" ? "kretprobe" : "kprobe",
    target: what,
  };
  if (!multi) {
    const glob = typeof functions === "string" && isGlob(functions);
    return attachEach(attacher, where, cookies, at === "return", glob, selection);
  }
  const parts = attacher.try(
    where,
    (native) => ({
      links: [
        native.attachKprobeMulti({
          symbols: selection.names,
          cookies,
          retprobe: at === "return",
          session: at === "session",
        }),
      ],
    }),
    () => {
      const [what, since, each] =
        at === "session"
          ? (["a kprobe session", "6.10", "use a kprobe and a kretprobe"] as const)
          : (["kprobe.multi", "5.18", "use section kprobe/, and one probe per function is attached"] as const);
      const unsupported = {
        code: "KERNEL_UNSUPPORTED",
        text: kernelAtLeast(since)
          ? `this kernel has no fprobes (CONFIG_FPROBE): ${each}`
          : `${what} needs kernel ${since}: ${each}`,
      } as const;
      const function_ = kernelAtLeast(since) ? blame(selection.names) : undefined;
      return {
        [errno.EOPNOTSUPP]: unsupported,
        [errno.EINVAL]: function_ ?? unsupported,
        [errno.ENOENT]: function_ ?? unsupported,
        [errno.ESRCH]: function_ ?? {
          code: "NOT_FOUND",
          text: "one of the functions is not there any more, or cannot be traced",
        },
      };
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

/** A kprobe each, as kernels before 5.18 need it: some tens of thousands of times slower, and some may refuse. */
function attachEach(
  attacher: Attacher,
  where: { readonly kind: string; readonly target: string },
  cookies: readonly bigint[] | undefined,
  retprobe: boolean,
  glob: boolean,
  selection: Selection,
): MultiLink {
  const links: NativeLink[] = [];
  const attached: string[] = [];
  const { names } = selection;
  const skipped = [...selection.skipped];
  try {
    names.forEach((name, i) => {
      try {
        const options = { retprobe, offset: 0, cookie: cookies?.[i] ?? 0n, mode: 0 };
        links.push(
          attacher.try(
            { kind: where.kind, target: name },
            (native) => native.attachKprobe(name, options),
            () => functionMeanings(name),
          ),
        );
        attached.push(name);
      } catch (error) {
        if (!glob || !(error instanceof BpfError)) throw error;
        skipped.push({ name, reason: error.message });
      }
    });
    if (attached.length === 0)
      throw new BpfError({
        code: "KERNEL_UNSUPPORTED",
        message: `none of ${names.length} functions can be attached to: ${skipped[0]?.reason}`,
      });
  } catch (error) {
    for (const link of links) link.close();
    throw error;
  }
  return attacher.adopt(
    new MultiLink(
      { links },
      { program: attacher.name, ...where, matched: selection.matched, functions: attached, skipped },
      attacher.release,
    ),
  );
}
