/** What a process may leave registered in the kernel as a whole: probes of tracefs, struct_ops that are no links. */
import { writeFileSync } from "node:fs";
import { BpfError } from "../errors.js";
import { errno, errnoName } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { type DefinedProbe, definedProbes } from "../kernel/kprobe_events.js";
import { type NativeMap, native } from "../native.js";
import { listMaps } from "./enumerate.js";
import type { FoundAttachment } from "./found_attachment.js";

export function attachmentsToSystem(): FoundAttachment[] {
  return [...definedProbes().map(probe), ...structOps()];
}

function probe({ kind, event, place, file }: DefinedProbe): FoundAttachment {
  const target = `${event} ${place}`;
  const remove = () => {
    try {
      writeFileSync(file, `-:${event}\n`, { flag: "a" });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new BpfError({
        code: code === "ENOENT" ? "NOT_FOUND" : code === "EBUSY" ? "BUSY" : "PERMISSION_DENIED",
        message: `cannot remove ${kind} ${target}: ${
          code === "ENOENT" ? "it is gone" : code === "EBUSY" ? "a process uses it" : `${file} cannot be written`
        } (${code})`,
        cause: error,
      });
    }
  };
  return { kind, target, programId: 0, program: "", remove };
}

/** enum bpf_struct_ops_state: registered, by a map and not by a link. */
const IN_USE = 1;

function structOps(): FoundAttachment[] {
  return listMaps().flatMap(({ id, type, name, valueSize, flags }) => {
    if (type !== "struct_ops" || flags.includes("link") || stateOf(id, valueSize) !== IN_USE) return [];
    const target = `${name} (map ${id})`;
    const remove = () => {
      const result = attempt({ doing: `unregister struct_ops ${target}` }, () =>
        withMap(id, new ArrayBuffer(valueSize), (map) => map.delete()),
      );
      if (result === 0) return;
      const gone = result === -errno.ENOENT || result === -errno.EINPROGRESS;
      throw new BpfError({
        code: gone ? "NOT_FOUND" : "SYSTEM",
        message: `cannot unregister struct_ops ${target}: ${gone ? "it is gone" : "the kernel refuses"} (${errnoName(-result)})`,
        errno: -result,
      });
    };
    return [{ kind: "struct_ops" as const, target, programId: 0, program: "", remove }];
  });
}

/** Values begin with struct bpf_struct_ops_common_value: a count of references, and the state. */
function stateOf(id: number, valueSize: number): number | undefined {
  const value = new Uint32Array(Math.ceil(valueSize / 4));
  return withMap(id, value.buffer, (map) => (map.lookup(0) === 0 ? value[1] : undefined));
}

/** The only key of a struct_ops is 0. */
function withMap<T>(id: number, value: ArrayBuffer, use: (map: NativeMap) => T): T {
  const map = native().mapFromId(id);
  try {
    map.bind(new ArrayBuffer(4), new ArrayBuffer(4), value);
    return use(map);
  } finally {
    map.close();
  }
}
