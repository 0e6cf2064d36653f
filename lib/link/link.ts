import { closeSync } from "node:fs";
import { BpfError, closedError } from "../errors.js";
import { descriptorOf } from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import { attempt, BY_ID } from "../kernel/explain.js";
import { descriptorKind, programNameById } from "../kernel/handles.js";
import { IN_FOLDER } from "../kernel/rights.js";
import { type NativeAttachment, type NativeLink, native } from "../native.js";
import { checkString, invalid, shown } from "../options.js";
import { type LinkInfo, readLinkInfo } from "./link_info.js";

/** What a link attaches, for people and programs to read. */
export interface LinkTarget {
  /** The program's name. */
  readonly program: string;
  /** How it is attached, for example `kprobe`, `fexit`, `cgroup`. */
  readonly kind: string;
  /** Where: the function, tracepoint, path or device; the section where the section said it. */
  readonly target: string;
}

/** What a link is made of. @internal */
export interface LinkParts {
  /** The kernel's links: one, or for an event on every CPU one each. Empty where the kernel has none. */
  readonly links?: readonly NativeLink[] | undefined;
  /** In their place: an attachment that has to be undone. */
  readonly attachment?: NativeAttachment | undefined;
  /** Errnos of undoing it, or of exchanging its program, that mean it is gone already. */
  readonly gone?: readonly number[] | undefined;
  /** Made by libbpf of a struct_ops, which another can replace. */
  readonly structOps?: boolean | undefined;
  /** Why a link of libbpf's has no descriptor of its own: what it calls one would be another file's. */
  readonly noDescriptor?: string | undefined;
}

/** A program that a link can be given in place of its own. */
export interface ReplacementProgram {
  readonly fd: number;
  readonly name: string;
}

/** A struct_ops that a link can be given in place of its own: a `StructOpsMap` of a loaded object. */
export interface ReplacementStructOps {
  readonly name: string;
  /** @internal */
  readonly replaceAt: ((link: NativeLink) => void) | undefined;
}

