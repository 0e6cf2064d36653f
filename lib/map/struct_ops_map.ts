import { Memory } from "../codec/codec.js";
import { errno } from "../kernel/errno.js";
import type { NativeLink, NativeMap } from "../native.js";
import { BpfMap, type MapShape } from "./bpf_map.js";

/** enum bpf_struct_ops_state, in the order of its values. */
const STATES = ["init", "inuse", "tobefree", "ready"] as const;

/** Where a `struct_ops` is in its life; `ready` is loaded and may be attached (6.4), `inuse` registered. */
export type StructOpsState = (typeof STATES)[number];

/** BPF_MAP_TYPE_STRUCT_OPS: an implementation of one of the kernel's tables of functions, such as tcp_congestion_ops. Minimum kernel 5.6. */
export class StructOpsMap extends BpfMap {
  readonly #value: Memory;
  /**
   * Puts it in the place of another at its link; only an object's can, whose functions libbpf knows. For {@link Link.update}. @internal
   */
  readonly replaceAt: ((link: NativeLink) => void) | undefined;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, replaceAt?: (link: NativeLink) => void) {
    super(native, shape);
    this.replaceAt = replaceAt;
    this.#value = Memory.allocate(Math.max(shape.valueSize, 8));
    // The key is always 0.
    native.bind(new ArrayBuffer(4), new ArrayBuffer(4), this.#value.buffer);
  }

  /** Where it is in its life now. */
  get state(): StructOpsState {
    const result = this.native.lookup(0);
    if (result === -errno.ENOENT) return "init";
    if (result !== 0) throw this.failure("lookup", result);
    // Values begin with struct bpf_struct_ops_common_value: refcount_t refcnt; enum bpf_struct_ops_state state.
    return STATES[this.#value.u32[1] as number] ?? "init";
  }
}
