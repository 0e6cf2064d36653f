import { unlinkSync } from "node:fs";
import { BpfError, closedError } from "../errors.js";
import { ENOTSUPP } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt, explain, type Meaning } from "../kernel/explain.js";
import { IN_FOLDER } from "../kernel/rights.js";
import type { NativeMap } from "../native.js";
import { checkString } from "../options.js";
import { type MapInfo, mapInfo } from "./map_info.js";

/** What the object, or the kernel, says a map is. */
export interface MapShape {
  readonly name: string;
  /** libbpf's name of the type, for example `lru_hash`. */
  readonly type: string;
  /** enum bpf_map_type. */
  readonly typeNumber: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

export type Meanings = Readonly<Record<number, Meaning>>;

/** A map in the kernel, with a descriptor of its own. What can be done with it is in the class for its type. */
export abstract class BpfMap implements Disposable {
  readonly name: string;
  readonly type: string;
  /** Bytes of a key; 0 for maps without one. */
  readonly keySize: number;
  /** Bytes of a value (of one CPU's value, for per-CPU maps). */
  readonly valueSize: number;
  /** How many entries the map was made for. */
  readonly maxEntries: number;
  readonly #native: NativeMap;
  #closed = false;

  /** Maps come from an object, a pin, an id or `createMap`. @internal */
  constructor(native: NativeMap, shape: MapShape) {
    this.#native = native;
    this.name = shape.name;
    this.type = shape.type;
    this.keySize = shape.keySize;
    this.valueSize = shape.valueSize;
    this.maxEntries = shape.maxEntries;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The map's descriptor, owned by this handle. @throws BpfError CLOSED */
  get fd(): number {
    return this.native.fd;
  }

  /**
   * What the kernel says of the map now: its id, memory, flags and more.
   * @example
   * ```ts
   * import { openMap } from "ebpf";
   * using flows = openMap("/sys/fs/bpf/flows");
   * const { id, memory, frozen } = flows.info();
   * console.log(`map ${id} takes ${memory} bytes${frozen ? ", frozen" : ""}`);
   * ```
   */
  info(): MapInfo {
    const { native } = this;
    return mapInfo(
      attempt({ doing: `read what the kernel says of map ${this.name}` }, () => native.info()),
      this.type,
      native.fd,
    );
  }

  /**
   * From now on nobody in user space, root included, changes the map; programs still do unless it was declared BPF_F_RDONLY_PROG.
   * There is no way back. Minimum kernel 5.2.
   * @throws BpfError BUSY while it is mapped writable or being written; when it is frozen already PERMISSION_DENIED, or BUSY on
   * old kernels
   */
  freeze(): void {
    attempt({ doing: `freeze map ${this.name}`, meanings: FREEZE }, () => this.native.freeze());
  }

  /**
   * Pins the map in a bpf file system: it then outlives this process. Minimum kernel 4.4.
   * @throws BpfError EXISTS, NOT_FOUND, PERMISSION_DENIED
   */
  pin(path: string): void {
    checkString("pin", "path", path);
    attempt({ doing: `pin map ${this.name} at ${path}`, meanings: PIN }, () => this.native.pin(path));
  }

  /**
   * Removes a pin. The map goes when nothing else holds it: a handle, a program, another pin.
   * @throws BpfError NOT_FOUND, PERMISSION_DENIED
   */
  unpin(path: string): void {
    checkString("unpin", "path", path);
    try {
      unlinkSync(path);
    } catch (cause) {
      const { code, errno: number } = cause as NodeJS.ErrnoException;
      throw new BpfError({
        code: code === "ENOENT" ? "NOT_FOUND" : code === "EPERM" || code === "EACCES" ? "PERMISSION_DENIED" : "SYSTEM",
        message: `cannot unpin map ${this.name} from ${path}: ${(cause as Error).message}`,
        errno: number === undefined ? undefined : Math.abs(number),
        cause,
      });
    }
  }

  /** Frees this handle's descriptor. The kernel keeps the map while a program, a pin or another handle holds it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The open native map. @internal */
  protected get native(): NativeMap {
    if (this.#closed) throw closedError(`map ${this.name}`);
    return this.#native;
  }

  /** What errnos mean for this type of map. @internal */
  protected get meanings(): Meanings {
    return {};
  }

  /** The error for what a hot native call returned. @internal */
  protected failure(operation: string, negativeErrno: number, meanings: Meanings = {}): Error {
    const failed = Object.assign(new Error(`${operation} failed`), {
      errno: -negativeErrno,
      operation: `bpf(${operation})`,
      log: [],
    });
    return explain(failed, {
      doing: `${operation} in map ${this.name}`,
      meanings: {
        [errno.E2BIG]: { code: "FULL", text: `the map has all the ${this.maxEntries} entries it was made for` },
        [errno.ENOENT]: { code: "NOT_FOUND", text: "there is no such entry" },
        [errno.EEXIST]: { code: "EXISTS", text: "the entry exists already" },
        [errno.EPERM]: { code: "PERMISSION_DENIED", text: "the map is frozen, read-only, or not this user's" },
        ...this.meanings,
        ...meanings,
      },
    });
  }
}

/**
 * A map whose type has no operations of its own: it can be pinned, and its descriptor given to others.
 */
export class OpaqueMap extends BpfMap {}

const FREEZE: Meanings = {
  [errno.EBUSY]: { code: "BUSY", text: "it is frozen already, mapped writable or being written to" },
  [errno.EPERM]: {
    code: "PERMISSION_DENIED",
    text: "it is frozen already, read-only for this handle, or not this user's to freeze",
  },
  // Values with a timer, a task's work or a list are the kernel's to change (kernel/bpf/syscall.c: map_freeze).
  [ENOTSUPP]: {
    code: "KERNEL_UNSUPPORTED",
    text: "a map of this type, or with timers, lists or kernel pointers in its values, cannot be frozen",
  },
};

const PIN: Meanings = {
  ...IN_FOLDER,
  [errno.EPERM]: {
    code: "PERMISSION_DENIED",
    text: "the path is not in a bpf file system (mount -t bpf bpf /sys/fs/bpf), or this user may not write there",
  },
  [errno.EINVAL]: {
    code: "INVALID_ARGUMENT",
    text: "the path is not in a bpf file system (mount -t bpf bpf /sys/fs/bpf)",
  },
  [errno.EEXIST]: { code: "EXISTS", text: "something is pinned there already" },
  [errno.ENOENT]: { code: "NOT_FOUND", text: "there is no such folder" },
};
