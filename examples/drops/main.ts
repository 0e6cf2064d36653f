/**
 * Packets that the kernel drops, counted by reason, network namespace and who dropped them. Needs Linux 5.17, and BPF programs of type tracing.
 *
 *   node build/examples/drops/main.js [--netns NAME] [--json]
 *
 * The reasons are named by the BTF of the kernel that runs, and the stacks by its symbols: the program is compiled once and knows neither.
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { kernelBtf, kernelSymbols, untilInterrupted } from "ebpf";
import { type NetNamespaceRef, netnsInode } from "ebpf/net";
import { Drops } from "./drops.bpf.js";

export interface Dropped {
  readonly count: number;
  /** As the kernel calls it, without `SKB_DROP_REASON_`. */
  readonly reason: string;
  /** Inode of the network namespace; 0 where the packet belonged to none (yet). */
  readonly netns: number;
  /** As in the Ethernet header: 0x0800 is IPv4. */
  readonly protocol: number;
  /** Kernel functions, innermost first, of the program itself too. */
  readonly stack: readonly string[];
}

/** Counts until the object that it returns is closed; of one network namespace, or of all. */
export async function watchDrops(netns?: NetNamespaceRef): Promise<Drops> {
  const opened = Drops.open();
  if (netns !== undefined) opened.rodata.only_netns = netnsInode(netns);
  const drops = await opened.load();
  drops.attach();
  return drops;
}

/** What was counted so far, most first. */
export function readDrops(drops: Drops): Dropped[] {
  const reasons = kernelBtf().enumerators("skb_drop_reason");
  const symbols = kernelSymbols();
  const { stacks, drops: counts } = drops.maps;
  return [...counts]
    .map(([{ reason, netns, protocol, stack }, count]) => ({
      count,
      reason: reasons.get(reason)?.replace("SKB_DROP_REASON_", "") ?? `reason ${reason}`,
      netns,
      protocol,
      stack: (stacks.get(stack) ?? []).map((address) => symbols.describe(address)),
    }))
    .sort((a, b) => b.count - a.count);
}

/** Namespaces that ip-netns(8) knows, by inode. */
function netnsNames(): Map<number, string> {
  const names = new Map([[netnsInode("/proc/self/ns/net"), "this one"]]);
  try {
    for (const name of readdirSync("/run/netns")) names.set(netnsInode(name), name);
  } catch {
    // There are none, or one went away meanwhile: its inode does.
  }
  return names;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { netns: { type: "string" }, json: { type: "boolean", default: false } } });
  using drops = await watchDrops(values.netns);
  const interrupted = untilInterrupted();
  console.error("watching dropped packets; Ctrl-C ends it");
  await interrupted;
  const names = netnsNames();
  for (const dropped of readDrops(drops)) {
    if (values.json) {
      console.log(JSON.stringify(dropped));
      continue;
    }
    const { count, reason, netns, protocol, stack } = dropped;
    console.log(`${count} x ${reason}, protocol 0x${protocol.toString(16)}, namespace ${names.get(netns) ?? netns}`);
    for (const frame of stack) console.log(`    ${frame}`);
  }
  if (drops.bss.not_counted > 0) console.error(`${drops.bss.not_counted} more had no room`);
}
