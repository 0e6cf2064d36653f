/** C names in TypeScript: kept, unless the language or the module has another use for them. */
import { MapType } from "../kernel/abi.js";
import { mapClassOf } from "../map/map_classes.js";

/** Words that no type or constant of a module may have as its name. */
const RESERVED = new Set(
  (
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if " +
    "implements import in instanceof interface let new null package private protected public return static super switch this throw true try " +
    "typeof var void while with yield any bigint boolean never number object string symbol undefined unknown asserts infer is keyof readonly " +
    "unique type of NaN Infinity globalThis"
  ).split(" "),
);

/** What the text of a skeleton refers to. */
const USED = new Set([
  ...["Array", "Buffer", "Promise", "Record", "URL", "Uint8Array", "Disposable", "Symbol", "BigInt", "Object"],
  ...[
    "Accepting",
    "AcceptingKey",
    "AcceptingValue",
    "LoadedObject",
    "ObjectShape",
    "OpenOptions",
    "OpenedObject",
    "ProgramOf",
    "openSkeleton",
  ],
]);

/** What the text of a skeleton imports, where it has such maps. */
const MAPS = new Set([
  ...Object.values(MapType).map((type) => mapClassOf(type).name),
  ...["RingBuffer", "RingBuffers", "UserRingBuffer", "PerfBuffer"],
]);

/** Whether a class may be called so, and what is declared beside it after its name. */
export function isClassName(name: string): boolean {
  return (
    /^[A-Za-z_$][\w$]*$/.test(name) &&
    [name, `Opened${name}`, `${name}Object`].every((each) => !RESERVED.has(each) && !USED.has(each) && !MAPS.has(each))
  );
}

/** Hands out the names of one module's declarations, each once. */
export class ModuleNames {
  readonly #taken: Set<string>;

  constructor(taken: Iterable<string>) {
    this.#taken = new Set([...USED, ...taken]);
  }

  /** `wanted` as it is, with `_` after it where it means something else here, or with a number where it was given before. */
  take(wanted: string): string {
    let name = RESERVED.has(wanted) || USED.has(wanted) ? `${wanted}_` : wanted;
    for (let n = 2; this.#taken.has(name); n++) name = `${wanted}_${n}`;
    this.#taken.add(name);
    return name;
  }
}

/** A property in an interface or object literal. Any C identifier is a property's name in JavaScript, but one is magic. */
export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** As {@link propertyName}, where `__proto__` would set the prototype. */
export function literalKey(name: string): string {
  return name === "__proto__" ? '["__proto__"]' : propertyName(name);
}

/** `nf_verdicts.bpf.o` -> `NfVerdicts`; `hash_map.bpf.o` -> `BpfHashMap`, where the plain name means something else */
export function className(file: string): string {
  const stem = file
    .replace(/^.*\//, "")
    .replace(/\.o$/, "")
    .replace(/\.bpf$/, "");
  const words = stem.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const name = words.map((word) => (word[0] as string).toUpperCase() + word.slice(1)).join("");
  return isClassName(name) ? name : `Bpf${name}`;
}
