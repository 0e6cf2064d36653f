/** Names that a just-in-time compiler wrote for perf: /tmp/perf-PID.map (linux/tools/perf/Documentation/jit-interface.txt). */
import { covering } from "./covering.js";
import type { FoundFunction } from "./elf_file.js";

export class PerfMap {
  readonly #starts: BigUint64Array;
  readonly #ends: BigUint64Array;
  /** The furthest end of those up to this one. */
  readonly #reaches: BigUint64Array;
  /** What was written later is what is there now: code moves, and its place is used again. */
  readonly #lines: Uint32Array;
  readonly #names: readonly string[];

  /** Lines of `start size name`, the numbers in hex; others are passed over. */
  constructor(text: string) {
    const found: { start: bigint; end: bigint; name: string; line: number }[] = [];
    for (const line of text.split("\n")) {
      const [, start, size, name] = /^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,16}) (.+)$/i.exec(line) ?? [];
      if (start === undefined || size === undefined || name === undefined) continue;
      const first = BigInt(`0x${start}`);
      const end = first + BigInt(`0x${size}`);
      if (end > first && end < 1n << 64n) found.push({ start: first, end, name, line: found.length });
    }
    found.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.line - b.line));
    this.#starts = BigUint64Array.from(found, ({ start }) => start);
    this.#ends = BigUint64Array.from(found, ({ end }) => end);
    this.#lines = Uint32Array.from(found, ({ line }) => line);
    this.#names = found.map(({ name }) => name);
    let reach = 0n;
    this.#reaches = this.#ends.map((end) => {
      if (end > reach) reach = end;
      return reach;
    });
  }

  find(address: bigint): FoundFunction | undefined {
    let latest: number | undefined;
    for (const i of covering(this.#starts, this.#reaches, (at) => this.#ends[at] as bigint, address))
      if (latest === undefined || (this.#lines[i] as number) > (this.#lines[latest] as number)) latest = i;
    if (latest === undefined) return undefined;
    return { name: this.#names[latest] as string, offset: Number(address - (this.#starts[latest] as bigint)) };
  }
}
