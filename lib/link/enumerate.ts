/** What is in the kernel, whoever put it there, by id. */
import { closeSync } from "node:fs";
import { MapType } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt, BY_ID, isNativeFailure } from "../kernel/explain.js";
import { InfoBuffer, textOf } from "../kernel/layout.js";
import { snakeCase } from "../kernel/since.js";
import { kernelAtLeast } from "../kernel/version.js";
import { type MapInfo, mapInfo } from "../map/map_info.js";
import { type NativeKind, native } from "../native.js";
import { type ProgramInfo, readProgramInfo } from "../program/program_info.js";
import { type LinkInfo, readLinkInfo } from "./link_info.js";

/** A BTF object in the kernel. */
export interface BtfInfo {
  readonly id: number;
  /** `vmlinux`, a module's name, or empty for a program's. Minimum kernel 5.11. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** The kernel's own, or a module's. Minimum kernel 5.11. */
  readonly kernel: boolean;
}

const MAP_TYPE_NAMES = new Map<number, string>(Object.entries(MapType).map(([name, type]) => [type, snakeCase(name)]));

/** Visits each; what vanishes in between, or is not done yet, is left out. */
function* each<T>(kind: NativeKind, read: (fd: number, id: number) => T): Generator<T, void, undefined> {
  const addon = native();
  for (let id = 0; ; ) {
    id = attempt({ doing: `list the ${kind}s in the kernel`, meanings: BY_ID }, () => addon.nextId[kind](id));
    if (id === 0) return;
    let fd: number;
    try {
      fd = addon.openById[kind](id);
    } catch (failure) {
      // EAGAIN: a link that is only being made (bpf_link_by_id()).
      if (isNativeFailure(failure) && (failure.errno === errno.ENOENT || failure.errno === errno.EAGAIN)) continue;
      throw attempt({ doing: `open the ${kind} with id ${id}`, meanings: BY_ID }, () => {
        throw failure;
      });
    }
    try {
      yield read(fd, id);
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * All programs in the kernel. Minimum kernel 4.13.
 * @throws BpfError PERMISSION_DENIED: needs CAP_SYS_ADMIN
 */
export function listPrograms(): ProgramInfo[] {
  return [...each("program", (fd, id) => readProgramInfo(fd, `the program with id ${id}`))];
}

/**
 * All maps in the kernel. Minimum kernel 4.13.
 * @throws BpfError PERMISSION_DENIED: needs CAP_SYS_ADMIN
 */
export function listMaps(): MapInfo[] {
  const addon = native();
  return [
    ...each("map", (fd) => {
      const map = addon.mapFromFd(fd);
      try {
        const raw = map.info();
        return mapInfo(raw, MAP_TYPE_NAMES.get(raw.type) ?? addon.mapTypeName(raw.type) ?? `type ${raw.type}`, map.fd);
      } finally {
        map.close();
      }
    }),
  ];
}

/**
 * All links in the kernel; {@link Link.fromId} opens one. Minimum kernel 5.8.
 * @throws BpfError PERMISSION_DENIED: needs CAP_SYS_ADMIN
 */
export function listLinks(): LinkInfo[] {
  return [...each("link", (fd, id) => readLinkInfo(fd, `the link with id ${id}`))];
}

/**
 * All BTF objects in the kernel. Minimum kernel 4.18.
 * @throws BpfError PERMISSION_DENIED: needs CAP_SYS_ADMIN
 */
export function listBtf(): BtfInfo[] {
  return [
    ...each("btf", (fd, id) => {
      const name = new Uint8Array(64);
      // struct bpf_btf_info ended with the id until 5.11, and a kernel refuses what is set behind its own end (E2BIG).
      const named = kernelAtLeast("5.11");
      const info = new InfoBuffer(32);
      if (named) {
        info.point(16, name);
        info.setU32(24, name.length);
      }
      info.fill(fd, `the BTF with id ${id}`);
      return { id: info.u32(12), name: textOf(name), size: info.u32(8), kernel: info.u32(28) === 1 };
    }),
  ];
}
