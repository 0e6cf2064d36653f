/** What the kernel takes by its file descriptor: something that is open, or a path to open for the while. */

import { Socket as DatagramSocket } from "node:dgram";
import { closeSync, constants, openSync } from "node:fs";
import { Server, Socket } from "node:net";
import { BpfError } from "../errors.js";
import { checkString, invalid, shown } from "../options.js";

/** An open descriptor, or what has one: a program, a map, a `FileHandle`. */
export type Descriptor = number | { readonly fd: number };

/** A socket: a connected `net.Socket`, a listening `net.Server`, a bound `dgram.Socket`, or the descriptor of any other. */
export type SocketDescriptor = Descriptor | Socket | Server | DatagramSocket;

/** @throws BpfError INVALID_ARGUMENT */
export function descriptorOf(operation: string, what: string, value: unknown): number {
  const fd = typeof value === "object" && value !== null ? (value as { readonly fd?: unknown }).fd : value;
  if (typeof fd === "number" && Number.isInteger(fd) && fd >= 0) return fd;
  throw invalid(`${operation}: ${what} must be a descriptor, or something that has one (fd), got ${shown(value)}`);
}

/** @throws BpfError INVALID_ARGUMENT, INVALID_STATE for a socket that has no descriptor (not connected, closed) */
export function socketDescriptor(operation: string, value: unknown): number {
  if (value instanceof DatagramSocket) {
    const fd = datagramDescriptor(value);
    if (fd !== undefined) return fd;
    throw new BpfError({
      code: "INVALID_STATE",
      message: `${operation}: the socket has no descriptor: only while it is bound`,
    });
  }
  if (!(value instanceof Socket || value instanceof Server)) return descriptorOf(operation, "socket", value);
  // Node has no public way to a socket's descriptor; `_handle` has been there, and used, since 0.x.
  const handle = (value as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  if (typeof handle?.fd === "number" && handle.fd >= 0) return handle.fd;
  const wanted = value instanceof Server ? "it listens" : "it is connected";
  throw new BpfError({
    code: "INVALID_STATE",
    message: `${operation}: the socket has no descriptor: only while ${wanted}`,
  });
}

/** Datagram sockets keep their handle in a state that only a symbol names; `_handle` leads there too, with a deprecation warning. */
function datagramDescriptor(socket: DatagramSocket): number | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "state symbol");
  if (symbol === undefined) return undefined;
  const state = (socket as unknown as Record<symbol, { readonly handle?: { readonly fd?: unknown } | null }>)[symbol];
  const fd = state?.handle?.fd;
  return typeof fd === "number" && fd >= 0 ? fd : undefined;
}

/** Runs `use` with a descriptor of the file, which is not opened for reading or writing (O_PATH), closed afterwards. */
export function withPath<T>(operation: string, path: string, use: (fd: number) => T): T {
  checkString(operation, "path", path);
  let fd: number;
  try {
    // O_PATH, which node:fs does not name: include/uapi/asm-generic/fcntl.h.
    fd = openSync(path, 0o10000000 | constants.O_RDONLY);
  } catch (cause) {
    const { code, errno } = cause as NodeJS.ErrnoException;
    throw new BpfError({
      code: code === "ENOENT" || code === "ENOTDIR" ? "NOT_FOUND" : code === "EACCES" ? "PERMISSION_DENIED" : "SYSTEM",
      message: `${operation}: cannot open ${path}: ${(cause as Error).message}`,
      errno: errno === undefined ? undefined : Math.abs(errno),
      cause,
    });
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}
