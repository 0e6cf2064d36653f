/** Writes a skeleton: a TypeScript module that knows an object's programs, maps, variables and types. */

import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";
import { ARENA_SECTION } from "../object/arena_section.js";
import { type GlobalVariable, variableShape } from "../object/globals.js";
import type { MapDescription, ObjectDescription, SectionDescription } from "./description.js";
import { doc, type GenericType, importing, property, unionType } from "./emit.js";
import { fingerprint } from "./fingerprint.js";
import {
  isKeyed,
  isPerCpu,
  isStreamed,
  mapClass,
  mapClassName,
  mapParts,
  mapSize,
  mapTypeConstant,
} from "./map_types.js";
import { className, isClassName, literalKey, ModuleNames, propertyName } from "./names.js";
import { bytes, type Declaration, noteOf, TypeCatalog } from "./types.js";

export interface GenerateOptions {
  /** The object's file name, for comments and for the class's name: `drops.bpf.o`. */
  readonly file: string;
  /** Where the object is, seen from the module: `./drops.bpf.o`. Not used with `embed`. */
  readonly path?: string | undefined;
  /** The object's bytes, to have them in the module. */
  readonly embed?: Uint8Array | undefined;
  /** The class's name; by default made from the file's: `Drops`. */
  readonly className?: string | undefined;
  /** What the module imports the library from. */
  readonly library?: string | undefined;
}

interface Section extends SectionDescription {
  readonly interfaceName: string;
}

/**
 * The text of a skeleton. The same description gives the same text.
 * @throws BpfError INVALID_ARGUMENT for a class name that is none; BTF_INVALID
 */
export function generateSkeleton(object: ObjectDescription, options: GenerateOptions): string {
  const { file, library = "ebpf" } = options;
  const name = options.className ?? className(file);
  if (!isClassName(name))
    throw new BpfError({ code: "INVALID_ARGUMENT", message: `"${name}" cannot be the name of a class` });
  // `.data.x.y` and `.data.x_y` are two sections, and one word.
  const words = new ModuleNames([name, `Opened${name}`, `${name}Object`]);
  const sections: Section[] = object.sections.map((section) => ({
    ...section,
    interfaceName: words.take(`${name}${sectionWord(section.name)}`),
  }));
  const own = [name, `Opened${name}`, `${name}Object`, ...sections.map(({ interfaceName }) => interfaceName)];
  const mapClasses = [...new Set(object.maps.map((map) => mapClassName(map)))];
  const names = new ModuleNames([...own, ...mapClasses]);
  const catalog = object.btf === undefined ? undefined : new TypeCatalog(object.btf, names);
  for (const { recordType } of object.maps) if (recordType !== undefined) catalog?.noteRecord(recordType);
  for (const map of object.maps) if (map.recordType !== undefined) catalog?.nameRecord(map.recordType, recordHint(map));

  const mapLines = object.maps.map((map) => mapProperty(map, catalog)).join("");
  const sectionTexts = sections.map((section) => sectionInterface(section, object, catalog)).join("");
  const plain = object.maps.some((map) => isStreamed(map.type) && map.recordType === undefined);
  const shape = shapeInterface(name, object, mapLines, sections, plain ? (catalog?.structs() ?? []) : []);
  const classes = mapClasses.map((text) => ({ name: text, type: true }));
  return [
    header(file),
    importing(
      [
        ...classes,
        { name: "LoadedObject", type: false },
        { name: "OpenedObject", type: true },
        { name: "OpenOptions", type: true },
      ],
      library,
    ),
    importing(
      [
        ...["Accepting", "AcceptingKey", "AcceptingValue"]
          .filter((name) => mapLines.includes(`: ${name}<`))
          .map((name) => ({ name, type: true })),
        { name: "ObjectShape", type: true },
        { name: "openSkeleton", type: false },
        ...(object.programs.length > 0 ? [{ name: "ProgramOf", type: true }] : []),
      ],
      `${library}/skeleton`,
    ),
    "\n",
    ...(catalog?.declarations ?? []).map((declaration) => `${declare(declaration)}\n`),
    sectionTexts,
    shape,
    "\n",
    skeletonClass(name, object, options),
  ].join("");
}

function header(file: string): string {
  return `/**\n * The types of ${file}, and what opens and loads it.\n * Made by \`ebpf gen\`: change the C source and make it again.\n */\n`;
}

