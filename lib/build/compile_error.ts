import { BpfError } from "../errors.js";

export type DiagnosticSeverity = "error" | "warning" | "note";

/** One of clang's messages. */
export interface Diagnostic {
  readonly severity: DiagnosticSeverity;
  readonly message: string;
  /** As clang names it; undefined for what concerns no place in a file. */
  readonly file: string | undefined;
  /** From 1. */
  readonly line: number | undefined;
  /** From 1, in bytes. */
  readonly column: number | undefined;
}

/** clang did not compile the source. */
export class CompileError extends BpfError {
  readonly diagnostics: readonly Diagnostic[];
  /** All that clang printed, as it printed it. */
  readonly output: string;
  /** As {@link BuildResult.dependencies}, to build again when one changes; none where a file that is included was not found. */
  readonly dependencies: readonly string[];

  constructor(
    source: string,
    diagnostics: readonly Diagnostic[],
    output: string,
    dependencies: readonly string[] = [],
  ) {
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    const first = errors[0];
    const place = first?.line === undefined ? "" : `${first.file}:${first.line}: `;
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
    super({
      code: "COMPILE_FAILED",
      message: `clang rejected ${source}: ${first === undefined ? "no message" : `${place}${first.message}${more}`}\n${output.trimEnd()}`,
    });
    this.diagnostics = diagnostics;
    this.output = output;
    this.dependencies = dependencies;
  }

  static {
    Object.defineProperty(CompileError.prototype, "name", {
      value: "CompileError",
      configurable: true,
      writable: true,
    });
  }
}

// Also under `-fcolor-diagnostics`, whose escape sequences stand between the parts.
const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[mK]`, "g");
const MESSAGE =
  /^(?:(.+?):(\d+):(\d+): |(?:clang(?:-\d+)?|<unknown>:0|<inline asm>): )?(fatal error|error|warning|note): (.*)$/;

/** clang's messages, without the source lines and carets below them. */
export function parseDiagnostics(output: string): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const line of output.replace(ESCAPES, "").split("\n")) {
    const found = MESSAGE.exec(line);
    if (found === null) continue;
    const [, file, at, column, severity, message = ""] = found;
    diagnostics.push({
      severity: severity === "fatal error" ? "error" : (severity as DiagnosticSeverity),
      message,
      file,
      line: at === undefined ? undefined : Number(at),
      column: column === undefined ? undefined : Number(column),
    });
  }
  return diagnostics;
}
