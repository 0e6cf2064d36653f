import type { Codec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { MapFlag } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { checkOptions } from "../options.js";
import { BpfMap, type MapShape } from "./bpf_map.js";

/** Options of {@link QueueMap.push}. */
export interface PushOptions {
  /** When it is full, the oldest value gives way (BPF_EXIST) in place of an error. */
  readonly replaceOldest?: boolean | undefined;
}

/** What queues and stacks have in common: values without keys. */
export abstract class KeylessMap<V> extends BpfMap {
  readonly #value: Memory;
  readonly #values: Codec<V>;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, values: Codec<V>) {
    super(native, shape);
    this.#values = values;
    this.#value = Memory.allocate(Math.max(shape.valueSize, 1));
    // There is no key, but bind wants memory for one.
    native.bind(new ArrayBuffer(8), new ArrayBuffer(8), this.#value.buffer);
  }

  /**
   * Adds a value.
   * @throws BpfError VALUE_INVALID, FULL, CLOSED
   */
  push(value: V, options?: PushOptions): this {
    const { native } = this;
    let flags: number = MapFlag.any;
    if (options !== undefined) {
      checkOptions(`${this.name}.push`, options, { replaceOldest: "boolean" });
      if (options.replaceOldest) flags = MapFlag.exist;
    }
    this.#values.encode(this.#value, 0, value);
    const result = native.update(flags);
    if (result !== 0) throw this.failure("push", result);
    return this;
  }

  /** Removes the next value and returns it; undefined when there is none. */
  pop(): V | undefined {
    return this.#found("pop", this.native.lookupAndDelete(0));
  }

  /** The next value, which stays; undefined when there is none. */
  peek(): V | undefined {
    return this.#found("peek", this.native.lookup(0));
  }

  /** Pops until nothing is left. What is pushed meanwhile comes too. */
  *drain(): IterableIterator<V> {
    for (;;) {
      const result = this.native.lookupAndDelete(0);
      if (result === -errno.ENOENT) return;
      yield this.#found("pop", result) as V;
    }
  }

  /** Removes every value that is there now. */
  clear(): void {
    for (let i = 0; i < this.maxEntries; i++) {
      const result = this.native.lookupAndDelete(0);
      if (result === -errno.ENOENT) return;
      if (result !== 0) throw this.failure("pop", result);
    }
  }

  #found(operation: string, result: number): V | undefined {
    if (result === 0) return this.#values.decode(this.#value, 0, this.valueSize);
    if (result === -errno.ENOENT) return undefined;
    throw this.failure(operation, result);
  }
}

/**
 * BPF_MAP_TYPE_QUEUE: first in, first out. Minimum kernel 4.20.
 *
 * @example
 * ```ts
 * import { openMap, QueueMap } from "ebpf";
 * using ports = openMap("/sys/fs/bpf/ports", QueueMap<number>);
 * for (let port = 40000; port < 40010; port++) ports.push(port);
 * console.log(ports.peek()); // 40000
 * ```
 */
export class QueueMap<V> extends KeylessMap<V> {}

/** BPF_MAP_TYPE_STACK: last in, first out. Minimum kernel 4.20. */
export class StackMap<V> extends KeylessMap<V> {}
