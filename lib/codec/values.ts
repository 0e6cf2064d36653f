/** Checks of values to be encoded. Each returns what to store, or throws an error that names the path. */
import { BpfError } from "../errors.js";
import { suggestion } from "../nearest.js";

/** `where` is the caller's label and the path below it, such as `flows key .saddr`. */
export function refuse(label: string, path: string, problem: string): never {
  throw new BpfError({ code: "VALUE_INVALID", message: `${label}${path === "" ? "" : ` ${path}`}: ${problem}` });
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (ArrayBuffer.isView(value)) return value.constructor.name;
  return typeof value;
}

export function wrongKind(label: string, path: string, expected: string, value: unknown): never {
  return refuse(
    label,
    path,
    value === undefined ? `missing (expected ${expected})` : `expected ${expected}, got ${kindOf(value)}`,
  );
}

/** An integer of up to 32 bits. */
export function checkNumber(value: unknown, low: number, high: number, label: string, path: string): number {
  if (typeof value !== "number") wrongKind(label, path, "number", value);
  if (!Number.isInteger(value) || value < low || value > high) {
    refuse(label, path, `expected a whole number from ${low} to ${high}, got ${value}`);
  }
  return value;
}

/** An integer of more bits, given as a bigint or as a number that is exact. */
export function checkBigint(value: unknown, bits: number, signed: boolean, label: string, path: string): bigint {
  let big: bigint;
  if (typeof value === "bigint") big = value;
  else if (typeof value === "number") {
    if (!Number.isSafeInteger(value))
      refuse(label, path, `expected a bigint or a whole number up to 2^53, got ${value}`);
    big = BigInt(value);
  } else wrongKind(label, path, "bigint", value);
  if (big !== (signed ? BigInt.asIntN(bits, big) : BigInt.asUintN(bits, big))) {
    refuse(label, path, `${big} does not fit ${bits} bits, ${signed ? "signed" : "unsigned"}`);
  }
  return big;
}

/** A 64-bit integer that is a number by choice; a bigint is as good. */
export function checkExact(value: unknown, bits: number, signed: boolean, label: string, path: string): bigint {
  if (typeof value !== "number" && typeof value !== "bigint") wrongKind(label, path, "number", value);
  return checkBigint(value, bits, signed, label, path);
}

export function checkBoolean(value: unknown, label: string, path: string): boolean {
  return typeof value === "boolean" ? value : wrongKind(label, path, "boolean", value);
}

export function checkFloat(value: unknown, label: string, path: string): number {
  return typeof value === "number" ? value : wrongKind(label, path, "number", value);
}

/** Whether it is what a struct or union is: an object of members, neither an array nor bytes. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

export function checkRecord(value: unknown, label: string, path: string): Record<string, unknown> {
  return isRecord(value) ? value : wrongKind(label, path, "object", value);
}

/** A property, or undefined: a name that every object inherits counts only where it is the object's own. */
export function ownProperty(value: unknown, name: string): unknown {
  if (name in Object.prototype && !Object.hasOwn(value as object, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

/** An array or typed array of exactly `length` elements. */
export function checkList(value: unknown, length: number, label: string, path: string): ArrayLike<unknown> {
  const list = checkAnyList(value, label, path);
  if (list.length !== length) refuse(label, path, `expected ${count(length, "element")}, got ${list.length}`);
  return list;
}

export function checkAnyList(value: unknown, label: string, path: string): ArrayLike<unknown> {
  if (Array.isArray(value)) return value;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return value as unknown as ArrayLike<unknown>;
  return wrongKind(label, path, "array", value);
}

/** Text or bytes: a string as UTF-8. */
export function checkBytes(value: unknown, expected: string, label: string, path: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  return typeof value === "string" ? Buffer.from(value, "utf8") : wrongKind(label, path, expected, value);
}

export function checkRoom(bytes: number, room: number, label: string, path: string): void {
  if (bytes > room) refuse(label, path, `${count(bytes, "byte")} do not fit: there is room for ${room}`);
}

export function checkText(bytes: Uint8Array, value: unknown, label: string, path: string): void {
  if (typeof value === "string" && bytes.includes(0))
    refuse(label, path, "contains a NUL character, which would end it");
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

export function unknownMember(name: string, names: Iterable<string>, label: string, path: string): never {
  return refuse(label, path, `no member "${name}"${suggestion(name, names)}`);
}

export function noAlternative(names: readonly string[], label: string, path: string): never {
  const shown = names.slice(0, 8).map((name) => `"${name}"`);
  return refuse(
    label,
    path,
    `missing: a union needs one of ${shown.join(", ")}${names.length > shown.length ? ", ..." : ""}`,
  );
}

export function contradiction(name: string, label: string, path: string): never {
  const which = name === "" ? "its members" : `"${name}" and another member`;
  return refuse(label, path, `${which} of one union are given with values that contradict each other; give one`);
}

/** The exact number, or an error: rounding would go unseen. */
export function exactNumber(value: number, label: string, path: string): number {
  if (Number.isSafeInteger(value)) return value;
  return refuse(label, path, `a value of about ${value} is past 2^53 and has no exact number; leave it a bigint`);
}

export function sizeMismatch(label: string, size: number, length: number): never {
  throw new BpfError({ code: "SIZE_MISMATCH", message: `${label}: needs ${count(size, "byte")}, there are ${length}` });
}
