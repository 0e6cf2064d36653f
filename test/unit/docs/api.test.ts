/** docs/api.md is what the library says of itself. */
import { readFileSync } from "node:fs";
import * as ebpf from "ebpf";
import * as build from "ebpf/build";
import * as net from "ebpf/net";
import { expect, test } from "vitest";
import { apiIndex } from "../../../scripts/api-index.mjs";

const file = new URL("../../../docs/api.md", import.meta.url);

test("docs/api.md is up to date", { timeout: 120_000 }, () => {
  expect(readFileSync(file, "utf8") === apiIndex(), "node scripts/api-index.mjs writes docs/api.md again").toBe(true);
});

test("it has whatever can be imported", () => {
  const text = readFileSync(file, "utf8");
  for (const name of [ebpf, net, build].flatMap(Object.keys)) expect(text).toContain(`**[\`${name}\`](../lib/`);
  // A class with what it has, its documentation's first sentence, and nothing that is its own.
  expect(text).toMatch(
    /\*\*\[`StackTraceMap`\]\(\.\.\/lib\/map\/stack_trace_map\.ts\)\*\* class `StackTraceMap extends KeyMap<number> implements Iterable<\[number, bigint\[\]\]>` {2}\nBPF_MAP_TYPE_STACK_TRACE: stacks by the ids that bpf_get_stackid\(\) gave\n\n- `maxDepth: number`: Frames that a stack has at most\n/,
  );
  expect(text).not.toMatch(/@internal|^- `(static )?#|import\("/m);
});
