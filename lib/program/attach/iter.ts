/** Iterators: programs that the kernel runs once per object of a kind, whose output is read like a file. */
import { closeSync, openSync, read as readFile } from "node:fs";
import { endianness } from "node:os";
import { promisify } from "node:util";
import type { Btf } from "../../btf/btf.js";
import { compileCodec } from "../../codec/codec.js";
import { Memory } from "../../codec/memory.js";
import { BpfError } from "../../errors.js";
import { AttachType, ProgramType } from "../../kernel/abi.js";
import { withCgroup } from "../../kernel/cgroup.js";
import { descriptorOf } from "../../kernel/descriptor.js";
import { errno } from "../../kernel/errno.js";
import { attempt } from "../../kernel/explain.js";
import { kernelAtLeast } from "../../kernel/version.js";
import { Link } from "../../link/link.js";
import { native } from "../../native.js";
import { checkOptions, checkString, integer, invalid, oneOf } from "../../options.js";
import type { Attacher } from "../attacher.js";
import { sectionTarget } from "../section.js";

export interface IterOptions {
  /** For iter/bpf_map_elem and its kin: the map whose elements are visited. */
  readonly map?: { readonly fd: number } | undefined;
  /** For iter/cgroup: path of the cgroup v2 directory to begin at. Minimum kernel 6.1. */
  readonly cgroup?: string | undefined;
  /** For iter/cgroup: `self` only, the ones below before (`pre`) or after (`post`) those that hold them, or `up` to the root. */
  readonly order?: "self" | "pre" | "post" | "up" | undefined;
  /** For iter/task and its kin: only this process (with its threads), or only this thread. Minimum kernel 6.1. */
  readonly pid?: number | undefined;
  readonly tid?: number | undefined;
}

/** BPF_CGROUP_ITER_*. */
const ORDERS = { self: 1, pre: 2, post: 3, up: 4 } as const;
/** sizeof(union bpf_iter_link_info). */
const LINK_INFO_SIZE = 16;
const READ_SIZE = 64 * 1024;

const readAsync = promisify(readFile);

/**
 * An attached iterator. Each reading runs the program anew over all there is, off the event loop.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * using object = await BpfObject.load("tasks.bpf.o");
 * const tasks = object.program("dump_task").attachIter();
 * for await (const task of tasks.records<{ pid: number; comm: string }>("struct task_row")) console.log(task.pid, task.comm);
 * ```
 */
export class IterLink extends Link {
  readonly #btf: () => Btf;

  /** @internal */
  constructor(btf: () => Btf, ...rest: ConstructorParameters<typeof Link>) {
    super(...rest);
    this.#btf = btf;
  }

  /** What the program writes, in pieces as they come. */
  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const fd = attempt({ doing: `begin the iterator ${this.program}` }, () => native().iterCreate(this.fd));
    try {
      for (;;) {
        const piece = new Uint8Array(READ_SIZE);
        const length = await readPiece(fd, piece, this.program);
        if (length === 0) return;
        yield piece.subarray(0, length);
      }
    } finally {
      closeSync(fd);
    }
  }

  /** All that the program writes with bpf_seq_printf(), as one text. */
  async text(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const piece of this.bytes()) text += decoder.decode(piece, { stream: true });
    return text + decoder.decode();
  }

  /** The same line by line. */
  async *lines(): AsyncGenerator<string, void, undefined> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const piece of this.bytes()) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
      rest = lines.pop() as string;
      yield* lines;
    }
    rest += decoder.decode();
    if (rest !== "") yield rest;
  }

  /**
   * What the program writes with bpf_seq_write(), as records of one C type of the object, one after the other without gaps.
   * @throws BpfError BTF_NOT_FOUND; SIZE_MISMATCH when the last record is cut
   */
  async *records<T>(type: string): AsyncGenerator<T, void, undefined> {
    checkString("records", "type", type);
    const btf = this.#btf();
    const codec = compileCodec<T>(btf, btf.get(type.replace(/^(struct|union|enum)\s+/, "")));
    const { size } = codec;
    let rest = new Uint8Array(0);
    for await (const piece of this.bytes()) {
      const bytes = new Uint8Array(rest.length + piece.length);
      bytes.set(rest);
      bytes.set(piece, rest.length);
      const memory = new Memory(bytes.buffer);
      let at = 0;
      for (; at + size <= bytes.length; at += size) yield codec.decode(memory, at, size);
      rest = bytes.slice(at);
    }
    if (rest.length > 0) {
      throw new BpfError({
        code: "SIZE_MISMATCH",
        message: `the iterator ${this.program} ended within a ${type}: ${rest.length} of ${size} bytes`,
      });
    }
  }

  /**
   * Pins the iterator: whoever reads the file gets what the program writes, also when this process is gone.
   * As {@link Link.pin}; `cat` reads it.
   */
  override pin(path: string): void {
    super.pin(path);
  }
}

