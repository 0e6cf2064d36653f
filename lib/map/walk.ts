/** Going through a map's entries, a chunk at a time. */
import { Memory } from "../codec/memory.js";
import { BpfError } from "../errors.js";
import { ENOTSUPP } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";

/**
 * How the kernel finds the next entry: `bucket`, a hash table's batches go by buckets (its single steps by the last key); `index`,
 * arrays; `key`, by the last key, starting over when that has vanished (tries, sockhash, devmap_hash).
 */
export type CursorKind = "bucket" | "index" | "key";

/** What a walk needs to know of its map. */
export interface WalkedMap {
  readonly name: string;
  readonly maxEntries: number;
  readonly keySize: number;
  /** Bytes of one entry's value as bpf(2) copies it. */
  readonly valueBytes: number;
  readonly cursor: CursorKind;
  /** The open native map. @throws BpfError CLOSED */
  readonly native: NativeMap;
  /** Where next-key steps find and leave keys and values: the memory bound to the native map. */
  readonly key: Memory;
  readonly nextKey: Memory;
  readonly value: Memory;
  failure(operation: string, negativeErrno: number): Error;
}

export interface WalkOptions {
  /** Values cannot be read, or would be errors: keys one by one, without them. */
  readonly keysOnly?: boolean;
  /**
   * One by one: for arrays with empty slots, over which the kernel's batches stumble (before 6.14, commit 5644c6b50ffe, they end with
   * EINTR at each).
   */
  readonly single?: boolean;
  /**
   * Entries are removed as they are read. In a hash table that is one step (5.6); elsewhere what is written to an entry between
   * reading and removing it is lost.
   */
  readonly remove?: boolean;
}

/** Bytes of keys and values per system call: enough that the call costs nothing per entry, little enough to stay in the cache. */
const CHUNK_BYTES = 256 * 1024;
/** Entries per chunk where each takes system calls of its own. */
const STEPS = 64;
/** A bucket of a hash table that needs more than this is not one. */
const MAX_CHUNK_BYTES = 1 << 30;
/** Times that a key may vanish under the kernel's own cursor before we call it too busy. */
const MAX_INTERRUPTS = 1000;

/** Errors by which the kernel says that it has no batch operations for the map's type, or none at all (before 5.6). */
function hasNoBatch(result: number): boolean {
  return result === -ENOTSUPP || result === -errno.EINVAL || result === -errno.EOPNOTSUPP;
}

/** Map types for which batches were refused; asked once per process. */
const withoutBatch = new Set<string>();

/**
 * The entries of a map, each that stays put exactly once. One that comes or goes meanwhile is seen or not.
 *
 * In a hash table the cursor is a bucket, a bucket is read whole under its lock, and entries never change buckets: nothing needs to
 * be remembered. Where the kernel finds its way by the last key, the walk remembers the keys it has seen, skips them when the kernel
 * starts over, and ends with an error rather than never when the map changes faster than it can be read.
 */
export class Walk {
  /** Keys of the chunk, one after the other. */
  keys: Memory;
  /** Their values; the value of key i is at `i * valueBytes`. */
  values: Memory;
  /** Entries in the chunk. */
  count = 0;
  readonly #map: WalkedMap;
  readonly #type: string;
  readonly #keysOnly: boolean;
  readonly #remove: boolean;
  #seen: Set<string> | undefined;
  #room: number;
  #in: Uint8Array;
  #out: Uint8Array;
  #mode: "batch" | "step";
  #started = false;
  #ended = false;
  #read = 0;

