/** Maps that do not come from an object: by pin, id or descriptor. */
import { Btf } from "../btf/btf.js";
import { type Descriptor, descriptorOf } from "../kernel/descriptor.js";
import { errno } from "../kernel/errno.js";
import { attempt, BY_ID } from "../kernel/explain.js";
import { native as addon, type NativeMap, type NativeMapInfo } from "../native.js";
import { checkString, invalid, shown } from "../options.js";
import type { BpfMap } from "./bpf_map.js";
import { checkClass, type MapClass } from "./map_class.js";
import { makeMapOf, typeFromBtf } from "./map_classes.js";
import { mapTypeName } from "./opened_map.js";

/**
 * Opens a map that is pinned in a bpf file system. Keys and values are of the types that the kernel has for the map (it was made from an
 * object with BTF), or else bytes. With a class, types included, as second argument that is what is returned.
 *
 * The handle is its own: closing it leaves the pin, and the map, as they are.
 *
 * @throws BpfError NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT when it is no map, or a map of another class
 * @example
 * ```ts
 * import { HashMap, openMap } from "ebpf";
 * using flows = openMap("/sys/fs/bpf/flows", HashMap<{ saddr: number; dport: number }, bigint>);
 * for (const [flow, bytes] of flows) console.log(flow.dport, bytes);
 * ```
 */
export function openMap(path: string): BpfMap;
export function openMap<M extends BpfMap>(path: string, type: MapClass<M>): M;
export function openMap(path: string, type?: MapClass<BpfMap>): BpfMap {
  checkString("openMap", "path", path);
  const native = attempt(
    {
      doing: `open the map pinned at ${path}`,
      meanings: {
        [errno.ENOENT]: { code: "NOT_FOUND", text: "there is nothing at this path" },
        [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "what is there is not a map" },
        [errno.EACCES]: {
          code: "INVALID_ARGUMENT",
          text: "what is there is not pinned: no file of a bpf file system, or not this user's to open",
        },
      },
    },
    () => addon().mapFromPin(path),
  );
  return typed(`openMap(${path})`, mapFromNative(native), type);
}

/**
 * Opens a map by the kernel's number for it, as `info().id` and `bpftool map` have it. Needs CAP_SYS_ADMIN. Minimum kernel 4.13.
 * @throws BpfError NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT
 */
export function mapById(id: number): BpfMap;
export function mapById<M extends BpfMap>(id: number, type: MapClass<M>): M;
export function mapById(id: number, type?: MapClass<BpfMap>): BpfMap {
  if (!Number.isInteger(id) || id < 0 || id > 0xffffffff)
    throw invalid(`mapById: id must be a whole number from 0 to 4294967295, got ${shown(id)}`);
  const native = attempt(
    {
      doing: `open map ${id}`,
      meanings: { ...BY_ID, [errno.ENOENT]: { code: "NOT_FOUND", text: "the kernel has no map of this id" } },
    },
    () => addon().mapFromId(id),
  );
  return typed(`mapById(${id})`, mapFromNative(native), type);
}

/**
 * A map by a descriptor that the process has, from a parent process or another library. The handle has a descriptor of its own.
 * @throws BpfError INVALID_ARGUMENT
 */
export function mapByFd(fd: Descriptor): BpfMap;
export function mapByFd<M extends BpfMap>(fd: Descriptor, type: MapClass<M>): M;
export function mapByFd(fd: Descriptor, type?: MapClass<BpfMap>): BpfMap {
  const number = descriptorOf("mapByFd", "map", fd);
  const native = attempt(
    {
      doing: `use descriptor ${number} as a map`,
      meanings: {
        [errno.EINVAL]: { code: "INVALID_ARGUMENT", text: "it is not that of a map" },
        [errno.EBADF]: { code: "INVALID_ARGUMENT", text: "it is not open" },
      },
    },
    () => addon().mapFromFd(number),
  );
  return typed("mapByFd", mapFromNative(native), type);
}

function typed(operation: string, map: BpfMap, type: MapClass<BpfMap> | undefined): BpfMap {
  return type === undefined ? map : checkClass(operation, map, type);
}

/** A map by what the kernel says of it. Owns `native`: closes it when it throws. @internal */
export function mapFromNative(native: NativeMap): BpfMap {
  try {
    const info = attempt({ doing: "read what the kernel says of a map" }, () => native.info());
    const type = mapTypeName(addon(), info.type);
    const shape = { ...info, name: info.name === "" ? `${type} ${info.id}` : info.name, type, typeNumber: info.type };
    const btf = kernelBtfOf(info);
    return makeMapOf({
      native,
      shape,
      flags: info.flags,
      keys: () => typeFromBtf(btf, info.btfKeyTypeId, info.keySize, `${shape.name} key`).codec,
      values: () => typeFromBtf(btf, info.btfValueTypeId, info.valueSize, `${shape.name} value`),
      cpus: addon().possibleCpus(),
      open: mapById,
    });
  } catch (error) {
    native.close();
    throw error;
  }
}

/** BTF by the kernel's numbers for it, which it does not give out again before it has counted to 2^31. */
const known = new Map<number, WeakRef<Btf>>();

/** The BTF that the kernel has for a map; undefined when it has none, or keeps it from this user. */
function kernelBtfOf({ btfId, btfKeyTypeId, btfValueTypeId }: NativeMapInfo): Btf | undefined {
  if (btfId === 0 || (btfKeyTypeId === 0 && btfValueTypeId === 0)) return undefined;
  const there = known.get(btfId)?.deref();
  if (there !== undefined) return there;
  let bytes: Uint8Array;
  try {
    bytes = addon().btfById(btfId);
  } catch {
    // By id needs CAP_SYS_ADMIN; a pin is opened without. Then values are bytes.
    return undefined;
  }
  const btf = Btf.parse(bytes, { name: `BTF ${btfId}` });
  known.set(btfId, new WeakRef(btf));
  return btf;
}
