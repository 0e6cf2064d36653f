/** Names for kernel addresses, from /proc/kallsyms. */
import { readFileSync } from "node:fs";
import { BpfError } from "../errors.js";

/** A symbol that an address lies in. */
export interface KernelSymbol {
  readonly name: string;
  /** Bytes from the symbol's start. */
  readonly offset: number;
  /** The module it is in; undefined for the kernel itself. */
  readonly module: string | undefined;
}

/** The kernel's functions by address, as they were when it was made: modules and BPF programs come and go. */
export class KernelSymbols {
  readonly #addresses: BigUint64Array;
  readonly #names: readonly string[];

  /** Takes the lines of /proc/kallsyms. */
  constructor(text: string) {
    const found: (readonly [address: bigint, name: string])[] = [];
    for (const line of text.split("\n")) {
      // "ffffffff81000000 T name\t[module]"; other types are data.
      const type = line.charAt(17);
      if (type !== "t" && type !== "T" && type !== "w" && type !== "W") continue;
      found.push([BigInt(`0x${line.slice(0, 16)}`), line.slice(19)]);
    }
    found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#addresses = BigUint64Array.from(found, ([address]) => address);
    this.#names = found.map(([, name]) => name);
  }

  get size(): number {
    return this.#names.length;
  }

  /** The function that an address lies in; undefined for one before all of them. */
  find(address: bigint): KernelSymbol | undefined {
    const at = lastNotAbove(this.#addresses, address);
    if (at === -1) return undefined;
    const [name = "", module] = (this.#names[at] as string).split("\t");
    const offset = Number(address - (this.#addresses[at] as bigint));
    return { name, offset, module: module?.replace(/^\[|\]$/g, "") };
  }

  /** `tcp_sendmsg+0x27`, `nf_hook [nf_tables]+0x10`, or the address in hex. */
  describe(address: bigint): string {
    const found = this.find(address);
    if (found === undefined) return `0x${address.toString(16)}`;
    return `${found.name}${found.module === undefined ? "" : ` [${found.module}]`}+0x${found.offset.toString(16)}`;
  }
}

/**
 * The running kernel's functions. Some 100,000 lines are read: keep what this returns.
 * @throws BpfError PERMISSION_DENIED when the kernel hides its addresses from this user (kernel.kptr_restrict)
 */
export function kernelSymbols(): KernelSymbols {
  const symbols = new KernelSymbols(readFileSync("/proc/kallsyms", "latin1"));
  if (symbols.find(0n) !== undefined) {
    throw new BpfError({
      code: "PERMISSION_DENIED",
      message: "the kernel shows this user no addresses (/proc/kallsyms): run as root, or see kernel.kptr_restrict",
    });
  }
  return symbols;
}

/** The index of the last address that is not above `address`; -1 when all are. */
export function lastNotAbove(addresses: BigUint64Array, address: bigint): number {
  let low = 0;
  let high = addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((addresses[middle] as bigint) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
