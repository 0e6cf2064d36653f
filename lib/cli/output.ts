/** Where a command writes. Tests give their own. */
export interface Output {
  readonly stdout: Stream;
  readonly stderr: Stream;
}

export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Whether to colour what goes to a stream: to a terminal, unless NO_COLOR is set (no-color.org). */
export function colored(stream: Stream): boolean {
  if (process.env["NO_COLOR"]) return false;
  return Boolean(process.env["FORCE_COLOR"]) || stream.isTTY === true;
}

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
}

export function styleOf(stream: Stream): Style {
  const wrap = (code: number, end: number) =>
    colored(stream) ? (text: string) => `\x1b[${code}m${text}\x1b[${end}m` : (text: string) => text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), red: wrap(31, 39) };
}

/** Rows as columns, each as wide as its widest cell. */
export function table(rows: readonly (readonly string[])[], indent = "  "): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) => row.map((cell, i) => cell.padEnd(widths[i] as number)).join("  "))
    .map((line) => `${indent}${line.trimEnd()}\n`)
    .join("");
}

export function plural(count: number, what: string, many = `${what}s`): string {
  return `${count} ${count === 1 ? what : many}`;
}

/** A list of words in lines no longer than the stream is wide. */
export function wrapped(words: readonly string[], stream: Stream, indent = "  "): string {
  const width = Math.max(40, stream.columns ?? 120);
  const lines: string[] = [];
  let line = indent;
  for (const [i, word] of words.entries()) {
    const next = i === words.length - 1 ? word : `${word},`;
    if (line.trim() !== "" && line.length + 1 + next.length > width) {
      lines.push(line);
      line = indent;
    }
    line += line.trim() === "" ? next : ` ${next}`;
  }
  return [...lines, line].map((text) => `${text}\n`).join("");
}
