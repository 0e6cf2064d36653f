import type { BtfKind, BtfType } from "./types.js";

/** Types visited after which the rest is written as "...": BTF may be cyclic or absurdly wide, and people read this. */
const MAX_TYPES = 64;

/** The types that are described: a {@link Btf}. */
interface Types {
  type(id: number): BtfType;
  kind(id: number): BtfKind;
}

interface Budget {
  left: number;
}

/** A type as C declares it, without a name declared: see `Btf.describe`. */
export function describeType(btf: Types, id: number): string {
  return declare(btf, id, "", { left: MAX_TYPES }).trimEnd();
}

/** `inner` is what stands where the declared name would: C declarators nest inside out. */
function declare(btf: Types, id: number, inner: string, budget: Budget): string {
  if (budget.left-- <= 0) return `... ${inner}`;
  const type = btf.type(id);
  const named = (prefix: string): string => `${prefix}${type.name === "" ? "(anonymous)" : type.name} ${inner}`;
  switch (type.kind) {
    case "void":
      return `void ${inner}`;
    case "int":
    case "float":
    case "typedef":
    case "var":
    case "datasec":
    case "decl_tag":
      return named("");
    case "struct":
    case "union":
      return named(`${type.kind} `);
    case "fwd":
      return named(type.union ? "union " : "struct ");
    case "enum":
    case "enum64":
      return named("enum ");
    case "ptr": {
      const target = btf.kind(pastQualifiers(btf, type.type));
      const pointer = `*${inner}`;
      return declare(btf, type.type, target === "array" || target === "func_proto" ? `(${pointer})` : pointer, budget);
    }
    case "array":
      return declare(btf, type.element, `${inner.trimEnd()}[${type.length === 0 ? "" : type.length}]`, budget).replace(
        / (?=\[)/,
        "",
      );
    case "const":
    case "volatile":
    case "restrict": {
      // After the star for a pointer (`char *const`), before the name for anything else (`const char`).
      if (btf.kind(type.type) === "ptr") return declare(btf, type.type, `${type.kind} ${inner}`, budget);
      return `${type.kind} ${declare(btf, type.type, inner, budget)}`;
    }
    case "type_tag":
      return declare(btf, type.type, inner, budget);
    case "func":
      return declare(btf, type.type, type.name, budget);
    case "func_proto": {
      const parameters: string[] = [];
      for (const parameter of type.parameters) {
        if (budget.left <= 0) break;
        parameters.push(declare(btf, parameter.type, "", budget).trimEnd());
      }
      if (type.variadic || parameters.length < type.parameters.length) parameters.push("...");
      return declare(
        btf,
        type.returns,
        `${inner.trimEnd()}(${parameters.length === 0 ? "void" : parameters.join(", ")})`,
        budget,
      );
    }
  }
}

function pastQualifiers(btf: Types, id: number): number {
  let at = id;
  for (let depth = 0; depth < MAX_TYPES; depth++) {
    const type = btf.type(at);
    if (type.kind !== "const" && type.kind !== "volatile" && type.kind !== "restrict" && type.kind !== "type_tag")
      return at;
    at = type.type;
  }
  return at;
}
