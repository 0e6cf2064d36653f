/** What makes a skeleton stale: every change of what it says, and no other. */
import { beforeAll, describe, expect, test } from "vitest";
import { build } from "../../../lib/build/index.js";
import { fingerprint } from "../../../lib/skeleton/fingerprint.js";
import { describeBytes } from "./support/generate.js";

const SOURCE = `
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <ebpf/events.h>
#include <ebpf/number.h>
#include <ebpf/address.h>
enum kind { FIRST = 1, SECOND };
struct inner { __u16 small; __u16 other; };
struct record { __u64 time; enum kind kind; struct inner inner; __u32 at; __u32 low : 4, high : 28; char name[8]; };
EBPF_RINGBUF(events, struct record, 65536);
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); __type(key, __u32); __type(value, struct record); } table SEC(".maps");
const volatile __u32 only = 0;
__u64 seen;
static __u64 hidden;
SEC("xdp") int look(struct xdp_md *ctx) { hidden++; seen += only + hidden; return 2; }
SEC("tc") int other(struct __sk_buff *skb) { return 0; }
char _license[] SEC("license") = "GPL";
`;

async function fingerprintOf(code: string): Promise<string> {
  return fingerprint(describeBytes((await build({ code })).object));
}

function changed(from: string, to: string): string {
  expect(SOURCE).toContain(from);
  return SOURCE.replaceAll(from, to);
}

let original: string;
beforeAll(async () => {
  original = await fingerprintOf(SOURCE);
}, 60_000);

describe("a skeleton is stale when", { timeout: 60_000 }, () => {
  test.for([
    ["a member has another type", "__u64 time;", "__s64 time;"],
    ["a member has another name", "__u64 time;", "__u64 when;"],
    ["a member is a number now", "__u64 time;", "__u64 time EBPF_NUMBER;"],
    ["a member is an address now", "__u32 at;", "__u32 at EBPF_IPV4;"],
    ["a variable is an address now", "const volatile __u32 only", "const volatile __u32 only EBPF_IPV4"],
    ["members change places", "__u16 small; __u16 other;", "__u16 other; __u16 small;"],
    ["a member is added", "char name[8];", "char name[8]; __u32 more;"],
    ["text is longer", "char name[8];", "char name[16];"],
    ["a bit-field is wider", "low : 4, high : 28", "low : 5, high : 27"],
    ["an enum has another value", "SECOND }", "SECOND = 7 }"],
    ["an enum has one more", "SECOND }", "SECOND, THIRD }"],
    ["a key has another type", "__type(key, __u32)", "__type(key, __s32)"],
    ["a value has another type", "__type(value, struct record)", "__type(value, struct inner)"],
    ["a map has another type", "BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_LRU_HASH"],
    ["a map has another name", "} table SEC", "} tables SEC"],
    ["a ring has other records", "events, struct record", "events, struct inner"],
    ["a variable has another type", "__u64 seen;", "__s64 seen;"],
    ["a variable is in another section", "__u64 seen;", '__u64 seen SEC(".bss.more");'],
    ["a variable is its file's own", "__u64 seen;", "static volatile __u64 seen;"],
    ["a program has another section", 'SEC("tc")', 'SEC("socket")'],
    ["a program is loaded on request", 'SEC("tc")', 'SEC("?tc")'],
    ["a program has another name", "int other(", "int another("],
  ] as const)("%s", async ([, from, to]) => {
    expect(await fingerprintOf(changed(from, to))).not.toBe(original);
  });
});

describe("a skeleton is not stale when", { timeout: 60_000 }, () => {
  test.for([
    ["code changes", "return 2;", "seen *= 3; return 1;"],
    ["a variable begins with another value", "const volatile __u32 only = 0;", "const volatile __u32 only = 9;"],
    ["a map has room for more", "max_entries, 16", "max_entries, 32"],
    ["its file's own variables change", "static __u64 hidden;", "static __u32 hidden;"],
    ["types come in another order", "enum kind {", "struct inner; enum kind {"],
  ] as const)("%s", async ([, from, to]) => {
    expect(await fingerprintOf(changed(from, to))).toBe(original);
  });
});
