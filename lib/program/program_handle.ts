import { closeSync } from "node:fs";
import { kernelBtf } from "../btf/sources.js";
import { closedError } from "../errors.js";
import { attempt, BY_ID } from "../kernel/explain.js";
import { native } from "../native.js";
import { checkString, invalid, shown } from "../options.js";
import { openPinnedProgram, pinProgram, unpinProgram } from "./pin.js";
import { type ProgramInfo, readProgramInfo } from "./program_info.js";
import { type TestRunOptions, type TestRunResult, testRun } from "./test_run.js";

/**
 * A program in the kernel, whoever loaded it, by its id or its pin: to look at, to run, to give to a link in place of its own
 * ({@link Link.update}), to replace a function of.
 *
 * It keeps the program in the kernel until `close()` or the end of the process.
 *
 * @example
 * ```ts
 * import { ProgramHandle } from "ebpf";
 * using program = ProgramHandle.fromPin("/sys/fs/bpf/drop_all");
 * console.log(program.info().runCount);
 * ```
 */
export class ProgramHandle implements Disposable {
  readonly name: string;
  readonly type: string;
  readonly #fd: number;
  #closed = false;

  private constructor(fd: number, what: string) {
    this.#fd = fd;
    try {
      const { name, type } = readProgramInfo(fd, what);
      this.name = name;
      this.type = type;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** @throws BpfError NOT_FOUND, INVALID_ARGUMENT when what is pinned there is no program, PERMISSION_DENIED */
  static fromPin(path: string): ProgramHandle {
    checkString("ProgramHandle.fromPin", "path", path);
    return new ProgramHandle(openPinnedProgram(path), path);
  }

  /** Minimum kernel 4.13. @throws BpfError NOT_FOUND, PERMISSION_DENIED (CAP_SYS_ADMIN) */
  static fromId(id: number): ProgramHandle {
    if (!Number.isInteger(id) || id < 1 || id > 0xffffffff)
      throw invalid(`ProgramHandle.fromId: id must be a whole number from 1, got ${shown(id)}`);
    return new ProgramHandle(
      attempt({ doing: `open the program with id ${id}`, meanings: BY_ID }, () => native().openById.program(id)),
      `the program with id ${id}`,
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The descriptor, owned by the handle. @throws BpfError CLOSED */
  get fd(): number {
    if (this.#closed) throw closedError(`the handle of program ${this.name}`);
    return this.#fd;
  }

  /** See {@link Program.info}. */
  info(): ProgramInfo {
    return readProgramInfo(this.fd, this.name);
  }

  /** See {@link Program.pin}. */
  pin(path: string): void {
    pinProgram(this, path);
  }

  /** See {@link Program.unpin}. */
  unpin(path: string): void {
    unpinProgram(this, path);
  }

  /** See {@link Program.testRun}; the types of context and data are those of the kernel's BTF. */
  testRun<Context = Uint8Array, Data = Uint8Array>(
    options: TestRunOptions<Context, Data> = {},
  ): TestRunResult<Context, Data> {
    return testRun(native(), { name: this.name, type: this.type, fd: this.fd, btf: kernelBtf }, "testRun", options);
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