  constructor(map: WalkedMap, type: string, options: WalkOptions = {}) {
    this.#map = map;
    this.#type = type;
    this.#keysOnly = options.keysOnly ?? false;
    this.#remove = options.remove ?? false;
    // Only hash tables have the batch that removes.
    this.#mode =
      this.#keysOnly || options.single || (this.#remove && map.cursor !== "bucket") || withoutBatch.has(type)
        ? "step"
        : "batch";
    this.#seen = this.#mustRemember() ? new Set() : undefined;
    const entryBytes = map.keySize + map.valueBytes;
    const fitting = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, entryBytes)));
    this.#room = Math.max(1, Math.min(this.#mode === "batch" ? fitting : STEPS, map.maxEntries));
    this.#in = new Uint8Array(Math.max(4, map.keySize));
    this.#out = new Uint8Array(Math.max(4, map.keySize));
    this.keys = Memory.allocate(this.#room * map.keySize);
    this.values = Memory.allocate(this.#room * map.valueBytes);
  }

  /** Reads the next chunk; false when there is none. */
  next(): boolean {
    this.count = 0;
    while (this.count === 0 && !this.#ended) {
      if (this.#mode === "batch") this.#batch();
      else this.#step();
      if (this.#seen !== undefined) this.#skipSeen(this.#seen);
    }
    return this.count > 0;
  }

  #mustRemember(): boolean {
    // What is removed cannot be seen again.
    if (this.#remove) return false;
    return this.#map.cursor === "key" || (this.#map.cursor === "bucket" && this.#mode === "step");
  }

  #batch(): void {
    const map = this.#map;
    for (let interrupts = 0; ; ) {
      const from = this.#started ? this.#in : null;
      const { errno: result, count } = map.native.lookupBatch(
        from,
        this.#out,
        this.keys.bytes,
        this.values.bytes,
        this.#room,
        0,
        this.#remove,
      );
      if (!this.#started && hasNoBatch(result)) {
        withoutBatch.add(this.#type);
        this.#mode = "step";
        this.#seen = this.#mustRemember() ? new Set() : undefined;
        return;
      }
      if (result === -errno.ENOSPC) {
        // One bucket holds more than there is room for.
        this.#grow();
        continue;
      }
      // The kernel gave up on a key that vanished again and again; what it read before is good.
      const interrupted = result === -errno.EINTR || result === -errno.EAGAIN;
      if (interrupted && count === 0) {
        if (++interrupts > MAX_INTERRUPTS) throw tooBusy(map.name);
        continue;
      }
      if (result !== 0 && result !== -errno.ENOENT && !interrupted) throw map.failure("lookup batch", result);
      this.count = count;
      this.#started = true;
      this.#ended = result === -errno.ENOENT;
      [this.#in, this.#out] = [this.#out, this.#in];
      return;
    }
  }

  #step(): void {
    const map = this.#map;
    const { keySize, valueBytes } = map;
    for (let steps = 0; steps < STEPS && this.count < this.#room; steps++) {
      const { native } = map;
      // The bound memory is shared with get() and set(), which run between chunks: the cursor is our own.
      if (this.#started) map.key.bytes.set(this.#in.subarray(0, keySize));
      const result = native.nextKey(!this.#started);
      if (result === -errno.ENOENT || (this.#remove && this.#read++ > map.maxEntries * 2)) {
        this.#ended = true;
        return;
      }
      if (result !== 0) throw map.failure("get next key", result);
      // What is removed leaves no cursor behind: the next first key is the next.
      this.#started = !this.#remove;
      this.#in.set(map.nextKey.bytes.subarray(0, keySize));
      if (!this.#keysOnly) {
        map.key.bytes.set(this.#in.subarray(0, keySize));
        const found = native.lookup(0);
        // Deleted between the two calls: it is no longer an entry.
        if (found === -errno.ENOENT) continue;
        if (found !== 0) throw map.failure("lookup", found);
        this.values.bytes.set(map.value.bytes.subarray(0, valueBytes), this.count * valueBytes);
      }
      if (this.#remove) {
        const removed = native.delete();
        if (removed === -errno.ENOENT) continue;
        if (removed !== 0) throw map.failure("delete", removed);
      }
      this.keys.bytes.set(this.#in.subarray(0, keySize), this.count * keySize);
      this.count++;
    }
  }

  #grow(): void {
    const map = this.#map;
    const room = this.#room * 2;
    if (room * (map.keySize + map.valueBytes) > MAX_CHUNK_BYTES) throw map.failure("lookup batch", -errno.ENOSPC);
    this.#room = room;
    this.keys = Memory.allocate(room * map.keySize);
    this.values = Memory.allocate(room * map.valueBytes);
  }

  /** Takes out of the chunk what was seen before, and bounds how often the kernel may start over. */
  #skipSeen(seen: Set<string>): void {
    const { keySize, valueBytes, maxEntries, name } = this.#map;
    this.#read += this.count;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const identity = this.keys.text.toString("latin1", i * keySize, (i + 1) * keySize);
      if (seen.has(identity)) continue;
      seen.add(identity);
      if (kept !== i) {
        this.keys.bytes.copyWithin(kept * keySize, i * keySize, (i + 1) * keySize);
        this.values.bytes.copyWithin(kept * valueBytes, i * valueBytes, (i + 1) * valueBytes);
      }
      kept++;
    }
    this.count = kept;
    if (this.#read > maxEntries * 2 + 1024 && !this.#ended) throw tooBusy(name);
  }
}

function tooBusy(name: string): BpfError {
  return new BpfError({
    code: "BUSY",
    message: `map ${name} changes faster than it can be iterated; the entries before this were delivered`,
  });
}
