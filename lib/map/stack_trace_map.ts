import type { Codec } from "../codec/codec.js";
import type { NativeMap } from "../native.js";
import { invalid } from "../options.js";
import type { MapShape } from "./bpf_map.js";
import { KeyMap } from "./key_map.js";

/** A frame of a stack kept as build id and offset (BPF_F_STACK_BUILD_ID): what a symbol server wants. */
export interface BuildIdFrame {
  /** The binary's build id in hex; undefined where it was not known, and then `address` is what there is. */
  readonly buildId: string | undefined;
  /** Offset in the binary's file. */
  readonly offset: bigint | undefined;
  /** Address in the process. */
  readonly address: bigint | undefined;
}

/** sizeof(struct bpf_stack_build_id): s32 status, u8[20], u64. */
const BUILD_ID_FRAME = 32;
const BUILD_ID_BYTES = 20;
const STATUS_VALID = 1;
const STATUS_IP = 2;

/**
 * BPF_MAP_TYPE_STACK_TRACE: stacks by the ids that bpf_get_stackid() gave. Minimum kernel 4.6.
 *
 * @example
 * ```ts
 * import { kernelSymbols, openMap, StackTraceMap } from "ebpf";
 * using stacks = openMap("/sys/fs/bpf/stacks", StackTraceMap);
 * const symbols = kernelSymbols();
 * for (const [id, frames] of stacks) console.log(id, frames.map((address) => symbols.describe(address)));
 * ```
 */
export class StackTraceMap extends KeyMap<number> implements Iterable<[number, bigint[]]> {
  /** Frames that a stack has at most. */
  readonly maxDepth: number;
  /** Frames are build ids and offsets: read them with {@link StackTraceMap.getBuildIds}. */
  readonly hasBuildIds: boolean;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<number>, hasBuildIds: boolean) {
    super(native, shape, keys, shape.valueSize);
    this.hasBuildIds = hasBuildIds;
    this.maxDepth = shape.valueSize / (hasBuildIds ? BUILD_ID_FRAME : 8);
  }

  /**
   * The addresses of a stack, innermost first; undefined when there is none of that id. A negative id is what bpf_get_stackid() returns where it kept no
   * stack (-EEXIST: another has its place, and BPF_F_REUSE_STACKID was not given; -EFAULT: there is none), and has none.
   */
  get(id: number): bigint[] | undefined {
    if (this.hasBuildIds) throw invalid(`${this.name}.get: this map keeps build ids; use getBuildIds`);
    return this.#find(id) ? this.#addresses() : undefined;
  }

  /** The frames of a stack kept with BPF_F_STACK_BUILD_ID, innermost first. Minimum kernel 4.17. */
  getBuildIds(id: number): BuildIdFrame[] | undefined {
    if (!this.hasBuildIds) throw invalid(`${this.name}.getBuildIds: this map keeps addresses; use get`);
    if (!this.#find(id)) return undefined;
    const { i32, u64, bytes } = this.value;
    const frames: BuildIdFrame[] = [];
    for (let at = 0; at + BUILD_ID_FRAME <= this.valueSize; at += BUILD_ID_FRAME) {
      const status = i32[at / 4];
      if (status !== STATUS_VALID && status !== STATUS_IP) break;
      const place = u64[(at + 24) / 8] as bigint;
      if (status === STATUS_IP) frames.push({ buildId: undefined, offset: undefined, address: place });
      else
        frames.push({
          buildId: Buffer.from(bytes.subarray(at + 4, at + 4 + BUILD_ID_BYTES)).toString("hex"),
          offset: place,
          address: undefined,
        });
    }
    return frames;
  }

  has(id: number): boolean {
    return this.#find(id);
  }

  /** Forgets a stack; false when there is none of that id. A program may give the id out anew. */
  delete(id: number): boolean {
    return !isErrno(id) && this.deleteKey(id);
  }

  /** Forgets every stack that is there now. */
  clear(): void {
    for (const id of [...this.keys()]) this.deleteKey(id);
  }

  /** The id of every stack. */
  keys(): IterableIterator<number> {
    return this.eachKey();
  }

  /** Every id with its addresses. */
  *entries(): IterableIterator<[number, bigint[]]> {
    for (const id of this.keys()) {
      const frames = this.get(id);
      if (frames !== undefined) yield [id, frames];
    }
  }

  [Symbol.iterator](): IterableIterator<[number, bigint[]]> {
    return this.entries();
  }

  #find(id: number): boolean {
    return !isErrno(id) && this.lookupKey(id);
  }

  #addresses(): bigint[] {
    const { u64 } = this.value;
    const frames: bigint[] = [];
    // The kernel fills up with zeros (kernel/bpf/stackmap.c: bpf_stackmap_copy).
    for (let i = 0; i < this.maxDepth; i++) {
      const address = u64[i] as bigint;
      if (address === 0n) break;
      frames.push(address);
    }
    return frames;
  }
}

/** What a helper returned in place of an id (include/linux/err.h: MAX_ERRNO). */
function isErrno(id: number): boolean {
  return id < 0 && id >= -4095;
}
