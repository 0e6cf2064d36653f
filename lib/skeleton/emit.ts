/** Small pieces of TypeScript text, laid out as biome and prettier lay them out at a width of 120. */

const WIDTH = 120;

/** A doc comment; several lines where the text has several. */
export function doc(text: string, indent: string): string {
  const lines = text.replaceAll("*/", "*\\/").split("\n");
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} *${line === "" ? "" : ` ${line}`}\n`).join("")}${indent} */\n`;
}

/** A type with arguments: `HashMap<flow_key, bigint>`. */
export interface GenericType {
  readonly name: string;
  readonly parameters: readonly string[];
}

/** `name: Type<A, B>;`, the arguments each on a line of its own where one line would be too long. */
export function property(head: string, type: GenericType, indent: string): string {
  const { name, parameters } = type;
  if (parameters.length === 0) return `${indent}${head}: ${name};\n`;
  const line = `${indent}${head}: ${name}<${parameters.join(", ")}>;`;
  // A single argument is never broken away from its type.
  if (line.length <= WIDTH || parameters.length === 1) return `${line}\n`;
  return `${indent}${head}: ${name}<\n${parameters.map((parameter) => `${indent}  ${parameter}`).join(",\n")}\n${indent}>;\n`;
}

/** `export type Name = A | B;` */
export function unionType(name: string, alternatives: readonly string[]): string {
  const head = `export type ${name} =`;
  const line = `${head} ${alternatives.join(" | ")};`;
  if (line.length <= WIDTH || alternatives.length === 1) return `${line}\n`;
  return `${head}\n${alternatives.map((alternative) => `  | ${alternative}`).join("\n")};\n`;
}

/** `import { A, type B } from "m";`, names sorted as organized imports are: without regard to case, types among the rest. */
export function importing(names: readonly { readonly name: string; readonly type: boolean }[], from: string): string {
  const sorted = [...names].sort((a, b) => order(a.name, b.name));
  if (sorted.length === 0) return "";
  const onlyTypes = sorted.every(({ type }) => type);
  const parts = sorted.map(({ name, type }) => (type && !onlyTypes ? `type ${name}` : name));
  const head = onlyTypes ? "import type" : "import";
  const line = `${head} { ${parts.join(", ")} } from ${JSON.stringify(from)};`;
  if (line.length <= WIDTH) return `${line}\n`;
  return `${head} {\n${parts.map((part) => `  ${part},\n`).join("")}} from ${JSON.stringify(from)};\n`;
}

function order(a: string, b: string): number {
  const left = a.toLowerCase();
  const right = b.toLowerCase();
  return left < right ? -1 : left > right ? 1 : a < b ? -1 : a > b ? 1 : 0;
}
