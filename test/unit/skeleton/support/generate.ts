import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { Btf } from "../../../../lib/btf/btf.js";
import { build } from "../../../../lib/build/index.js";
import { native } from "../../../../lib/native.js";
import {
  describeObject,
  type GenerateOptions,
  generateSkeleton,
  type ObjectDescription,
} from "../../../../lib/skeleton/index.js";

/** The path of a file in test/unit/skeleton/cases. */
export function casePath(name: string): string {
  return fileURLToPath(new URL(`../cases/${name}`, import.meta.url));
}

/** An object's bytes, described; libbpf opens it, and nothing is loaded. */
export function describeBytes(object: Uint8Array): ObjectDescription {
  const opened = new (native().Object)(object, { name: "test" });
  try {
    const bytes = opened.btf();
    return describeObject({ programs: opened.programs, maps: opened.maps }, bytes && Btf.parse(bytes));
  } finally {
    opened.close();
  }
}

/** The skeleton of C code. */
export async function skeletonOf(code: string, options: Partial<GenerateOptions> = {}): Promise<string> {
  const { object } = await build({ code });
  return generateSkeleton(describeBytes(object), { file: "test.bpf.o", ...options });
}

/** The skeleton of a source file in cases/. */
export async function skeletonOfCase(name: string, options: Partial<GenerateOptions> = {}): Promise<string> {
  const { object } = await build({ file: casePath(`${name}.bpf.c`) });
  return generateSkeleton(describeBytes(object), { file: `${basename(name)}.bpf.o`, ...options });
}

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));

/** What the compiler says of modules under the strictest options there are. */
export function diagnosticsOf(files: readonly string[]): string[] {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
    module: ts.ModuleKind.NodeNext,
    types: ["node"],
    noEmit: true,
    declaration: true,
    skipLibCheck: true,
    strict: true,
    allowUnreachableCode: false,
    allowUnusedLabels: false,
    erasableSyntaxOnly: true,
    exactOptionalPropertyTypes: true,
    isolatedDeclarations: true,
    isolatedModules: true,
    noFallthroughCasesInSwitch: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noPropertyAccessFromIndexSignature: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
    paths: { ebpf: [`${ROOT}/lib/index.ts`], "ebpf/skeleton": [`${ROOT}/lib/skeleton/index.ts`] },
  });
  // The library is compiled by its own options, which are less: its declarations need not be isolated.
  const diagnostics = files.flatMap((path) => {
    const file = program.getSourceFile(path);
    return [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
      ...program.getDeclarationDiagnostics(file),
    ];
  });
  return [...diagnostics, ...program.getGlobalDiagnostics()].map(
    ({ file, start, messageText }) =>
      `${file?.fileName}:${start}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
  );
}
