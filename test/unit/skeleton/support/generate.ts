import { basename } from "node:path";
import { fileURLToPath } from "node:url";
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
export async function skeletonOfCase(name: string): Promise<string> {
  const { object } = await build({ file: casePath(`${name}.bpf.c`) });
  return generateSkeleton(describeBytes(object), { file: `${basename(name)}.bpf.o` });
}
