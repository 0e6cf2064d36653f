#!/usr/bin/env node
/**
 * Writes docs/api.md: everything that the package exports, with the first sentence of its documentation and what it has.
 */
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "docs/api.md");

/** What can be imported, and the file that says what is in it. */
const ENTRIES = [
  { name: "ebpf", file: "lib/index.ts" },
  { name: "ebpf/net", file: "lib/net/index.ts" },
  { name: "ebpf/build", file: "lib/build/index.ts" },
  { name: "ebpf/skeleton", file: "lib/skeleton/index.ts" },
];

/** Headings for the rooms of lib/, in the order in which users come to them; what is not here comes last, by its own name. */
const ROOMS = {
  object: "Objects",
  program: "Programs and attaching",
  link: "Links",
  map: "Maps",
  events: "Streams of events",
  histogram: "Histograms",
  symbols: "Names of functions in processes",
  kernel: "The kernel",
  features: "What the kernel can do",
  btf: "BTF",
  codec: "Values and bytes",
  errors: "Errors",
  interrupted: "Waiting",
};

/** Longer types are told by their beginning. */
const MOST_TYPE = 200;

/** @returns {string} the text of docs/api.md */
export function apiIndex() {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const program = ts.createProgram(
    ENTRIES.map(({ file }) => join(root, file)),
    { ...options, noEmit: true },
  );
  const checker = program.getTypeChecker();
  const parts = [
    "# What the package exports",
    "",
    "<!-- Made by `node scripts/api-index.mjs` from the library's own documentation: change it there. -->",
    "",
    "Each name with the first sentence of its documentation, which an editor shows whole: units, byte order, minimum kernel, errors, examples. Classes",
    "have what the class has that they extend, too.",
    "",
  ];
  const seen = new Set();
  for (const { name, file } of ENTRIES) {
    const source = program.getSourceFile(join(root, file));
    const module = source && checker.getSymbolAtLocation(source);
    if (!module) throw new Error(`${file} exports nothing`);
    const exported = checker.getExportsOfModule(module).map((symbol) => describe(checker, symbol));
    parts.push(`## \`import { ... } from "${name}"\``, "");
    for (const [title, all] of grouped(name, exported)) {
      if (title !== "") parts.push(`### ${title}`, "");
      for (const { symbol, lines, where } of all) {
        if (seen.has(symbol)) continue;
        seen.add(symbol);
        parts.push(...lines.map((line) => line.replace("WHERE", `../${where}`)), "");
      }
    }
  }
  return parts.join("\n");
}

/** By room where there are several: `[title, exports by their names]`. */
function grouped(entry, exported) {
  const sorted = exported.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  if (entry !== "ebpf") return [["", sorted]];
  const known = Object.keys(ROOMS);
  const rooms = groupBy(sorted);
  const order = (room) => (known.includes(room) ? known.indexOf(room) : known.length);
  return [...rooms]
    .sort(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1))
    .map(([room, all]) => [ROOMS[room] ?? room, all]);
}

function groupBy(all) {
  const rooms = new Map();
  for (const each of all) rooms.set(each.room, [...(rooms.get(each.room) ?? []), each]);
  return rooms;
}

/** What is said of one export. */
function describe(checker, exported) {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
  const declarations = symbol.declarations ?? [];
  const [first] = declarations;
  if (first === undefined) throw new Error(`${exported.name} has no declaration`);
  const where = relative(root, first.getSourceFile().fileName);
  const room = where.split("/").length > 2 ? where.split("/")[1] : where.split("/")[1].replace(/\.ts$/, "");
  const { head, members } = bodyOf(checker, exported.name, declarations);
  const said = summary(checker, symbol);
  const lines = [`**[\`${exported.name}\`](WHERE)** ${head}${said === "" ? "" : `  \n${said}`}`];
  if (members.length > 0) lines.push("", ...members);
  return { symbol, name: exported.name, where, room, lines };
}

function bodyOf(checker, name, declarations) {
  const [first] = declarations;
  if (ts.isClassDeclaration(first)) {
    return { head: `class ${code(name + parameters(first) + heritage(first))}`, members: membersOf(checker, first) };
  }
  if (ts.isInterfaceDeclaration(first)) {
    const members = declarations.filter(ts.isInterfaceDeclaration).flatMap((each) => membersOf(checker, each));
    return { head: `interface ${code(name + parameters(first) + heritage(first))}`, members };
  }
  if (ts.isTypeAliasDeclaration(first)) {
    return { head: `type ${code(`${name}${parameters(first)} = ${text(first.type)}`)}`, members: [] };
  }
  if (ts.isFunctionDeclaration(first)) {
    const signatures = overloads(declarations.filter(ts.isFunctionDeclaration));
    return {
      head: "function",
      members: signatures.map((each) => `- ${code(name + signature(checker, each))}`),
    };
  }
  if (!ts.isVariableDeclaration(first)) throw new Error(`${name}: this script does not know such a declaration`);
  // An object that only groups functions is told by what it has.
  const literal = literalOf(first.initializer);
  if (literal !== undefined)
    return { head: "object", members: literal.properties.flatMap((each) => propertyOf(checker, each)) };
  return { head: `constant ${code(`${name}: ${inferred(checker, first)}`)}`, members: [] };
}

/** Of an overloaded function what can be called: not the one that has the body. */
function overloads(declarations) {
  const without = declarations.filter(({ body }) => body === undefined);
  return without.length > 0 ? without : declarations;
}

