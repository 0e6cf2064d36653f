/** Rows in columns, and a screen of tables that is redrawn in place on a terminal and printed once elsewhere. */
import { stripVTControlCharacters, styleText } from "node:util";

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** Columns of the terminal that shows this; undefined without one. From a virtual machine it is the host's, which `npm run demo` tells. */
function terminalColumns(): number | undefined {
  const told = Number(process.env["EBPF_DEMO_COLUMNS"]);
  if (told > 0) return told;
  return process.stdout.isTTY === true ? process.stdout.columns : undefined;
}

/** Colour where the terminal has it and NO_COLOR does not forbid it. */
export function paint(style: Style, text: string): string {
  const plain = terminalColumns() === undefined || (process.env["NO_COLOR"] ?? "") !== "";
  return plain ? text : styleText(style, text);
}

/** The lines of a table: a title, a heading, the rows. */
export function tableLines<Row>(title: string, columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => column.text(row))),
  ];
  const widths = columns.map((_, i) =>
    Math.max(...cells.map((line) => stripVTControlCharacters(line[i] ?? "").length)),
  );
  const lines = cells.map((line) =>
    line
      .map((cell, i) => {
        const space = " ".repeat((widths[i] as number) - stripVTControlCharacters(cell).length);
        return columns[i]?.right ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
  return [paint("bold", title), ...lines.map((line, i) => `  ${i === 0 ? paint("dim", line) : line}`)];
}

/** What is on the screen now; `draw()` replaces it. */
export class Screen {
  #drawn = 0;

  /** Whether what is drawn is seen now. */
  get live(): boolean {
    return terminalColumns() !== undefined;
  }

  draw(lines: readonly string[]): void {
    const width = terminalColumns();
    if (width === undefined) return;
    // A line that wraps would take two rows, and the next drawing would begin in the wrong one.
    const fitting = lines.map((line) =>
      stripVTControlCharacters(line).length > width ? stripVTControlCharacters(line).slice(0, width - 1) : line,
    );
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    process.stdout.write(`${up}\r\u001b[J${fitting.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  /** The last drawing: it stays. */
  finish(lines: readonly string[]): void {
    if (this.live) this.draw(lines);
    else process.stdout.write(`${lines.join("\n")}\n`);
  }
}
