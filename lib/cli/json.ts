/** JSON for programs to read: 64-bit numbers as decimal strings, which no parser rounds. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part), 2)}\n`;
}
