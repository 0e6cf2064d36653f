/** A table for people: numbers to the right, text to the left. */
export function table(headings, rows) {
  const lines = [headings, ...rows].map((row) => row.map(String));
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const numeric = headings.map((_, column) => rows.every((row) => /^[<>~]?[-\d.,]*x?$/.test(String(row[column]))));
  const show = (line) =>
    line
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join("  ")
      .trimEnd();
  return [show(lines[0]), widths.map((width) => "-".repeat(width)).join("  "), ...lines.slice(1).map(show)].join("\n");
}

/** Three digits that mean something. */
export function figure(number) {
  if (number === undefined) return "";
  if (number === 0) return "0";
  if (number >= 1000) return Math.round(number).toLocaleString("en");
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2);
}
