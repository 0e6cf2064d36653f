import type { NativeObject } from "../native.js";

/** Everything that was set on an opened object, so that a second one can be made like it: libbpf loads an object only once. */
export interface ObjectSettings {
  readonly programs: readonly { readonly autoload: boolean; readonly logLevel: number; readonly flags: number }[];
  readonly maps: readonly {
    readonly type: number;
    readonly keySize: number;
    readonly valueSize: number;
    readonly maxEntries: number;
    readonly numaNode: number;
    readonly autocreate: boolean;
    readonly pinPath: string | undefined;
    readonly data: Uint8Array | undefined;
  }[];
}

export function captureSettings(native: NativeObject): ObjectSettings {
  return {
    programs: native.programs.map(({ autoload, logLevel, flags }) => ({ autoload, logLevel, flags })),
    maps: native.maps.map((map) => {
      let data: Uint8Array | undefined;
      if (map.dataSize > 0) {
        data = new Uint8Array(map.dataSize);
        map.readData(0, data);
      }
      const { type, keySize, valueSize } = map;
      return {
        type,
        keySize,
        valueSize,
        maxEntries: map.maxEntries,
        numaNode: map.numaNode,
        autocreate: map.autocreate,
        pinPath: map.pinPath,
        data,
      };
    }),
  };
}

/** The same object file, so programs and maps correspond by position. Only what differs is set: libbpf refuses some settings on some maps. */
export function restoreSettings(native: NativeObject, settings: ObjectSettings): void {
  settings.programs.forEach((saved, i) => {
    const program = native.programs[i];
    if (program === undefined) return;
    program.autoload = saved.autoload;
    if (program.logLevel !== saved.logLevel) program.logLevel = saved.logLevel;
    if (program.flags !== saved.flags) program.flags = saved.flags;
  });
  settings.maps.forEach((saved, i) => {
    const map = native.maps[i];
    if (map === undefined) return;
    if (map.type !== saved.type) map.type = saved.type;
    if (map.keySize !== saved.keySize) map.keySize = saved.keySize;
    if (map.valueSize !== saved.valueSize) map.valueSize = saved.valueSize;
    if (map.maxEntries !== saved.maxEntries) map.maxEntries = saved.maxEntries;
    if (map.numaNode !== saved.numaNode) map.numaNode = saved.numaNode;
    if (map.autocreate !== saved.autocreate) map.autocreate = saved.autocreate;
    if (map.pinPath !== saved.pinPath) map.pinPath = saved.pinPath;
    if (saved.data !== undefined) map.writeData(0, saved.data);
  });
}
