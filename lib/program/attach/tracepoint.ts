import { existsSync, readdirSync } from "node:fs";
import { ProgramType } from "../../kernel/abi.js";
import { errno } from "../../kernel/errno.js";
import type { Meaning } from "../../kernel/explain.js";
import { tracefs } from "../../kernel/kprobe_events.js";
import { byPerfEvent } from "../../kernel/rights.js";
import type { Link } from "../../link/link.js";
import { nearest } from "../../nearest.js";
import { checkOptions, checkString } from "../../options.js";
import type { Attacher, Meanings } from "../attacher.js";
import { COOKIE, type CookieOptions, cookieOf } from "./cookie.js";

function folders(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function meaningsAlways(): Meanings {
  const place = tracefs();
  return {
    ...byPerfEvent(),
    [errno.EACCES]: {
      code: "PERMISSION_DENIED",
      text: `this needs root, or CAP_PERFMON (Linux 5.8) and tracefs${place === undefined ? "" : ` (${place})`}, which has the tracepoints' numbers, readable; a raw tracepoint does without tracefs`,
    },
    // bpf_prog_array_copy() takes a program once, whatever its cookie.
    [errno.EEXIST]: { code: "EXISTS", text: "this program is attached to it already" },
  };
}

/** Why there is no such tracepoint, or no second time. */
export function tracepointMeanings(category: string, name: string): Meanings {
  const root = tracefs();
  if (root === undefined) {
    return {
      ...meaningsAlways(),
      [errno.ENOENT]: {
        code: "KERNEL_UNSUPPORTED",
        text: "tracefs, which has the tracepoints' numbers, is not mounted: mount -t tracefs tracefs /sys/kernel/tracing; a raw tracepoint does without",
      },
    };
  }
  const events = `${root}/events`;
  const all = folders(events).flatMap((group) =>
    group === category || !existsSync(`${events}/${category}`)
      ? folders(`${events}/${group}`).map((event) => `${group}:${event}`)
      : [],
  );
  const near = nearest(`${category}:${name}`, all);
  const meant = near === undefined ? "" : ` (did you mean "${near}"?)`;
  return {
    ...meaningsAlways(),
    [errno.ENOENT]: {
      code: "NOT_FOUND",
      text: `this kernel has no tracepoint ${category}:${name}${meant}; see ${events}`,
    },
  };
}

/** Of raw_tp and tp_btf, which the kernel told apart by the program, and not by the link, until 6.10. */
export const AT_TRACEPOINT_ALREADY: Meaning = {
  code: "EXISTS",
  text: "the tracepoint has this program already (until 6.10 a program is there once)",
};

export function attachTracepoint(attacher: Attacher, category: string, name: string, options: CookieOptions): Link {
  const operation = `${attacher.name}.attachTracepoint`;
  checkString(operation, "category", category);
  checkString(operation, "name", name);
  checkOptions(operation, options, COOKIE);
  attacher.mustBe(operation, [ProgramType.tracepoint], "tracepoint");
  return attacher.link(
    { kind: "tracepoint", target: `${category}:${name}` },
    (native) => native.attachTracepoint(category, name, cookieOf(options)),
    () => tracepointMeanings(category, name),
  );
}

export function attachRawTracepoint(attacher: Attacher, name: string, options: CookieOptions): Link {
  const operation = `${attacher.name}.attachRawTracepoint`;
  checkString(operation, "name", name);
  checkOptions(operation, options, COOKIE);
  attacher.mustBe(operation, [ProgramType.rawTracepoint, ProgramType.rawTracepointWritable], "raw_tracepoint");
  const cookie = cookieOf(options);
  if (cookie !== 0n) attacher.needsLibbpf("raw_tp_cookie", "a cookie on a raw tracepoint", "1.4");
  return attacher.link({ kind: "raw_tp", target: name }, (native) => native.attachRawTracepoint(name, cookie), {
    [errno.ENOENT]: { code: "NOT_FOUND", text: `this kernel has no tracepoint ${name}` },
    [errno.EEXIST]: AT_TRACEPOINT_ALREADY,
    [errno.EINVAL]: {
      code: cookie === 0n ? "INVALID_ARGUMENT" : "KERNEL_UNSUPPORTED",
      text:
        cookie === 0n
          ? `the program reads beyond the arguments of ${name}`
          : "a cookie on a raw tracepoint needs kernel 6.10",
    },
  });
}
