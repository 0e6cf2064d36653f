/** What the code of every skeleton calls: opens the object that it was made from, and no other. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BpfError } from "../errors.js";
import type { ObjectCore } from "../object/core.js";
import type { LoadedObject } from "../object/loaded_object.js";
import type { ObjectShape } from "../object/object_shape.js";
import { OpenedObject, type OpenOptions, openCore } from "../object/opened_object.js";
import type { ObjectSource } from "../object/source.js";
import { describeObject } from "./description.js";
import { fingerprint } from "./fingerprint.js";

/** Which object a skeleton was made from. */
export interface SkeletonSource {
  /** The object's file name, for messages. */
  readonly file: string;
  /** What libbpf calls it. */
  readonly name: string;
  /** Where it is ... */
  readonly url?: URL | undefined;
  /** ... or all of it, in base64. */
  readonly embedded?: string | undefined;
  /** {@link fingerprint} of the object when the skeleton was made. */
  readonly fingerprint: string;
}

/** A skeleton's class. Only `load()` makes instances. */
export type SkeletonClass<Loaded> = new (core: ObjectCore, autoattach: ReadonlySet<string>) => Loaded;

/**
 * Opens a skeleton's object. Skeletons call this; programs call `open()` of the skeleton's class.
 * @throws BpfError NOT_FOUND when the object file is not where the skeleton has it; OBJECT_INVALID when it is not the object
 * that the skeleton was made from, and what `BpfObject.open` throws
 */
export function openSkeleton<S extends ObjectShape, Loaded extends LoadedObject<S>>(
  skeleton: SkeletonClass<Loaded>,
  options: OpenOptions,
  source: SkeletonSource,
): OpenedObject<S, Loaded> {
  const core = openCore(objectOf(source), { name: source.name, ...options });
  try {
    const found = fingerprint(
      describeObject(
        {
          programs: core.programNames.map((name) => core.program(name)),
          maps: core.mapNames.map((name) => core.map(name)),
        },
        core.btfOrUndefined,
      ),
    );
    if (found !== source.fingerprint) {
      throw new BpfError({
        code: "OBJECT_INVALID",
        message: `open: ${core.image.label} is not the object that its skeleton (class ${skeleton.name}) was made from: one of them is older; run ebpf gen on ${source.file} again`,
      });
    }
    return new OpenedObject<S, Loaded>(core, (loaded, autoattach) => new skeleton(loaded, autoattach));
  } catch (error) {
    core.close();
    throw error;
  }
}

function objectOf(source: SkeletonSource): ObjectSource {
  if (source.embedded !== undefined) return Buffer.from(source.embedded, "base64");
  const { url } = source;
  if (url === undefined)
    throw new BpfError({
      code: "INVALID_ARGUMENT",
      message: `open: the skeleton of ${source.file} says neither where the object is nor what is in it`,
    });
  if (url.protocol !== "file:") {
    throw new BpfError({
      code: "NOT_FOUND",
      message: `open: ${source.file} cannot be read from ${url.protocol} (is the program bundled?); make the skeleton with ebpf gen --embed`,
    });
  }
  if (!existsSync(url)) {
    throw new BpfError({
      code: "NOT_FOUND",
      message: `open: no ${source.file} beside its skeleton (${fileURLToPath(url)}): copy it there when you build, or make the skeleton with ebpf gen --embed`,
    });
  }
  return url;
}
