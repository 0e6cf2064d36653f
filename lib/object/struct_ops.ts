import { MapType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { Link, type LinkParts } from "../link/link.js";
import { MAP_CREATE_FLAGS } from "../map/map_info.js";
import { unknownName } from "../named.js";
import { invalid } from "../options.js";
import type { ObjectCore } from "./core.js";

/** Names of the object's struct_ops that were made. @internal */
export function structOpsNames(core: ObjectCore): string[] {
  return core.mapNames.filter((name) => core.map(name).type === MapType.structOps && core.map(name).fd() >= 0);
}

/** Registers a struct_ops. @internal */
export function attachStructOps(core: ObjectCore, name: string, onClose: (link: Link) => void): Link {
  core.mustBeOpen();
  if (!core.mapNames.includes(name)) throw unknownName(`map in ${core.image.label}`, name, structOpsNames(core));
  const map = core.map(name);
  if (map.type !== MapType.structOps) throw invalid(`attachStructOps: ${name} is not a struct_ops`);
  const parts = attempt(
    {
      doing: `attach struct_ops ${name}`,
      meanings: {
        [errno.EEXIST]: { code: "EXISTS", text: "one of that name is registered already" },
        [errno.EBUSY]: { code: "BUSY", text: "it is registered already, or on its way out" },
        [errno.EINVAL]: {
          code: "INVALID_ARGUMENT",
          text: "the kernel does not take it: a function that it needs is missing, or its name; .struct_ops.link needs kernel 6.4",
        },
      },
    },
    (): LinkParts =>
      (map.flags & MAP_CREATE_FLAGS.link) !== 0
        ? { links: [map.attachStructOps()], structOps: true }
        : // ENOENT, EINPROGRESS: another has taken it out, or is about to.
          { attachment: map.registerStructOps(), gone: [errno.ENOENT, errno.EINPROGRESS] },
  );
  return new Link(parts, { program: name, kind: "struct_ops", target: name }, onClose);
}
