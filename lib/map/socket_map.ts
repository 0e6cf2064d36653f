/** Maps of sockets: for redirection (sockmap, sockhash) and for choosing among listeners (reuseport). */
import type { Codec } from "../codec/codec.js";
import { MapFlag } from "../kernel/abi.js";
import { type SocketDescriptor, socketDescriptor } from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import type { NativeMap } from "../native.js";
import { checkOptions, invalid, oneOf } from "../options.js";
import { outOfRange } from "./array_map.js";
import type { MapShape, Meanings } from "./bpf_map.js";
import { KeyMap } from "./key_map.js";
import type { SetOptions } from "./keyed_map.js";

/** What maps of sockets have in common. */
export abstract class SocketMap<K> extends KeyMap<K> {
  /** @internal */
  constructor(native: NativeMap, shape: MapShape, keys: Codec<K>) {
    super(native, shape, keys, shape.valueSize);
  }

  /**
   * Puts a socket there: a connected `net.Socket`, a listening `net.Server`, or the descriptor of any other. The kernel takes it out again when
   * the socket closes.
   * @throws BpfError INVALID_ARGUMENT, INVALID_STATE (a socket without a descriptor), FULL, EXISTS, NOT_FOUND
   */
  set(key: K, socket: SocketDescriptor, options?: Pick<SetOptions, "only">): this {
    const operation = `${this.name}.set`;
    let flags: number = MapFlag.any;
    if (options !== undefined) {
      checkOptions(operation, options, { only: oneOf("create", "replace") });
      if (options.only !== undefined) flags = options.only === "create" ? MapFlag.noExist : MapFlag.exist;
    }
    const fd = socketDescriptor(operation, socket);
    if (this.valueSize === 8) this.value.u64[0] = BigInt(fd);
    else this.value.u32[0] = fd;
    this.updateKey(key, flags);
    return this;
  }

  /**
   * The cookie (SO_COOKIE, bpf_get_socket_cookie()) of the socket that is there; undefined when there is none.
   * @throws BpfError INVALID_ARGUMENT unless the map's values are of 8 bytes: the kernel has no room for a cookie in fewer
   */
  getCookie(key: K): bigint | undefined {
    this.#mustHaveRoom("getCookie");
    return this.lookupKey(key) ? this.value.u64[0] : undefined;
  }

  /** Whether there is a socket. @throws BpfError INVALID_ARGUMENT as {@link SocketMap.getCookie} */
  has(key: K): boolean {
    this.#mustHaveRoom("has");
    return this.lookupKey(key);
  }

  /** Takes a socket out, which stays open; false when there was none. */
  delete(key: K): boolean {
    const { native } = this;
    this.keyCodec.encode(this.key, 0, key);
    const result = native.delete();
    if (result === 0) return true;
    // Of an empty slot the kernel says EINVAL (net/core/sock_map.c: __sock_map_delete).
    if (result === -errno.ENOENT || result === -errno.EINVAL) return false;
    throw this.failure("delete", result);
  }

  /** @internal */
  protected override get meanings(): Meanings {
    return {
      [errno.EOPNOTSUPP]: {
        code: "INVALID_ARGUMENT",
        text: "a socket of this kind or state cannot be here (a TCP socket must be connected or listen)",
      },
      [errno.EBADF]: { code: "INVALID_ARGUMENT", text: "the descriptor is not open" },
      [errno.ENOTSOCK]: { code: "INVALID_ARGUMENT", text: "the descriptor is no socket" },
      [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "this socket, or this key, cannot be here" },
    };
  }

  #mustHaveRoom(operation: string): void {
    if (this.valueSize !== 8) {
      throw invalid(
        `${this.name}.${operation}: its values are of ${this.valueSize} bytes; declare the map with __type(value, __u64) to read socket cookies`,
      );
    }
  }
}

/** BPF_MAP_TYPE_SOCKMAP: sockets by index. Minimum kernel 4.14. */
export class SockMap extends SocketMap<number> {
  get length(): number {
    return this.maxEntries;
  }

  /** @internal */
  protected override get meanings(): Meanings {
    const { [errno.E2BIG]: full } = outOfRange(this.maxEntries);
    return full === undefined ? super.meanings : { ...super.meanings, [errno.E2BIG]: full };
  }
}

/**
 * BPF_MAP_TYPE_SOCKHASH: sockets by key, mostly filled by a sockops program. Minimum kernel 4.18.
 *
 * @example
 * ```ts
 * import { connect } from "node:net";
 * import { openMap, SockHashMap } from "ebpf";
 * using sockets = openMap("/sys/fs/bpf/sockets", SockHashMap<number>);
 * const socket = connect(8080, "127.0.0.1", () => sockets.set(8080, socket));
 * ```
 */
export class SockHashMap<K> extends SocketMap<K> {
  /** Every key. A key whose socket closes meanwhile may be visited or not. */
  keys(): IterableIterator<K> {
    return this.eachKey();
  }

  /** Takes every socket out. */
  clear(): void {
    for (const key of [...this.keys()]) this.deleteKey(key);
  }
}

/** BPF_MAP_TYPE_REUSEPORT_SOCKARRAY: sockets bound with SO_REUSEPORT, for bpf_sk_select_reuseport(). Minimum kernel 4.19. */
export class ReuseportSockArrayMap extends SockMap {}
