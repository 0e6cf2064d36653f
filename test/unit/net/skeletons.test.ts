/** The skeletons that the ready-made programs are used through are those of the objects that are built now. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { gen } from "../../../lib/cli/gen.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));

describe("shipped skeletons", () => {
  test.each([
    ["nf_verdicts", "NfVerdictsBpf"],
    ["tcp_flows", "TcpFlowsBpf"],
  ])("lib/net/%s.bpf.ts is up to date (else: npm run gen)", (name, className) => {
    let text = "";
    const stream = { write: (part: string) => (text += part) };
    // Written to standard output, paths are relative to here; beside the module they are relative to lib/net.
    gen(relative(process.cwd(), `${root}bpf/${name}.bpf.o`), { output: "-", class: className }, {
      stdout: stream,
      stderr: stream,
    } as unknown as Parameters<typeof gen>[2]);
    const expected = text.replace(/new URL\("[^"]*"/, `new URL("../../bpf/${name}.bpf.o"`);
    expect(readFileSync(`${root}lib/net/${name}.bpf.ts`, "utf8")).toBe(expected);
  });
});
