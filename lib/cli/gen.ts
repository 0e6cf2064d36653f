/** `ebpf gen`: an object file's skeleton. */
import { basename, dirname, relative } from "node:path";
import { openCore } from "../object/opened_object.js";
import { readObject } from "../object/source.js";
import { describeObject, generateSkeleton } from "../skeleton/index.js";
import { className } from "../skeleton/names.js";
import { writeIfChanged } from "./files.js";
import { type Output, plural } from "./output.js";

export interface GenOptions {
  readonly output?: string | undefined;
  readonly embed?: boolean | undefined;
  readonly class?: string | undefined;
  readonly library?: string | undefined;
}

/** `drops.bpf.o` -> `drops.bpf.ts`. */
export function skeletonPath(object: string): string {
  return `${object.replace(/\.o$/, "")}.ts`;
}

/** Writes the skeleton of an object file, and says so. */
export function gen(object: string, options: GenOptions, out: Output): void {
  const target = options.output ?? skeletonPath(object);
  const image = readObject(object);
  const core = openCore(object, {});
  let text: string;
  let summary: string;
  try {
    const description = describeObject(
      {
        programs: core.programNames.map((name) => core.program(name)),
        maps: core.mapNames.map((name) => core.map(name)),
      },
      core.btf,
    );
    text = generateSkeleton(description, {
      file: basename(object),
      path: modulePath(target === "-" ? "." : dirname(target), object),
      embed: options.embed ? image.bytes : undefined,
      className: options.class,
      library: options.library,
    });
    const variables = description.sections.reduce((sum, section) => sum + section.variables.length, 0);
    const parts = [
      plural(description.programs.length, "program"),
      plural(description.maps.length, "map"),
      plural(variables, "variable"),
    ];
    summary = `class ${options.class ?? className(basename(object))}: ${parts.join(", ")}`;
  } finally {
    core.close();
  }
  if (target === "-") {
    out.stdout.write(text);
    return;
  }
  const changed = writeIfChanged(target, text);
  out.stdout.write(`${target}  ${summary}${changed ? "" : " (unchanged)"}\n`);
}

/** The object as the module says it: relative, with `./`. */
function modulePath(from: string, object: string): string {
  const path = relative(from, object);
  return path.startsWith(".") ? path : `./${path}`;
}
