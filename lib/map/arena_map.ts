import { readFileSync } from "node:fs";
import { compileCodec, Memory } from "../codec/codec.js";
import { BpfError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import { attempt, type Meaning } from "../kernel/explain.js";
import type { NativeMap } from "../native.js";
import { invalid, shown } from "../options.js";
import { type MappedRegion, parseMaps, regionAt } from "../symbols/process_maps.js";
import { BpfMap, type MapShape } from "./bpf_map.js";
import type { CType } from "./c_type.js";

/** Arenas are mapped as pages, and only on 64-bit machines; BPF's is the kernel's page size. */
const PAGE = 4096;

/**
 * BPF_MAP_TYPE_ARENA: memory that programs and this process share, with pointers that mean the same to both. Minimum kernel 6.9, libbpf 1.4.
 *
 * A place is a number of bytes from the start, or (a bigint) an address, as pointers in the arena are. Everything is copied, by the
 * kernel: a pointer that leads nowhere is an error, never a fault. A page that no program has allocated is made when it is touched,
 * unless the arena was declared with BPF_F_SEGV_ON_FAULT.
 *
 * @example
 * ```ts
 * import { ArenaMap, BpfObject, cType } from "ebpf";
 * using object = await BpfObject.load("list.bpf.o");
 * const arena = object.map("arena");
 * if (arena instanceof ArenaMap) {
 *   const node = cType<{ next: bigint; value: bigint }>("struct node", object.btf);
 *   for (let at = object.bss["head"] as bigint; at !== 0n; at = arena.get(at, node).next) console.log(arena.get(at, node).value);
 * }
 * ```
 */
export class ArenaMap extends BpfMap {
  #address: bigint | undefined;
  readonly #mappedAt: (() => bigint) | undefined;

  /** `mappedAt`: some place in the mapping that libbpf has made; 0 where it has made none, as of an arena that is reused. @internal */
  constructor(native: NativeMap, shape: MapShape, mappedAt: (() => bigint) | undefined) {
    super(native, shape);
    this.#mappedAt = mappedAt;
  }

  /** Bytes of the arena; pages that nobody has touched take no memory. */
  get byteLength(): number {
    return this.maxEntries * PAGE;
  }

  /**
   * The address at which the arena begins, in this process and in pointers that programs store.
   * @throws BpfError BUSY when another process has mapped the arena elsewhere: declare it with an address (`map_extra`)
   */
  get address(): bigint {
    const { native } = this;
    if (this.#address === undefined) {
      const inside = this.#mappedAt?.() ?? 0n;
      this.#address = inside === 0n ? this.#map(native) : this.#find(inside);
    }
    return this.#address;
  }

  /** Bytes of the arena, copied. @throws BpfError INVALID_ARGUMENT when they are not within it */
  read(at: number | bigint, length: number): Uint8Array {
    if (!Number.isInteger(length) || length < 0)
      throw invalid(`${this.name}.read: length must be a whole number from 0, got ${shown(length)}`);
    const bytes = new Uint8Array(length);
    this.#read("read", at, bytes);
    return bytes;
  }

  /** Copies bytes into the arena. @throws BpfError INVALID_ARGUMENT when they do not fit within it */
  write(at: number | bigint, bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw invalid(`${this.name}.write: expected a Uint8Array, got ${shown(bytes)}`);
    this.#write("write", at, bytes);
  }

  /** The value of a C type at a place. */
  get<T>(at: number | bigint, type: CType<T>): T {
    const codec = compileCodec<T>(type.btf, type.typeId, { label: `${this.name} value` });
    const memory = Memory.allocate(codec.size);
    this.#read("get", at, memory.bytes);
    return codec.decode(memory, 0, codec.size);
  }

  /** Stores a value of a C type at a place. @throws BpfError VALUE_INVALID */
  set<T>(at: number | bigint, type: CType<T>, value: T): this {
    const codec = compileCodec<T>(type.btf, type.typeId, { label: `${this.name} value` });
    const memory = Memory.allocate(codec.size);
    codec.encode(memory, 0, value);
    this.#write("set", at, memory.bytes);
    return this;
  }

  #read(operation: string, at: number | bigint, bytes: Uint8Array): void {
    const address = this.#place(operation, at, bytes.byteLength);
    if (bytes.byteLength > 0)
      attempt({ doing: `read arena ${this.name}`, meanings: NO_PAGE }, () => this.native.readMemory(address, bytes));
  }

  #write(operation: string, at: number | bigint, bytes: Uint8Array): void {
    const address = this.#place(operation, at, bytes.byteLength);
    if (bytes.byteLength > 0)
      attempt({ doing: `write arena ${this.name}`, meanings: NO_PAGE }, () => this.native.writeMemory(address, bytes));
  }

  #place(operation: string, at: number | bigint, length: number): bigint {
    const { address } = this;
    if (typeof at !== "bigint" && !Number.isSafeInteger(at))
      throw invalid(`${this.name}.${operation}: a place is a whole number or a bigint, got ${shown(at)}`);
    const offset = typeof at === "bigint" ? at - address : BigInt(at);
    if (offset < 0n || offset + BigInt(length) > BigInt(this.byteLength)) {
      const place = typeof at === "bigint" ? `address 0x${at.toString(16)}` : `offset ${at}`;
      throw invalid(
        `${this.name}.${operation}: ${length} bytes at ${place} are not within the arena's ${this.byteLength}, which begin at 0x${address.toString(16)}`,
      );
    }
    return address + offset;
  }

  #map(native: NativeMap): bigint {
    const { mapExtra } = native.info();
    return attempt({ doing: `map arena ${this.name}`, meanings: ELSEWHERE }, () =>
      native.mapArena(mapExtra, this.byteLength),
    );
  }

  /** The start of the mapping that libbpf has made, of which it tells only where the arena's variables are. */
  #find(inside: bigint): bigint {
    const there = regionAt(ownRegions(), inside);
    if (there?.path?.includes("bpf-map") && there.end - there.start === BigInt(this.byteLength)) return there.start;
    throw new BpfError({ code: "NOT_FOUND", message: `arena ${this.name} is not mapped in this process` });
  }
}

function ownRegions(): MappedRegion[] {
  return parseMaps(readFileSync("/proc/self/maps", "utf8"));
}

/**
 * Refuses an arena whose declared address is taken in this process, by the object's arena that was loaded before, say: libbpf maps it there all
 * the same (MAP_FIXED), over what is there.
 * @throws BpfError BUSY
 */
export function checkArenaAddress(name: string, address: bigint, pages: number): void {
  const end = address + BigInt(pages * PAGE);
  const there = ownRegions().find((region) => region.start < end && address < region.end);
  if (there === undefined) return;
  throw new BpfError({
    code: "BUSY",
    message: `cannot map arena ${name}: its address 0x${address.toString(16)} (map_extra) is taken in this process (${there.name}${there.path === undefined ? "" : ` ${there.path}`})`,
  });
}

const NO_PAGE: Readonly<Record<number, Meaning>> = {
  [errno.EFAULT]: {
    code: "NOT_FOUND",
    text: "there is no page, and the arena was declared not to make one when it is touched (BPF_F_SEGV_ON_FAULT)",
  },
};

const ELSEWHERE: Readonly<Record<number, Meaning>> = {
  [errno.EBUSY]: {
    code: "BUSY",
    text: "a process has mapped it at an address of its own; declare the arena with one (map_extra)",
  },
  [errno.EINVAL]: { code: "BUSY", text: "it is mapped already, at another address" },
  [errno.EEXIST]: {
    code: "BUSY",
    text: "its address is taken in this process, for example by another handle's mapping",
  },
};
