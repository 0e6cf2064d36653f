import { ProgramType } from "../../kernel/abi.js";
import { withNetnsFd } from "../../kernel/device.js";
import { errno } from "../../kernel/errno.js";
import type { Link } from "../../link/link.js";
import type { Attacher } from "../attacher.js";

export function attachNetns(attacher: Attacher, path: string): Link {
  const operation = `${attacher.name}.attachNetns`;
  attacher.mustBe(operation, [ProgramType.skLookup, ProgramType.flowDissector], "sk_lookup and flow_dissector");
  attacher.loaded("attach");
  const kind = attacher.type === ProgramType.skLookup ? "sk_lookup" : "flow_dissector";
  return withNetnsFd(operation, path, (fd) =>
    attacher.link({ kind, target: path }, (native) => native.attachNetns(fd), {
      [errno.EEXIST]: {
        code: "BUSY",
        text: "the namespace has one already, or (flow dissector) the first namespace has one for all",
      },
      [errno.E2BIG]:
        kind === "flow_dissector"
          ? { code: "BUSY", text: "the namespace has one already" }
          : { code: "FULL", text: "the namespace has as many programs as the kernel allows (64)" },
      [errno.EINVAL]: {
        code: "INVALID_ARGUMENT",
        text: `${path} is not a network namespace, or this kernel is older than 5.8`,
      },
    }),
  );
}
