import { closedError } from "../errors.js";
import { attempt } from "../kernel/explain.js";
import type { NativeLink } from "../native.js";
import { checkString } from "../options.js";

/** What a link attaches, for people and programs to read. */
export interface LinkTarget {
  /** The program's name. */
  readonly program: string;
  /** How it is attached, for example `kprobe`, `fexit`, `cgroup`. */
  readonly kind: string;
  /** Where: the function, tracepoint, path or device; the section where the section said it. */
  readonly target: string;
}

/**
 * One attachment of a program.
 *
 * It lasts until `close()`, or until the object it came from is closed, or until the process ends (SIGKILL included);
 * the garbage collector never detaches it. A pinned link outlives all three.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * const object = await BpfObject.load("probes.bpf.o");
 * using link = object.program("on_kill").attach();
 * console.log(link.kind, link.target);
 * ```
 */
export class Link implements LinkTarget, Disposable {
  readonly program: string;
  readonly kind: string;
  readonly target: string;
  readonly #native: NativeLink;
  readonly #onClose: (link: Link) => void;
  #closed = false;

  /** Links come from `program.attach...()`. @internal */
  constructor(native: NativeLink, target: LinkTarget, onClose: (link: Link) => void) {
    this.#native = native;
    this.program = target.program;
    this.kind = target.kind;
    this.target = target.target;
    this.#onClose = onClose;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The link's descriptor, owned by the link. @throws BpfError CLOSED */
  get fd(): number {
    return this.#open().fd;
  }

  /** The path this link is pinned at. */
  get pinPath(): string | undefined {
    return this.#open().pinPath;
  }

  /**
   * Pins the link in a bpf file system: it then outlives this handle and this process.
   * @param path a path on a bpf file system, usually below /sys/fs/bpf; its folder must exist.
   * @throws BpfError EXISTS, NOT_FOUND, PERMISSION_DENIED, INVALID_STATE when it is pinned already.
   */
  pin(path: string): void {
    checkString("pin", "path", path);
    const native = this.#open();
    attempt({ doing: `pin the link of ${this.program} at ${path}` }, () => native.pin(path));
  }

  /** Removes the pin; the link itself goes on until `close()`. */
  unpin(): void {
    const native = this.#open();
    attempt({ doing: `unpin the link of ${this.program}` }, () => native.unpin());
  }

  /**
   * Detaches, unless the link is pinned; frees the descriptor. Closing twice does nothing.
   * @throws BpfError SYSTEM when libbpf could not detach; the link is closed all the same.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      attempt({ doing: `detach ${this.program} from ${this.target}` }, () => this.#native.close());
    } finally {
      this.#onClose(this);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): NativeLink {
    if (this.#closed) throw closedError(`the link of ${this.program}`);
    return this.#native;
  }
}
