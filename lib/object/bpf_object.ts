import type { LoadedObject } from "./loaded_object.js";
import { type OpenedObject, type OpenOptions, openObject } from "./opened_object.js";
import type { ObjectSource } from "./source.js";

/**
 * A BPF object file that clang made: `clang -target bpf -g -O2 -c drops.bpf.c -o drops.bpf.o`.
 *
 * @example
 * ```ts
 * import { BpfObject } from "ebpf";
 * const opened = BpfObject.open("drops.bpf.o");
 * opened.rodata.only_pid = process.pid;
 * using drops = await opened.load();
 * drops.attach();
 * ```
 */
export const BpfObject = {
  /**
   * Parses an object file; nothing of it is in the kernel yet.
   * @throws BpfError NOT_FOUND, OBJECT_INVALID, BTF_MISSING, BTF_INVALID, INVALID_ARGUMENT
   */
  open(source: ObjectSource, options: OpenOptions = {}): OpenedObject {
    return openObject(source, options);
  },

  /** Opens and loads in one step. @throws what {@link OpenedObject.load} throws */
  async load(source: ObjectSource, options: OpenOptions = {}): Promise<LoadedObject> {
    return openObject(source, options).load();
  },
} as const;
