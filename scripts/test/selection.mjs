/** Which tests run more than once: each only where what it shows may come out otherwise. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** @param {string} folder @param {readonly string[]} names */
function files(folder, names) {
  const found = names.map((name) => `test/kernel/${folder}${name}.test.ts`);
  // A file that was renamed would be left out, or not, without a word.
  const gone = found.find((file) => !existsSync(join(root, file)));
  if (gone !== undefined) throw new Error(`scripts/test/selection.mjs names ${gone}, which is not there`);
  return found;
}

/**
 * Tests of what this library does by itself once the kernel has done its part: accounts, decodes, reads ahead, refuses. They are the
 * longest, and one kernel is as good as another: they run on the running one, and in one virtual machine.
 */
export const OF_OUR_CODE = [
  ...files("", ["bad_input", "globals", "skeleton"]),
  ...files("events/", ["accounting", "handlers", "payload", "reader_thread", "reliability", "turn"]),
  ...files("maps/", ["array_property", "iterate", "property", "trie_property"]),
];

/** The virtual machine that runs {@link OF_OUR_CODE}: the oldest kernel with rings of both directions. */
export const KERNEL_OF_OUR_CODE = "6.1";

/** Tests of streams: where the addon keeps memory and threads of its own, which sanitizers look into. */
export const OF_STREAMS = ["test/kernel/events/", ...files("", ["ring"])];

/** Where it matters which Node it is: the addon's calls and threads, the event loop, what V8 compiles; not what clang or the kernel make. */
export const WITH_EVERY_NODE = [
  ...["btf", "cli", "codec", "histogram", "map", "object"].map((folder) => `test/unit/${folder}/`),
  ...OF_STREAMS,
  ...files("", ["command", "globals", "package", "skeleton", "test_run"]),
  ...files("maps/", ["keyed", "property"]),
];
