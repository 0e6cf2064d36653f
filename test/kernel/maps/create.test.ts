import { createMap } from "ebpf";
import { test, expect } from "vitest";
test("x", () => {
  using m = createMap({ type: "hash", name: "ports", key: "u16", value: "u64", maxEntries: 1024 });
  m.set(443, 5n); m.set(1, 2n);
  expect([...m].sort()).toEqual([[1, 2n],[443, 5n]]);
  console.log(m.info());
  using t = createMap({ type: "lpm_trie", key: "ipv4", value: "char[16]", maxEntries: 64 });
  t.set("10.0.0.0/8", "internal");
  console.log(t.get("10.1.2.3"), [...t], t.info());
});