/** The kernel gives up for the moment (EAGAIN) after a million objects without output. */
async function readPiece(fd: number, piece: Uint8Array, program: string): Promise<number> {
  for (;;) {
    try {
      return (await readAsync(fd, piece, 0, piece.length, null)).bytesRead;
    } catch (cause) {
      const { code, errno: number } = cause as NodeJS.ErrnoException;
      if (code === "EAGAIN" || code === "EINTR") continue;
      throw new BpfError({
        code: "SYSTEM",
        message: `cannot read the iterator ${program}: ${(cause as Error).message}`,
        errno: number === undefined ? undefined : Math.abs(number),
        cause,
      });
    }
  }
}

function linkInfo(options: IterOptions, cgroupFd: number, mapFd: number): Uint8Array {
  const bytes = new Uint8Array(LINK_INFO_SIZE);
  const view = new DataView(bytes.buffer);
  const little = endianness() === "LE";
  if (mapFd >= 0) {
    view.setUint32(0, mapFd, little);
    // The kernel wants what lies beyond its own union to be zero, and before 6.0 the union has the map alone.
    return bytes.subarray(0, 4);
  }
  if (cgroupFd >= 0 || options.order !== undefined) {
    view.setUint32(0, ORDERS[options.order ?? "pre"], little);
    view.setUint32(4, Math.max(0, cgroupFd), little);
    return bytes;
  }
  if (options.pid !== undefined || options.tid !== undefined) {
    view.setUint32(0, options.tid ?? 0, little);
    view.setUint32(4, options.pid ?? 0, little);
    return bytes;
  }
  return bytes.subarray(0, 0);
}

export function attachIter(attacher: Attacher, btf: () => Btf, options: IterOptions): IterLink {
  const operation = `${attacher.name}.attachIter`;
  const id = integer(1, 0x7fffffff);
  checkOptions(operation, options, {
    map: "object",
    cgroup: "string",
    order: oneOf(...Object.keys(ORDERS)),
    pid: id,
    tid: id,
  });
  attacher.mustBe(operation, [ProgramType.tracing], "tracing (iter)");
  attacher.mustExpect(operation, [AttachType.traceIter], "sections iter/...");
  const chosen = [
    options.map !== undefined,
    options.cgroup !== undefined || options.order !== undefined,
    options.pid !== undefined,
    options.tid !== undefined,
  ];
  if (chosen.filter(Boolean).length > 1) throw invalid(`${operation}: map, cgroup, pid and tid exclude each other`);
  const where = { kind: "iter", target: sectionTarget(attacher.section) };
  const mapFd = options.map === undefined ? -1 : descriptorOf(operation, "map", options.map);
  const parametersSince = options.pid ?? options.tid ?? options.cgroup ?? options.order;
  const attach = (cgroupFd: number) => {
    const parts = attacher.try(
      where,
      (program) => ({ links: [program.attachIter(linkInfo(options, cgroupFd, mapFd))] }),
      {
        [errno.EINVAL]:
          parametersSince !== undefined && !kernelAtLeast("6.1")
            ? { code: "KERNEL_UNSUPPORTED", text: "an iterator's cgroup, pid or tid needs kernel 6.1" }
            : {
                code: "INVALID_ARGUMENT",
                text: `${where.target} does not take these options, or the map's key and value do not fit the program`,
              },
        [errno.EBADF]: { code: "INVALID_ARGUMENT", text: `${where.target} needs a map: option map` },
        [errno.ESRCH]: { code: "NOT_FOUND", text: "there is no such process" },
      },
    );
    return attacher.adopt(new IterLink(btf, parts, { program: attacher.name, ...where }, attacher.release));
  };
  return options.cgroup === undefined ? attach(-1) : withCgroup(operation, options.cgroup, attach);
}

/** Reads a pinned iterator, or any file that a program fills, as text. */
export async function readPinnedIterator(path: string): Promise<string> {
  checkString("readPinnedIterator", "path", path);
  const fd = openSync(path, "r");
  try {
    let text = "";
    const decoder = new TextDecoder();
    for (;;) {
      const piece = new Uint8Array(READ_SIZE);
      const length = await readPiece(fd, piece, path);
      if (length === 0) return text + decoder.decode();
      text += decoder.decode(piece.subarray(0, length), { stream: true });
    }
  } finally {
    closeSync(fd);
  }
}
