/** What libbpf's messages and the verifier's log say about a load that failed. */

/** A program's verifier log, taken out of libbpf's messages. */
export interface ProgramLog {
  readonly program: string;
  readonly log: string;
}

const BEGIN = /prog '([^']*)': -- BEGIN PROG LOAD LOG --\n/;
const END = /-- END PROG LOAD LOG --/;

/** The verifier logs that are in libbpf's messages, each in one of its own, by program. */
export function programLogs(messages: readonly string[]): Map<string, string> {
  return new Map(
    messages.flatMap((message) => {
      const found = findProgramLog([message]);
      return found === undefined ? [] : [[found.program, found.log]];
    }),
  );
}

/** The first verifier log that libbpf printed, if it printed one. */
export function findProgramLog(messages: readonly string[]): ProgramLog | undefined {
  const text = messages.join("");
  const begin = BEGIN.exec(text);
  if (begin === null) return undefined;
  const rest = text.slice(begin.index + begin[0].length);
  const end = END.exec(rest);
  return { program: begin[1] as string, log: end === null ? rest : rest.slice(0, end.index) };
}

/** The program that libbpf's messages name as the one that could not be loaded. */
export function findFailedProgram(messages: readonly string[]): string | undefined {
  const text = messages.join("");
  for (const pattern of [
    /prog '([^']*)': failed to load/,
    /prog '([^']*)': BPF program load failed/,
    /prog '([^']*)': failed/,
  ]) {
    const found = pattern.exec(text);
    if (found !== null) return found[1];
  }
  return undefined;
}

/** The map that libbpf's messages name as the one that could not be made. */
export function findFailedMap(messages: readonly string[]): string | undefined {
  return /map '([^']*)': failed to create/.exec(messages.join(""))?.[1];
}

export interface VerifierVerdict {
  /** The verifier's own sentence. */
  readonly reason: string;
  /** The C line it points to, as `code @ file:line` where the log says. */
  readonly sourceLine: string | undefined;
  /** Where that is in a header: the line of the source file by which the verifier came there, the call of an inlined function. */
  readonly reachedFrom: string | undefined;
}

/** Kernels from 7.3 print sections; the reason is then the one so labelled. */
const LABELLED_REASON = /^\s*Reason:\s*(.+)$/m;
const LABELLED_AT = /^\s*At:\s*(.+)$/m;

// Lines that the verifier prints around the reason: instructions, register states, statistics, control flow.
const NOT_A_REASON = [
  /^\s*$/,
  /^\d+: /,
  /^; /,
  /^processed \d+ insns/,
  /^(verification time|stack depth|insns processed|max_states|peak_states|mark_read)/,
  /^from \d+ to \d+/,
  /^R\d+(_\w+)?=/,
  /^ ?(arg#|mark_precise|last_idx|regs=|parent |frame\d+:|caller:|callee:|returning from callee|func#|Validating |Live regs)/,
  /^reg type unsupported for arg/,
  /^-- (BEGIN|END) PROG/,
];

// Newer kernels say the file (6.12 does, 5.10 does not); without it, nobody knows whose line it is.
const IN_HEADER = / @ \S+\.h:\d+$/;
const IN_SOURCE = / @ \S+\.c:\d+$/;
/** Functions that such a macro makes have its line, and are called from another. */
const DECLARATION = /^EBPF_\w+\(/;

function isReason(line: string): boolean {
  return NOT_A_REASON.every((pattern) => !pattern.test(line));
}

/**
 * The reason for a rejection: the last line of the log that is neither an instruction, a state nor a statistic;
 * and the nearest C line before it.
 */
export function readVerdict(log: string): VerifierVerdict {
  const labelled = LABELLED_REASON.exec(log);
  if (labelled !== null) {
    return {
      reason: (labelled[1] as string).trim(),
      sourceLine: LABELLED_AT.exec(log)?.[1]?.trim(),
      reachedFrom: undefined,
    };
  }
  const lines = log.split("\n");
  let at = lines.length - 1;
  while (at >= 0 && !isReason(lines[at] as string)) at--;
  // Without one (the kernel gave no log at all), the caller speaks from errno.
  const reason = at < 0 ? "" : (lines[at] as string).trim();
  const before = lines
    .slice(0, at < 0 ? lines.length : at)
    .filter((line) => line.startsWith("; "))
    .map((line) => line.slice(2).trim())
    .reverse();
  const [sourceLine] = before;
  const inHeader = sourceLine !== undefined && IN_HEADER.test(sourceLine);
  const reachedFrom = inHeader ? before.find((line) => IN_SOURCE.test(line) && !DECLARATION.test(line)) : undefined;
  return { reason, sourceLine, reachedFrom };
}
