/** Maps that `load()` pins, or finds pinned already. */
import { errno } from "../kernel/errno.js";
import type { Meaning } from "../kernel/explain.js";
import { flagNames } from "../kernel/flags.js";
import { MAP_CREATE_FLAGS } from "../map/map_info.js";
import { openMap } from "../map/open_map.js";
import { mapTypeName } from "../map/opened_map.js";
import type { NativeAddon, NativeMapDefinition } from "../native.js";

/** What libbpf says, who found it: which of its parameters are others it does not. */
const MISMATCH = /couldn't reuse pinned map at '([^']+)': parameter mismatch/;

/** The same of a path that is no place for pins. */
const NO_BPF_FS = /specified path (.+) is not on BPF FS/;

/** Why a map cannot be pinned, or one that is pinned cannot be used in its place; nothing when that is not what `log` is about. */
export function explainPinned(
  addon: NativeAddon,
  log: readonly string[],
  maps: readonly NativeMapDefinition[],
): Readonly<Record<number, Meaning>> {
  const elsewhere = NO_BPF_FS.exec(log.join("\n"))?.[1];
  if (elsewhere !== undefined) {
    const text = `${elsewhere} is not in a bpf file system (mount -t bpf bpf /sys/fs/bpf), and so no map is pinned there`;
    return { [errno.EINVAL]: { code: "INVALID_ARGUMENT", text } };
  }
  const path = MISMATCH.exec(log.join("\n"))?.[1];
  const declared = path === undefined ? undefined : maps.find((map) => map.pinPath === path);
  if (path === undefined || declared === undefined) return {};
  using there = openMap(path);
  const info = there.info();
  const flags = (names: readonly string[]) => (names.length === 0 ? "none" : names.join(", "));
  const differences = [
    ["type", info.type, mapTypeName(addon, declared.type)],
    ["keySize", info.keySize, declared.keySize],
    ["valueSize", info.valueSize, declared.valueSize],
    ["maxEntries", info.maxEntries, declared.maxEntries],
    ["flags", flags(info.flags), flags(flagNames(MAP_CREATE_FLAGS, declared.flags))],
    ["extra", info.extra, declared.mapExtra],
  ].flatMap(([what, is, wanted]) => (is === wanted ? [] : [`its ${what} is ${is}, not ${wanted}`]));
  return {
    [errno.EINVAL]: {
      code: "INVALID_ARGUMENT",
      text: `the map pinned at ${path} cannot take the place of ${declared.name}: ${differences.join(", ")}; unpin it, or set another pinPath or pinRoot`,
    },
  };
}
