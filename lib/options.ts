import { BpfError } from "./errors.js";
import { suggestion } from "./nearest.js";

/** What an option must be: a `typeof` name, or a test with the words for what it wants. */
export type OptionCheck =
  | "string"
  | "boolean"
  | "function"
  | "bigint"
  | "object"
  | { readonly wants: string; readonly accepts: (value: unknown) => boolean };

/** A whole number in a range, as an option. */
export function integer(minimum: number, maximum: number): OptionCheck {
  return {
    wants: `a whole number from ${minimum} to ${maximum}`,
    accepts: (value) => Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
  };
}

/** One of a few words, as an option. */
export function oneOf(...words: readonly string[]): OptionCheck {
  return { wants: words.map((word) => `"${word}"`).join(" or "), accepts: (value) => words.includes(value as string) };
}

/** A u64: a bigint, or a number that is exact. */
export const u64: OptionCheck = {
  wants: "a whole number from 0 to 2^64-1 (number or bigint)",
  accepts: (value) =>
    (typeof value === "bigint" && value >= 0n && value < 1n << 64n) ||
    (Number.isSafeInteger(value) && (value as number) >= 0),
};

export const abortSignal: OptionCheck = { wants: "an AbortSignal", accepts: (value) => value instanceof AbortSignal };

/** How a value is shown in an error. */
export function shown(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "boolean" || value === undefined) return String(value);
  if (typeof value === "function") return "a function";
  return Array.isArray(value) ? "an array" : "an object";
}

/**
 * Holds an options bag against what the operation takes; a misspelt option is an error, not a silence.
 * @throws BpfError INVALID_ARGUMENT
 */
export function checkOptions(operation: string, options: unknown, checks: Readonly<Record<string, OptionCheck>>): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalid(`${operation}: options must be an object, got ${shown(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined)
      throw invalid(`${operation}: unknown option "${name}"${suggestion(name, Object.keys(checks))}`);
    if (value === undefined) continue;
    const fits = typeof check === "string" ? typeof value === check && value !== null : check.accepts(value);
    if (!fits) {
      const wants = typeof check === "string" ? `a ${check}` : check.wants;
      throw invalid(`${operation}: option "${name}" must be ${wants}, got ${shown(value)}`);
    }
  }
}

/** @throws BpfError INVALID_ARGUMENT when `value` is not a string with something in it. */
export function checkString(operation: string, argument: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value === "")
    throw invalid(`${operation}: ${argument} must be a non-empty string, got ${shown(value)}`);
  // C strings end at the first NUL; what follows would be silently ignored.
  if (value.includes("\0")) throw invalid(`${operation}: ${argument} must not contain a NUL character`);
}

export function invalid(message: string): BpfError {
  return new BpfError({ code: "INVALID_ARGUMENT", message });
}
