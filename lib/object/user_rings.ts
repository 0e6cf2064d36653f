/** User ring buffers of a loaded object: what they are written through. */
import type { Codec } from "../codec/codec.js";
import type { UserRingSource } from "../events/user_ring_buffer.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import type { ObjectCore } from "./core.js";
import { declaredUserRing, RINGS_SECTION } from "./ring_declarations.js";
import { recordType } from "./rings.js";
import { sectionWord } from "./section_word.js";

export interface UserRingOptions {
  /** The C type of the records, for a ring that was not declared with `EBPF_USER_RINGBUF`: `struct command`. By default bytes. */
  readonly type?: string | undefined;
}

export function userRingSource<T>(core: ObjectCore, name: string, options: UserRingOptions): UserRingSource<T> {
  const declaration = declaredUserRing(core, name);
  const drained = declaration === undefined ? undefined : sectionWord(core, RINGS_SECTION, declaration.drainedOffset);
  const label = `user ring ${name}`;
  const meaning = "somebody else writes it, and two writers would overwrite each other's records";
  return {
    name,
    label,
    codec: recordType(core, name, declaration?.recordType, options.type).codec as Codec<T>,
    size: () => core.map(name).maxEntries,
    drained: drained === undefined ? undefined : () => Number(drained.get()),
    fd: () => core.map(name).fd(),
    open: (onDrained) =>
      attempt(
        { doing: `write ${label}`, meanings: { [errno.EBUSY]: { code: "BUSY", text: meaning } } },
        () => new core.addon.UserRingWriter({ mapFd: core.map(name).fd(), onDrained }),
      ),
  };
}
