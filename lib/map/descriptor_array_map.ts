/** Arrays of what the kernel takes by its descriptor: programs, perf events, cgroups. */
import type { Codec } from "../codec/codec.js";
import { withCgroup } from "../kernel/cgroup.js";
import { type Descriptor, descriptorOf } from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { outOfRange } from "./array_map.js";
import type { MapShape, Meanings } from "./bpf_map.js";
import { KeyMap } from "./key_map.js";

/** Slots, empty at first, from 0 to `length` - 1. */
export abstract class DescriptorArrayMap extends KeyMap<number> {
  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<number>) {
    super(native, shape, keys, 4);
  }

  get length(): number {
    return this.maxEntries;
  }

  /** Empties a slot; false when it was empty. */
  delete(index: number): boolean {
    return this.deleteKey(index);
  }

  /** Empties every slot. */
  clear(): void {
    for (let index = 0; index < this.maxEntries; index++) this.deleteKey(index);
  }

  /** @internal */
  protected put(index: number, fd: number): void {
    this.value.u32[0] = fd;
    this.updateKey(index);
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...outOfRange(this.maxEntries),
      [errno.EBADF]: {
        code: "INVALID_ARGUMENT",
        text: "the descriptor is not open, or not of the kind that belongs here",
      },
    };
  }
}

/**
 * BPF_MAP_TYPE_PROG_ARRAY: programs for bpf_tail_call(). Minimum kernel 4.2.
 *
 * All programs in it, and all that call into it, must be of one type. What is put here takes effect at the next call. The kernel
 * empties the array when no handle and no pin is left, though programs still use it: keep the object open, or pin the map.
 *
 * @example
 * ```ts
 * import { BpfObject, ProgArrayMap } from "ebpf";
 * using object = await BpfObject.load("parser.bpf.o");
 * const calls = object.map("calls");
 * if (calls instanceof ProgArrayMap) calls.set(0, object.program("parse_ipv4")).set(1, object.program("parse_ipv6"));
 * ```
 */
export class ProgArrayMap extends DescriptorArrayMap {
  /**
   * Puts a program in a slot, in place of what is there.
   * @throws BpfError INVALID_ARGUMENT: not a program, of another type than those there, or the index is out of range
   */
  set(index: number, program: Descriptor): this {
    this.put(index, descriptorOf(`${this.name}.set`, "program", program));
    return this;
  }

  /** The id of the program in a slot; undefined when it is empty. Minimum kernel 4.16. */
  get(index: number): number | undefined {
    return this.lookupKey(index) ? this.value.u32[0] : undefined;
  }

  has(index: number): boolean {
    return this.lookupKey(index);
  }

  /** The slots that are not empty, with the ids of their programs. */
  *entries(): IterableIterator<[number, number]> {
    for (let index = 0; index < this.maxEntries; index++) {
      const id = this.get(index);
      if (id !== undefined) yield [index, id];
    }
  }

  [Symbol.iterator](): IterableIterator<[number, number]> {
    return this.entries();
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...super.meanings,
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: "this is no program, or of another type than the programs that use the map",
      },
    };
  }
}

/**
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY as what it is by itself: one perf event per CPU, which programs read with bpf_perf_event_read_value()
 * or write records to. Minimum kernel 4.3.
 *
 * An event is removed when the handle that put it is closed, unless the map was made with BPF_F_PRESERVE_ELEMS (5.10).
 */
export class PerfEventArrayMap extends DescriptorArrayMap {
  /** Puts a perf event (perf_event_open(2)) in the slot of a CPU. */
  set(cpu: number, event: Descriptor): this {
    this.put(cpu, descriptorOf(`${this.name}.set`, "event", event));
    return this;
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      ...super.meanings,
      [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "this is no perf event that a program could use" },
    };
  }
}

/**
 * BPF_MAP_TYPE_CGROUP_ARRAY: cgroups for bpf_skb_under_cgroup() and bpf_current_task_under_cgroup(). Minimum kernel 4.8.
 *
 * @example
 * ```ts
 * import { CgroupArrayMap, openMap } from "ebpf";
 * using watched = openMap("/sys/fs/bpf/watched", CgroupArrayMap);
 * watched.set(0, "/sys/fs/cgroup/system.slice");
 * ```
 */
export class CgroupArrayMap extends DescriptorArrayMap {
  /**
   * Puts a cgroup v2 directory, by path or descriptor, in a slot.
   * @throws BpfError NOT_FOUND, INVALID_ARGUMENT when it is not one
   */
  set(index: number, cgroup: string | Descriptor): this {
    const operation = `${this.name}.set`;
    if (typeof cgroup === "string") withCgroup(operation, cgroup, (fd) => this.put(index, fd));
    else this.put(index, descriptorOf(operation, "cgroup", cgroup));
    return this;
  }
}
