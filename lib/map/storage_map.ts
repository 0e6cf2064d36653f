/** Storage that belongs to a task, a socket, a file or a cgroup, and goes with it. */
import { closeSync } from "node:fs";
import { type Codec, Memory } from "../codec/codec.js";
import { MapFlag } from "../kernel/abi.js";
import { withCgroup } from "../kernel/cgroup.js";
import {
  type Descriptor,
  descriptorOf,
  type SocketDescriptor,
  socketDescriptor,
  withPath,
} from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { mustHaveBpfLsm } from "../kernel/lsm.js";
import { native as addon, type NativeMap } from "../native.js";
import { checkOptions, invalid, oneOf, shown } from "../options.js";
import { BpfMap, type MapShape, type Meanings } from "./bpf_map.js";
import type { SetOptions } from "./keyed_map.js";

/**
 * A value per owner. The kernel lists no owners, so there is no iteration from user space; an iterator program (`iter/bpf_sk_storage_map`) can.
 */
export abstract class StorageMap<Owner, V> extends BpfMap {
  readonly #key = Memory.allocate(4);
  readonly #value: Memory;
  readonly #values: Codec<V>;

  /** @internal */
  constructor(native: NativeMap, shape: MapShape, values: Codec<V>) {
    super(native, shape);
    this.#values = values;
    this.#value = Memory.allocate(Math.max(shape.valueSize, 1));
    native.bind(this.#key.buffer, new ArrayBuffer(4), this.#value.buffer);
  }

  /** The owner's value; undefined when it has none. @throws BpfError NOT_FOUND when there is no such owner */
  get(owner: Owner): V | undefined {
    return this.#lookup("get", owner) ? this.#values.decode(this.#value, 0, this.valueSize) : undefined;
  }

  has(owner: Owner): boolean {
    return this.#lookup("has", owner);
  }

  /**
   * Gives the owner a value, or replaces it.
   * @throws BpfError NOT_FOUND when there is no such owner, VALUE_INVALID, EXISTS, CLOSED
   */
  set(owner: Owner, value: V, options?: SetOptions): this {
    const operation = `${this.name}.set`;
    let flags: number = MapFlag.any;
    if (options !== undefined) {
      checkOptions(operation, options, { only: oneOf("create", "replace"), lock: "boolean" });
      if (options.only !== undefined) flags = options.only === "create" ? MapFlag.noExist : MapFlag.exist;
      if (options.lock) flags |= MapFlag.lock;
    }
    const { native } = this;
    this.#values.encode(this.#value, 0, value);
    const result = this.withOwner(operation, owner, (fd) => {
      this.#key.i32[0] = fd;
      return native.update(flags);
    });
    if (result !== 0) throw this.failure("update", result);
    return this;
  }

  /** Takes the owner's value away; false when it had none. */
  delete(owner: Owner): boolean {
    const { native } = this;
    const result = this.withOwner(`${this.name}.delete`, owner, (fd) => {
      this.#key.i32[0] = fd;
      return native.delete();
    });
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("delete", result);
  }

  /** Runs `use` with a descriptor of the owner. @internal */
  protected abstract withOwner(operation: string, owner: Owner, use: (fd: number) => number): number;

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      [errno.EBADF]: {
        code: "INVALID_ARGUMENT",
        text: "the descriptor is not open, or not of the kind whose storage this is",
      },
    };
  }

  #lookup(operation: string, owner: Owner): boolean {
    const { native } = this;
    const result = this.withOwner(`${this.name}.${operation}`, owner, (fd) => {
      this.#key.i32[0] = fd;
      return native.lookup(0);
    });
    if (result === 0) return true;
    if (result === -errno.ENOENT) return false;
    throw this.failure("lookup", result);
  }
}

/**
 * BPF_MAP_TYPE_TASK_STORAGE: a value per task. An owner is a process id, or a pidfd. Minimum kernel 5.11.
 *
 * @example
 * ```ts
 * import { openMap, TaskStorageMap } from "ebpf";
 * using latency = openMap("/sys/fs/bpf/latency", TaskStorageMap<{ count: number; sum: bigint }>);
 * console.log(latency.get(process.pid)?.count);
 * ```
 */
export class TaskStorageMap<V> extends StorageMap<number | { readonly fd: number }, V> {
  /** @internal */
  protected override withOwner(
    operation: string,
    owner: number | { readonly fd: number },
    use: (fd: number) => number,
  ): number {
    if (typeof owner !== "number") return use(descriptorOf(operation, "process", owner));
    if (!Number.isInteger(owner) || owner < 1 || owner > 0x7fffffff)
      throw invalid(`${operation}: process must be a process id, got ${shown(owner)}`);
    const fd = attempt(
      {
        doing: `${operation}: open process ${owner}`,
        meanings: {
          [errno.ESRCH]: { code: "NOT_FOUND", text: "there is no such process" },
          [errno.EINVAL]: {
            code: "NOT_FOUND",
            text: "there is no such process: that is a thread, and storage is found by the id of its process",
          },
        },
      },
      () => addon().openProcess(owner),
    );
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }
}

/** BPF_MAP_TYPE_SK_STORAGE: a value per socket. Minimum kernel 5.2. */
export class SkStorageMap<V> extends StorageMap<SocketDescriptor, V> {
  /** @internal */
  protected override withOwner(operation: string, owner: SocketDescriptor, use: (fd: number) => number): number {
    return use(socketDescriptor(operation, owner));
  }
}

/**
 * BPF_MAP_TYPE_INODE_STORAGE: a value per inode. An owner is a path, or an open file. Minimum kernel 5.10, started with the BPF security
 * module (`bpf` among its `lsm=`): without it the kernel would overwrite memory, so every operation is refused (KERNEL_UNSUPPORTED).
 */
export class InodeStorageMap<V> extends StorageMap<string | Descriptor, V> {
  #safe = false;

  /** @internal */
  protected override withOwner(operation: string, owner: string | Descriptor, use: (fd: number) => number): number {
    if (!this.#safe) mustHaveBpfLsm(operation);
    this.#safe = true;
    return typeof owner === "string" ? withPath(operation, owner, use) : use(descriptorOf(operation, "file", owner));
  }
}

/** BPF_MAP_TYPE_CGRP_STORAGE: a value per cgroup. An owner is the path of a cgroup v2 directory, or its descriptor. Minimum kernel 6.2. */
export class CgrpStorageMap<V> extends StorageMap<string | Descriptor, V> {
  /** @internal */
  protected override withOwner(operation: string, owner: string | Descriptor, use: (fd: number) => number): number {
    return typeof owner === "string"
      ? withCgroup(operation, owner, use)
      : use(descriptorOf(operation, "cgroup", owner));
  }
}