/**
 * One attachment of a program.
 *
 * It lasts until `close()`, or until the object it came from is closed, or until the process ends (SIGKILL included);
 * the garbage collector never detaches it. A pinned link outlives all three.
 *
 * For a few kinds the kernel has no link: XDP and tc by netlink, cgroups with flags, sockets, routes, kretprobes with `maxActive`, struct_ops by
 * map, and sk_msg and sk_skb before 6.10. These would outlive the process: they are undone at `close()`, at the process's normal end and on SIGINT,
 * SIGTERM and SIGHUP where the process does not handle them itself, but not on SIGKILL (see {@link listAttachments}). They cannot be pinned
 * and have no `fd` and no `info()`. docs/links.md has a table of all kinds.
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
  readonly kind: string;
  readonly target: string;
  readonly #parts: LinkParts;
  readonly #onClose: (link: Link) => void;
  #program: string;
  #closed = false;
  #detached = false;

  /** Links come from `program.attach...()` and `Link.fromPin()`. @internal */
  constructor(parts: LinkParts, target: LinkTarget, onClose: (link: Link) => void) {
    this.#parts = parts;
    this.#program = target.program;
    this.kind = target.kind;
    this.target = target.target;
    this.#onClose = onClose;
  }

  /**
   * Opens a pinned link. Closing it leaves what is pinned attached; `unpin()` and `close()` detach it.
   * @param path where {@link Link.pin} pinned it.
   * @throws BpfError NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT when what is pinned there is no link
   */
  static fromPin(path: string): Link {
    checkString("Link.fromPin", "path", path);
    const info = pinnedLink(path);
    const link = attempt({ doing: `open the link pinned at ${path}` }, () => native().linkFromPin(path));
    return new Link(
      { links: [link] },
      { program: programName(info.programId), kind: info.type, target: path },
      () => {},
    );
  }

  /**
   * Opens any link in the kernel by its id. Others may hold it too: closing this one detaches it only when nobody does. Minimum kernel 5.8.
   * @throws BpfError NOT_FOUND, PERMISSION_DENIED
   */
  static fromId(id: number): Link {
    if (!Number.isInteger(id) || id < 1 || id > 0xffffffff)
      throw invalid(`Link.fromId: id must be a whole number from 1, got ${shown(id)}`);
    const link = attempt({ doing: `open the link with id ${id}`, meanings: BY_ID }, () =>
      native().linkFromFd(native().openById.link(id)),
    );
    try {
      const info = readLinkInfo(link.fd, `the link with id ${id}`);
      return new Link(
        { links: [link] },
        { program: programName(info.programId), kind: info.type, target: `id ${id}` },
        () => {},
      );
    } catch (error) {
      link.close();
      throw error;
    }
  }

  get program(): string {
    return this.#program;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The link's descriptor, owned by the link. @throws BpfError CLOSED, INVALID_STATE where it is not one link of the kernel's */
  get fd(): number {
    return this.#one("fd").fd;
  }

  /** The path this link is pinned at. */
  get pinPath(): string | undefined {
    this.#mustBeOpen();
    return this.#parts.links?.[0]?.pinPath;
  }

  /**
   * What the kernel says of the link: id, type, target, and cookies where this kernel tells them. Minimum kernel 5.8.
   * @throws BpfError CLOSED, INVALID_STATE where the kernel has no link (see {@link Link})
   */
  info(): LinkInfo {
    const { fd } = this.#one("info");
    try {
      return readLinkInfo(fd, `the link of ${this.program}`);
    } catch (error) {
      // A perf event, as libbpf uses it before 5.15, is a descriptor, but not of a link.
      if (error instanceof BpfError && error.errno === errno.EINVAL)
        throw this.#notALink("info", "on this kernel it is a perf event and not a link (links since 5.15)");
      throw error;
    }
  }

  /**
   * Pins the link in a bpf file system: it then outlives this handle and this process.
   * @param path a path on a bpf file system, usually below /sys/fs/bpf; its folder must exist.
   * @throws BpfError EXISTS, NOT_FOUND, PERMISSION_DENIED, BUSY when it is pinned already, INVALID_ARGUMENT when the path is not on a bpf file
   * system, INVALID_STATE where the kernel has no link (see {@link Link}).
   */
  pin(path: string): void {
    checkString("pin", "path", path);
    const link = this.#one("pin");
    attempt(
      {
        doing: `pin the link of ${this.program} at ${path}`,
        meanings: {
          ...IN_FOLDER,
          [errno.EBUSY]: { code: "BUSY", text: `it is pinned already, at ${link.pinPath}` },
          [errno.EINVAL]: {
            code: "INVALID_ARGUMENT",
            text: "the path is not on a bpf file system (mount -t bpf), or what is attached is no link on this kernel",
          },
          [errno.EPERM]: {
            code: "INVALID_ARGUMENT",
            text: "the path is not on a bpf file system (mount -t bpf), or pinning is not allowed",
          },
        },
      },
      () => link.pin(path),
    );
  }

  /**
   * Removes the pin; the link itself goes on until `close()`.
   * @throws BpfError INVALID_STATE when it is not pinned, or when something else is at the path by now
   */
  unpin(): void {
    const link = this.#one("unpin");
    const path = link.pinPath;
    if (path === undefined)
      throw new BpfError({ code: "INVALID_STATE", message: `the link of ${this.program} is not pinned` });
    const { id } = this.info();
    const there = pinnedLink(path);
    if (there.id !== id) {
      throw new BpfError({
        code: "INVALID_STATE",
        message: `unpin: at ${path} another link is pinned by now (id ${there.id}, this one is ${id}); it stays`,
      });
    }
    attempt({ doing: `unpin the link of ${this.program} from ${path}` }, () => link.unpin());
  }

  /**
   * Exchanges the program, without a moment in between in which none runs. For cgroup, XDP, tcx, netkit, tc, network namespace, sockmap and
   * iterator links, and sockets (docs/links.md); the new program has the type of the old one. Minimum kernel 5.7.
   *
   * A struct_ops attached as a link is exchanged for another map of the same type and name, of an object of its own: connections that are there keep
   * the old one. Minimum kernel 6.4, libbpf 1.2.
   * @throws BpfError INVALID_ARGUMENT (another type), KERNEL_UNSUPPORTED (this kind of link cannot), INVALID_STATE (what it was attached to is gone, or
   * another program is in its place), BUSY, CLOSED
   */
  update(program: ReplacementProgram | ReplacementStructOps): void {
    this.#mustBeOpen();
    if (typeof program !== "object" || program === null)
      throw invalid(`update: what takes the place must be a loaded program or a struct_ops, got ${shown(program)}`);
    if ("replaceAt" in program) this.#updateStructOps(program);
    else this.#updateProgram(program);
    this.#program = program.name;
  }

  #updateProgram(program: ReplacementProgram): void {
    const fd = descriptorOf("update", "program", program);
    const { attachment, links = [], gone = [], noDescriptor } = this.#parts;
    if (this.#detached && attachment !== undefined) throw this.#notALink("update", "it is detached already");
    const cannot = {
      code: "KERNEL_UNSUPPORTED",
      text: `a program attached to ${this.kind} cannot be exchanged`,
    } as const;
    if (noDescriptor !== undefined) throw this.#refused(`update: ${cannot.text}`);
    attempt(
      {
        doing: `put ${program.name} in place of ${this.program} at ${this.kind} ${this.target}`,
        meanings: {
          ...Object.fromEntries(
            gone.map((number) => [
              number,
              { code: "INVALID_STATE", text: "what it was attached to is gone, or another program is in its place" },
            ]),
          ),
          [errno.EINVAL]: {
            code: "INVALID_ARGUMENT",
            text: `${program.name} is of another type, or this kind of link cannot change its program`,
          },
          [errno.EOPNOTSUPP]: cannot,
          [errno.ENOLINK]: { code: "INVALID_STATE", text: "what it was attached to is gone" },
        },
      },
      () => {
        attachment?.updateProgram(fd);
        for (const link of links) link.updateProgram(fd);
      },
    );
  }

  #updateStructOps({ name, replaceAt }: ReplacementStructOps): void {
    if (!this.#parts.structOps || replaceAt === undefined) {
      const why =
        replaceAt === undefined ? `${name} is not of a loaded object` : "attachStructOps() did not make this link";
      throw this.#notALink("update", `a struct_ops takes the place of one that attachStructOps() attached, and ${why}`);
    }
    const link = this.#one("update");
    attempt(
      {
        doing: `put ${name} in place of ${this.program} at ${this.kind} ${this.target}`,
        meanings: {
          [errno.EINVAL]: {
            code: "INVALID_ARGUMENT",
            text: `${name} is of another type or name than what is there, or not in section .struct_ops.link`,
          },
          [errno.EOPNOTSUPP]: {
            code: "KERNEL_UNSUPPORTED",
            text: "the kernel does not exchange struct_ops of this type, or libbpf is older than 1.2",
          },
          [errno.ENOLINK]: { code: "INVALID_STATE", text: "it is detached already" },
        },
      },
      () => replaceAt(link),
    );
  }

  /**
   * Detaches now, though the link be pinned or held by others; the handle stays open, for `info()`. Minimum kernel 5.9, for cgroup, XDP, tcx,
   * netkit, netfilter, network namespace and sockmap links (docs/links.md); for other kinds `close()` detaches.
   * @throws BpfError KERNEL_UNSUPPORTED for the other kinds, CLOSED
   */
  detach(): void {
    this.#mustBeOpen();
    if (this.#detached) return;
    const { links = [], noDescriptor } = this.#parts;
    const cannot = {
      code: "KERNEL_UNSUPPORTED",
      text: `the kernel does not detach ${this.kind} links by force: close() it (and unpin() it where it is pinned)`,
    } as const;
    if (noDescriptor !== undefined) throw this.#refused(`detach: ${cannot.text}`);
    this.#undo();
    attempt(
      {
        doing: `detach ${this.program} from ${this.kind} ${this.target}`,
        meanings: { [errno.EOPNOTSUPP]: cannot, [errno.EINVAL]: cannot },
      },
      () => {
        for (const link of links) link.detach();
      },
    );
    this.#detached = true;
  }

  /**
   * Detaches, unless the link is pinned; frees the descriptor. Closing twice does nothing.
   * @throws BpfError SYSTEM when it could not be detached. The link is closed all the same; what the kernel has no link for is tried again as the
   * process ends.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const failures: unknown[] = [];
    const all = (this.#parts.links ?? []).map((link) => () => link.close());
    for (const close of [...all, () => this.#undo()]) {
      try {
        attempt({ doing: `detach ${this.program} from ${this.target}` }, close);
      } catch (error) {
        failures.push(error);
      }
    }
    this.#onClose(this);
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #undo(): void {
    const { attachment, gone = [] } = this.#parts;
    attempt({ doing: `detach ${this.program} from ${this.target}` }, () => attachment?.close(Int32Array.from(gone)));
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closedError(`the link of ${this.program}`);
  }

  #one(operation: string): NativeLink {
    this.#mustBeOpen();
    const { links = [], noDescriptor } = this.#parts;
    const [link] = links;
    if (noDescriptor !== undefined) throw this.#notALink(operation, noDescriptor);
    if (link === undefined) throw this.#notALink(operation, `the kernel has no link for ${this.kind}`);
    if (links.length > 1) throw this.#notALink(operation, `it is ${links.length} links of the kernel's`);
    return link;
  }

  #refused(why: string): BpfError {
    return new BpfError({ code: "KERNEL_UNSUPPORTED", message: why });
  }

  #notALink(operation: string, why: string): BpfError {
    return new BpfError({
      code: "INVALID_STATE",
      message: `${operation}: the link of ${this.program} to ${this.kind} ${this.target}: ${why}`,
    });
  }
}

/** @throws BpfError NOT_FOUND, INVALID_ARGUMENT when it is no link */
function pinnedLink(path: string): LinkInfo {
  const fd = attempt(
    {
      doing: `open the link pinned at ${path}`,
      meanings: {
        [errno.ENOENT]: { code: "NOT_FOUND", text: "nothing is pinned there" },
        [errno.EACCES]: {
          code: "INVALID_ARGUMENT",
          text: "that is not a pin on a bpf file system, or access was denied",
        },
      },
    },
    () => native().openPin(path),
  );
  try {
    return pinnedAs(fd, path);
  } finally {
    closeSync(fd);
  }
}

function pinnedAs(fd: number, path: string): LinkInfo {
  const kind = descriptorKind(fd);
  if (kind !== undefined && kind !== "link") {
    throw new BpfError({
      code: "INVALID_ARGUMENT",
      message: `what is pinned at ${path} is a ${kind} and not a link`,
    });
  }
  return readLinkInfo(fd, `the link pinned at ${path}`);
}

/** Name of the program with that id, or what is known of it. */
function programName(id: number): string {
  return id === 0 ? "" : (programNameById(id) ?? `id ${id}`);
}
