import { fileURLToPath } from "node:url";

/** The path of a compiled fixture: test/fixtures/<name>.bpf.o. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/${name}.bpf.o`, import.meta.url));
}
