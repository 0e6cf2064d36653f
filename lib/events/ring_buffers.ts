import { BpfError, closedError } from "../errors.js";
import type { MapOfMaps } from "../map/map_of_maps.js";
import { checkOptions, integer } from "../options.js";
import type { ReaderChoice } from "./reader_choice.js";
import type { RecordStream } from "./record_stream.js";
import type { RingBuffer } from "./ring_buffer.js";
import type { Wakeup } from "./wakeup.js";

/** What a map of rings is made of. @internal */
export interface RingsSource<K, T> {
  readonly name: string;
  /** Of each of its rings. */
  readonly wakeup: Wakeup;
  readonly reader: ReaderChoice;
  readonly rings: MapOfMaps<K>;
  /** Makes a ring of so many bytes, by default of as many as its declaration says, and puts it there. */
  add(key: K, bytes: number | undefined): void;
  /** A stream of the ring that is there now; undefined when there is none. `gone` is called when it is closed. */
  stream(key: K, gone: () => void): RingBuffer<T> | undefined;
  /** The ring, by its map's id, was taken away: from now on no program finds it. `streamed`: its counters are still asked for. */
  removed(key: K, id: number, streamed: boolean): void;
  /** After the streams. */
  close(): void;
  /** What programs sent to no ring; undefined where the BPF side does not count. */
  readonly unrouted: (() => number) | undefined;
}

export interface AddRingOptions {
  /** What the ring holds: a power of two and a multiple of the page size; by default what its declaration says. */
  readonly bytes?: number | undefined;
}

/**
 * BPF_MAP_TYPE_HASH_OF_MAPS or BPF_MAP_TYPE_ARRAY_OF_MAPS whose maps are ring buffers (minimum kernel 5.8): one for each tenant, say, or each
 * CPU. Each is a {@link RingBuffer} with an order, a size and losses of its own. All are watched by the one epoll of this thread's
 * event loop: a ring more is a descriptor more, not a thread or timer.
 *
 * Declared with `EBPF_RINGBUF_HASH` or `EBPF_RINGBUF_ARRAY` of `<ebpf/events.h>`, the record type is known from BTF, and what each ring had no room
 * for is counted. When their readers are woken is chosen before load for all of them, as for a single ring: `opened.ring("tenants").wakeup`.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * interface Query { pid: number; name: string }
 * using object = await BpfObject.load("dns.bpf.o");
 * const tenants = object.ringBuffers<number, Query>("tenants");
 * for (const tenant of [7, 8]) {
 *   const ring = tenants.add(tenant, { bytes: 1 << 20 });
 *   ring.on("event", (query) => console.log(tenant, query.name));
 *   ring.on("lost", ({ count }) => console.warn(`tenant ${tenant} lost ${count}`));
 * }
 * tenants.delete(8);
 * ```
 */
export class RingBuffers<K, T> implements Iterable<[K, RingBuffer<T>]>, Disposable {
  readonly name: string;
  readonly #source: RingsSource<K, T>;
  /** By the id of the ring's map: keys may be objects. */
  readonly #streams = new Map<number, RingBuffer<T>>();
  /** Streams of rings that were taken away. */
  readonly #leaving = new Set<RecordStream<T>>();
  #closed = false;

  /** @internal */
  constructor(source: RingsSource<K, T>) {
    this.#source = source;
    this.name = source.name;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** When the BPF side wakes the reader of each ring; chosen before load. */
  get wakeup(): Wakeup {
    return this.#source.wakeup;
  }

  /** Who empties the rings. */
  get reader(): ReaderChoice {
    return this.#source.reader;
  }

  /** Records that programs sent to keys without a ring; undefined where the BPF side does not count. @throws BpfError CLOSED */
  get unrouted(): number | undefined {
    this.#mustBeOpen();
    return this.#source.unrouted?.();
  }

  /**
   * Makes a ring and puts it there; programs find it from now on.
   * @throws BpfError EXISTS, FULL, INVALID_ARGUMENT, CLOSED
   */
  add(key: K, options: AddRingOptions = {}): RingBuffer<T> {
    checkOptions(`${this.name}.add`, options, { bytes: integer(1, 0x80000000) });
    this.#mustBeOpen();
    if (this.has(key))
      throw new BpfError({ code: "EXISTS", message: `${this.name}: there is a ring for this key already` });
    this.#source.add(key, options.bytes);
    return this.get(key) as RingBuffer<T>;
  }

  /**
   * The ring that is there, of whoever put it; the same stream each time until it is closed, and then one that counts from where that one ended. Undefined
   * when there is none.
   * @throws BpfError CLOSED
   */
  get(key: K): RingBuffer<T> | undefined {
    this.#mustBeOpen();
    const id = this.#source.rings.getId(key);
    if (id === undefined) return undefined;
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const stream = this.#source.stream(key, () => this.#streams.delete(id));
    if (stream !== undefined) this.#streams.set(id, stream);
    return stream;
  }

  has(key: K): boolean {
    this.#mustBeOpen();
    return this.#source.rings.has(key);
  }

  /**
   * Takes a ring away; false when there was none. When this returns no program writes it any more (a sleepable program may, for a moment). Its
   * stream goes on with what is left in it, until it is closed.
   */
  delete(key: K): boolean {
    this.#mustBeOpen();
    const id = this.#source.rings.getId(key);
    if (id === undefined) return false;
    const stream = this.#streams.get(id);
    const deleted = this.#source.rings.delete(key);
    this.#source.removed(key, id, stream !== undefined);
    if (stream !== undefined) {
      this.#streams.delete(id);
      this.#leaving.add(stream);
      stream.once("close", () => this.#leaving.delete(stream));
    }
    return deleted;
  }

  /** Every key that has a ring. */
  *keys(): IterableIterator<K> {
    this.#mustBeOpen();
    yield* this.#source.rings.keys();
  }

  /** Every key with its ring. */
  *[Symbol.iterator](): IterableIterator<[K, RingBuffer<T>]> {
    for (const key of [...this.keys()]) {
      const ring = this.get(key);
      if (ring !== undefined) yield [key, ring];
    }
  }

  /** Closes the streams; the rings stay where they are. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of [...this.#streams.values(), ...this.#leaving]) stream.close();
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closedError(`rings ${this.name}`);
  }
}