/** `.rodata` -> `Rodata`, `.data.config` -> `DataConfig`. */
function sectionWord(section: string): string {
  return section
    .replace(/[^A-Za-z0-9]+([A-Za-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    .replace(/[^A-Za-z0-9]/g, "");
}

function declare(declaration: Declaration): string {
  const { name } = declaration;
  const head = declaration.kind === "input" || declaration.kind === "live" ? "" : doc(declaration.doc, "");
  switch (declaration.kind) {
    case "record": {
      // An interface without members would accept anything.
      if (declaration.properties.length === 0) return `${head}export type ${name} = Record<string, never>;\n`;
      const properties = declaration.properties.map(
        (member) =>
          doc(member.doc, "  ") + property(propertyName(member.name), { name: member.type, parameters: [] }, "  "),
      );
      return `${head}export interface ${name} {\n${properties.join("")}}\n`;
    }
    case "input": {
      const reasons = [
        ...(declaration.leftOut.has("shared") ? ["of members that share bytes one is enough"] : []),
        ...(declaration.leftOut.has("owned") ? ["what is the kernel's may be left out"] : []),
      ];
      const text = `{@link ${declaration.of}} to be written: ${reasons.join("; ")}.`;
      const properties = declaration.properties.map((member) =>
        property(
          `${propertyName(member.name)}${member.optional === undefined ? "" : "?"}`,
          { name: member.input, parameters: [] },
          "  ",
        ),
      );
      return `${doc(text, "")}export interface ${name} {\n${properties.join("")}}\n`;
    }
    case "live": {
      const text = `{@link ${declaration.of}} in a variable: of members that share bytes one is enough to set.`;
      const properties = declaration.properties.map((member) =>
        liveProperty(member.name, member.type, member.live, member.input),
      );
      return `${doc(text, "")}export interface ${name} extends ${declaration.of} {\n${properties.join("")}}\n`;
    }
    case "enum": {
      const values = declaration.values.map(
        ({ name: key, value }) => `  ${literalKey(key)}: ${value}${typeof value === "bigint" ? "n" : ""},\n`,
      );
      const base = typeof declaration.values[0]?.value === "bigint" ? "bigint" : "number";
      return `${head}export const ${name} = {\n${values.join("")}} as const;\n${unionType(name, [`(typeof ${name})[keyof typeof ${name}]`, `(${base} & {})`])}`;
    }
    case "union":
      return head + unionType(name, declaration.alternatives);
  }
}

/** What records are called whose type has no name in C. */
function recordHint(map: MapDescription): string {
  return `${map.name}_record`;
}

function mapProperty(map: MapDescription, catalog: TypeCatalog | undefined): string {
  const type = (id: number, hint: string) =>
    id === 0 || catalog === undefined ? "Uint8Array" : catalog.typeOf(id, `${map.name}_${hint}`);
  const record = () =>
    map.recordType === undefined || catalog === undefined
      ? "Uint8Array"
      : catalog.recordOf(map.recordType, recordHint(map));
  const generic = mapClass(map, {
    key: () => type(map.keyType, "key"),
    value: () => type(map.valueType, "value"),
    record,
    input: () => {
      const read = record();
      return catalog === undefined ? read : catalog.inputOf(read);
    },
  });
  const written = catalog === undefined ? generic : accepting(map, generic, catalog);
  const size = mapSize(map);
  const constant = mapTypeConstant(map.type);
  return (
    doc(map.maxEntries === 0 ? `${constant}.` : `${constant}, ${size}.`, "    ") +
    property(`readonly ${propertyName(map.name)}`, written, "    ")
  );
}

/** A map with a union in its key or value takes those with one of the union's members; with a lock, those without it. */
function accepting(map: MapDescription, read: GenericType, catalog: TypeCatalog): GenericType {
  if (!isKeyed(map.type)) {
    const [part] = mapParts(map);
    const [type = ""] = read.parameters;
    if (part === undefined || catalog.inputOf(type) === type) return read;
    const name = part === "value" ? "AcceptingValue" : "AcceptingKey";
    return { name, parameters: [`${read.name}<${type}>`, catalog.inputOf(type)] };
  }
  const value = read.parameters[read.parameters.length - 1] as string;
  const key = read.parameters.length === 2 ? (read.parameters[0] as string) : "number";
  const inputs = [catalog.inputOf(key), catalog.inputOf(value)] as const;
  if (inputs[0] === key && inputs[1] === value) return read;
  // One value for each CPU.
  const taken = isPerCpu(map.type) ? `${inputs[1]}[]` : inputs[1];
  return { name: "Accepting", parameters: [`${read.name}<${read.parameters.join(", ")}>`, inputs[0], taken] };
}

function sectionInterface(section: Section, object: ObjectDescription, catalog: TypeCatalog | undefined): string {
  const variables = section.variables.map((variable) => variableProperty(variable, object, catalog));
  return `${doc(sectionDoc(section.name), "")}export interface ${section.interfaceName} {\n${variables.join("")}}\n\n`;
}

function variableProperty(
  variable: GlobalVariable,
  object: ObjectDescription,
  catalog: TypeCatalog | undefined,
): string {
  const { btf } = object;
  if (btf === undefined || catalog === undefined) return "";
  const shape = variableShape(btf, variable);
  const note = noteOf(shape);
  const type = catalog.typeOf(variable.type, variable.name, shape);
  return (
    doc(`\`${describeVariable(btf, variable.type)}\`, ${bytes(variable.size)} at ${variable.offset}${note}.`, "  ") +
    liveProperty(variable.name, type, catalog.liveOf(type), catalog.inputOf(type))
  );
}

/** A variable, or a member of one: where a union is in it, it takes less than it gives. */
function liveProperty(name: string, type: string, live: string, input: string): string {
  const key = propertyName(name);
  return input === type
    ? property(key, { name: live, parameters: [] }, "  ")
    : `  get ${key}(): ${live};\n  set ${key}(value: ${input});\n`;
}

/** Without the `const volatile` in front, which says what the section says already; of a pointer it says what it points to. */
function describeVariable(btf: Btf, id: number): string {
  const type = btf.describe(id);
  return btf.kind(btf.resolve(id)) === "ptr" ? type : type.replace(/^(const |volatile )+/, "");
}

function sectionDoc(section: string): string {
  if (section === ".kconfig")
    return "`extern __kconfig` variables: the kernel's configuration, or what `open({ kconfig })` says.";
  if (section === ARENA_SECTION) return `Variables in the object's arena (${section}); there from \`load()\` on.`;
  if (section.startsWith(".rodata"))
    return `Constants in ${section}: set on the opened object, read-only from \`load()\` on.`;
  if (section.startsWith(".bss")) return `Variables in ${section}, zero at first; live from \`load()\` on.`;
  return `Variables in ${section}; live from \`load()\` on.`;
}

function shapeInterface(
  name: string,
  object: ObjectDescription,
  mapLines: string,
  sections: readonly Section[],
  structs: readonly (readonly [string, string])[],
): string {
  const block = (key: string, lines: string) =>
    lines === "" ? `  readonly ${key}: Record<never, never>;\n` : `  readonly ${key}: {\n${lines}  };\n`;
  const programs = object.programs.map(({ name: own, section }) =>
    property(`readonly ${propertyName(own)}`, { name: "ProgramOf", parameters: [JSON.stringify(section)] }, "    "),
  );
  const sectionLines = sections.map(
    (section) => `    readonly ${JSON.stringify(section.name)}: ${section.interfaceName};\n`,
  );
  const typeLines = structs.map(([inC, type]) =>
    property(`readonly ${JSON.stringify(inC)}`, { name: type, parameters: [] }, "    "),
  );
  return (
    doc("What the object has, by its C names.", "") +
    `export interface ${name}Object extends ObjectShape {\n` +
    block("programs", programs.join("")) +
    block("maps", mapLines) +
    block("sections", sectionLines.join("")) +
    (typeLines.length === 0
      ? ""
      : doc("What records can be said to be of a map whose declaration does not say it.", "  ") +
        block("types", typeLines.join(""))) +
    "}\n"
  );
}

function skeletonClass(name: string, object: ObjectDescription, options: GenerateOptions): string {
  const { file, embed } = options;
  const stem = file.replace(/\.o$/, "");
  const source =
    embed === undefined ? `new URL(${JSON.stringify(options.path ?? `./${file}`)}, import.meta.url)` : "EMBEDDED";
  const data =
    embed === undefined
      ? ""
      : `/** ${file}, ${bytes(embed.byteLength)}. */\nconst EMBEDDED: string =\n  ${JSON.stringify(Buffer.from(embed).toString("base64"))};\n\n`;
  return `${doc(`${file}, opened: programs are chosen, maps sized and constants set here, then \`load()\`.`, "")}export type Opened${name} = OpenedObject<${name}Object, ${name}>;

${data}${doc(`${file} in the kernel. Closing it closes its links, streams and maps.`, "")}export class ${name} extends LoadedObject<${name}Object> {
  /** Parses the object; nothing of it is in the kernel yet. */
  static open(options: OpenOptions<${name}Object> = {}): Opened${name} {
    return openSkeleton(${name}, options, {
      file: ${JSON.stringify(file)},
      name: ${JSON.stringify((stem.split(".", 1)[0] as string).replace(/[^A-Za-z0-9_]/g, "_"))},
      ${embed === undefined ? "url" : "embedded"}: ${source},
      fingerprint: ${JSON.stringify(fingerprint(object))},
    });
  }

  /** Opens and loads. */
  static async load(options: OpenOptions<${name}Object> = {}): Promise<${name}> {
    return ${name}.open(options).load();
  }
}
`;
}