function membersOf(checker, declaration) {
  const byName = new Map();
  for (const member of declaration.members) {
    if (!isPublic(member)) continue;
    const name = member.name === undefined ? "constructor" : member.name.getText();
    byName.set(name, [...(byName.get(name) ?? []), member]);
  }
  return [...byName].flatMap(([name, all]) => {
    const callable = all.filter(
      (each) => ts.isMethodDeclaration(each) || ts.isMethodSignature(each) || ts.isConstructorDeclaration(each),
    );
    const shown = callable.length > 0 ? overloads(callable) : [all[0]];
    const documented = all.find((each) => ts.getJSDocCommentsAndTags(each).length > 0) ?? all[0];
    const said = commentOf(documented);
    return shown.map(
      (each, i) => `- ${code(memberText(checker, name, each))}${i === 0 && said !== "" ? `: ${said}` : ""}`,
    );
  });
}

/** `{ ... }`, also `Object.freeze({ ... })` and `{ ... } as const`. */
function literalOf(node) {
  if (node === undefined || ts.isObjectLiteralExpression(node)) return node;
  if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) return literalOf(node.expression);
  return ts.isCallExpression(node) && node.arguments.length === 1 ? literalOf(node.arguments[0]) : undefined;
}

function propertyOf(checker, property) {
  const name = property.name.getText();
  const said = commentOf(property);
  const called = checker.getTypeAtLocation(property.name).getCallSignatures();
  const shown =
    called.length === 0
      ? [`${name}: ${inferred(checker, property)}`]
      : called.map((each) => name + checker.signatureToString(each, property, ts.TypeFormatFlags.NoTruncation));
  return shown.map((each, i) => `- ${code(each)}${i === 0 && said !== "" ? `: ${said}` : ""}`);
}

function memberText(checker, name, member) {
  const is = (kind) => member.modifiers?.some((modifier) => modifier.kind === kind) ?? false;
  const prefix = is(ts.SyntaxKind.StaticKeyword) ? "static " : "";
  if (ts.isConstructorDeclaration(member)) return `new (${member.parameters.map(text).join(", ")})`;
  if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member))
    return `${prefix}${name}${member.questionToken ? "?" : ""}${signature(checker, member)}`;
  if (ts.isSetAccessor(member)) return `${prefix}set ${name}(${member.parameters.map(text).join(", ")})`;
  const mark = member.questionToken === undefined ? "" : "?";
  return `${prefix}${name}${mark}: ${member.type === undefined ? inferred(checker, member) : cut(text(member.type))}`;
}

function signature(checker, declaration) {
  const returned =
    declaration.type === undefined
      ? checker.typeToString(checker.getReturnTypeOfSignature(checker.getSignatureFromDeclaration(declaration)))
      : text(declaration.type);
  return `${parameters(declaration)}(${declaration.parameters.map(text).join(", ")}): ${returned}`;
}

function inferred(checker, member) {
  return cut(checker.typeToString(checker.getTypeAtLocation(member), member, ts.TypeFormatFlags.NoTruncation));
}

/** Not private, protected, `#name`, or marked as the library's own. */
function isPublic(member) {
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return false;
  if (ts.isClassStaticBlockDeclaration(member) || ts.isSemicolonClassElement(member)) return false;
  const hidden = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];
  if (member.modifiers?.some(({ kind }) => hidden.includes(kind))) return false;
  return !ts.getJSDocTags(member).some(({ tagName }) => tagName.text === "internal");
}

/** `<K, V>`, as it is declared. */
function parameters(declaration) {
  const list = declaration.typeParameters ?? [];
  return list.length === 0 ? "" : `<${list.map(text).join(", ")}>`;
}

function heritage(declaration) {
  return (declaration.heritageClauses ?? []).map((clause) => ` ${text(clause).trim()}`).join("");
}

const printer = ts.createPrinter({ removeComments: true });

/** A node as it is written, on one line and without its comments. */
function text(node) {
  return printer
    .printNode(ts.EmitHint.Unspecified, node, node.getSourceFile())
    .replace(/\s+/g, " ")
    .replace(/\[ (?=\S)/g, "[")
    .replace(/(?<=\S) \]/g, "]")
    .replace(/^\| /, "")
    .replace(/([(<]) \| /g, "$1");
}

function cut(type) {
  return type.length <= MOST_TYPE ? type : `${type.slice(0, MOST_TYPE)} ...`;
}

function code(source) {
  return `\`${cut(source).replaceAll("`", "'")}\``;
}

function summary(checker, symbol) {
  return sentence(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
}

function commentOf(node) {
  const [doc] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  return sentence(ts.getTextOfJSDocComment(doc?.comment) ?? "");
}

/** The first sentence, on one line. */
function sentence(comment) {
  const [paragraph = ""] = comment.split(/\n\s*\n|\n\s*\|/);
  const line = paragraph
    .replace(/\{@link\s+([^}]+?)\s*\}/g, (_, name) => `\`${name}\``)
    .replace(/\s+/g, " ")
    .trim();
  // Not after an abbreviation, a number or within parentheses that go on.
  const end = /^.*?[^.\s](?:[.:](?= [A-Z`"]|$)|$)/.exec(line)?.[0] ?? line;
  return end.replace(/[.:]$/, "");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, apiIndex());
