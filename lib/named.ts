import { BpfError } from "./errors.js";
import { suggestion } from "./nearest.js";

// Names that the language itself asks for on any object: awaiting, printing and converting it must not throw.
const LANGUAGE_NAMES = new Set([
  "then",
  "toJSON",
  "constructor",
  "inspect",
  "nodeType",
  "toString",
  "valueOf",
  "asymmetricMatch",
  "$$typeof",
  "length",
]);

/**
 * A record whose unknown names are errors that name the nearest: `maps.flws` throws, saying `flows`.
 *
 * The names are own properties; only a miss falls through to the prototype, a proxy, so a hit costs what a plain object costs.
 */
export function namedRecord<T>(what: string, define: (record: Record<string, T>) => void): Record<string, T> {
  let defining = true;
  const record: Record<string, T> = Object.create(
    new Proxy(Object.freeze(Object.create(null)), {
      get(_target, name) {
        if (typeof name === "symbol" || LANGUAGE_NAMES.has(name)) return undefined;
        throw unknownName(what, name, Object.keys(record));
      },
      set(_target, name, value, receiver) {
        if (defining) return Reflect.defineProperty(receiver, name, { value, enumerable: true });
        throw unknownName(what, String(name), Object.keys(record));
      },
      has: () => false,
    }),
  );
  define(record);
  defining = false;
  return Object.preventExtensions(record);
}

export function unknownName(what: string, name: string, names: Iterable<string>): BpfError {
  return new BpfError({ code: "NOT_FOUND", message: `no ${what} named "${name}"${suggestion(name, names)}` });
}
