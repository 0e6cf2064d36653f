import { closeSync, unlinkSync } from "node:fs";
import { BpfError } from "../errors.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import { descriptorKind } from "../kernel/handles.js";
import { IN_FOLDER } from "../kernel/rights.js";
import { native } from "../native.js";
import { checkString } from "../options.js";
import { readProgramInfo } from "./program_info.js";

interface Pinnable {
  readonly name: string;
  readonly fd: number;
}

/** @internal */
export function pinProgram(program: Pinnable, path: string): void {
  checkString("pin", "path", path);
  const { fd } = program;
  attempt(
    {
      doing: `pin ${program.name} at ${path}`,
      meanings: {
        [errno.EPERM]: {
          code: "INVALID_ARGUMENT",
          text: "the path is not on a bpf file system (mount -t bpf), or pinning is not allowed",
        },
        ...IN_FOLDER,
        [errno.ENOENT]: { code: "NOT_FOUND", text: "there is no such folder" },
      },
    },
    () => native().pinFd(fd, path),
  );
}

/** @internal */
export function unpinProgram(program: Pinnable, path: string): void {
  checkString("unpin", "path", path);
  const { id } = readProgramInfo(program.fd, program.name);
  const fd = openPinnedProgram(path);
  try {
    const there = readProgramInfo(fd, path);
    if (there.id !== id) {
      throw new BpfError({
        code: "INVALID_STATE",
        message: `unpin: at ${path} another program is pinned (${there.name}, id ${there.id}; ${program.name} is ${id}); it stays`,
      });
    }
    unlinkSync(path);
  } finally {
    closeSync(fd);
  }
}

/** A descriptor, the caller's. @throws BpfError NOT_FOUND, INVALID_ARGUMENT when it is no program */
export function openPinnedProgram(path: string): number {
  const fd = attempt(
    {
      doing: `open the program pinned at ${path}`,
      meanings: {
        [errno.ENOENT]: { code: "NOT_FOUND", text: "nothing is pinned there" },
        [errno.EACCES]: {
          code: "INVALID_ARGUMENT",
          text: "that is not a pin on a bpf file system, or access was denied",
        },
      },
    },
    () => native().openPin(path),
  );
  const kind = descriptorKind(fd);
  if (kind === undefined || kind === "prog") return fd;
  closeSync(fd);
  throw new BpfError({
    code: "INVALID_ARGUMENT",
    message: `what is pinned at ${path} is a ${kind} and not a program`,
  });
}
