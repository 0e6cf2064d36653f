import type { Btf } from "../btf/btf.js";
import { type Codec, compileCodec } from "../codec/codec.js";
import { Memory } from "../codec/memory.js";
import { ENOTSUPP } from "../kernel/abi.js";
import { errno } from "../kernel/errno.js";
import { attempt } from "../kernel/explain.js";
import type { NativeAddon } from "../native.js";
import { checkOptions, integer, invalid } from "../options.js";
import { withZeroes } from "./partial_context.js";

/** Context and Data are bytes, unless `contextType` and `dataType` name their C types. */
export interface TestRunOptions<Context = Uint8Array, Data = Uint8Array> {
  /** The packet, for programs that see one; XDP and tc want at least 14 bytes. With `dataType` still its bytes, where what comes out is of that type alone. */
  readonly data?: Data | Uint8Array | undefined;
  /**
   * C type of the data, in the object's BTF, for example `struct ping`: data is then a value of it, in and out. Of a flow dissector
   * `struct bpf_flow_keys` comes out, whatever packet goes in.
   */
  readonly dataType?: string | undefined;
  /** Bytes of room for the packet as the program leaves it; none comes back by default, or, with `dataType`, as many as that type has. */
  readonly dataRoom?: number | undefined;
  /** The context (`struct __sk_buff`, `struct xdp_md`, a raw tracepoint's or a syscall program's arguments), for program types that take one. */
  readonly context?: Context | (Context extends Uint8Array ? never : Partial<Context>) | undefined;
  /** C type of the context, in the object's BTF: context is then a value of it, in and out; members that are not said are 0. */
  readonly contextType?: string | undefined;
  /** Bytes of room for the context as the program leaves it. */
  readonly contextRoom?: number | undefined;
  /**
   * How often to run it; by default once. The event loop stands still meanwhile. Once, it is this thread that runs it; more often, another
   * one of this process, on the CPUs that this one may use, as signals for this one would interrupt it.
   */
  readonly repeat?: number | undefined;
  /** More BPF_F_TEST_* flags. */
  readonly flags?: number | undefined;
  /** Of raw tracepoints: on which CPU (BPF_F_TEST_RUN_ON_CPU; minimum kernel 5.10). */
  readonly cpu?: number | undefined;
}

export interface TestRunResult<Context = Uint8Array, Data = Uint8Array> {
  /** What the program returned, the last time: 32 bits, unsigned. */
  readonly returnValue: number;
  /** Mean nanoseconds of one run. */
  readonly durationNs: number;
  /** The packet as the program left it, if there was room. */
  readonly data: Data | undefined;
  readonly context: Context | undefined;
}

/** What can be run. @internal */
export interface Runnable {
  readonly name: string;
  readonly type: string;
  readonly fd: number;
  readonly btf: () => Btf;
}

/** BPF_F_TEST_RUN_ON_CPU, in <linux/bpf.h>. */
const TEST_RUN_ON_CPU = 1;
const ROOM = integer(0, 0x7fffffff);
const VALUE = {
  wants: "a Uint8Array, or with its type an object",
  accepts: (value: unknown) => typeof value === "object",
} as const;

/** Program types that come back with the context as they left it. */
const CONTEXT_COMES_BACK = new Set([
  "sched_cls",
  "sched_act",
  "xdp",
  "cgroup_skb",
  "sk_lookup",
  "flow_dissector",
  "syscall",
  "socket_filter",
  "lwt_in",
  "lwt_out",
  "lwt_xmit",
]);

/** One of data and context: bytes in, bytes out. */
class Side {
  readonly input: Uint8Array | undefined;
  readonly output: Uint8Array | undefined;
  readonly #codec: Codec | undefined;

  constructor(
    operation: string,
    what: string,
    program: Runnable,
    value: unknown,
    type: string | undefined,
    room: number | undefined,
  ) {
    if (type === undefined) {
      if (value !== undefined && !(value instanceof Uint8Array))
        throw invalid(`${operation}: ${what} must be a Uint8Array, or its C type be said (${what}Type)`);
      this.input = value;
      this.output = room ? new Uint8Array(room) : undefined;
      return;
    }
    const btf = program.btf();
    const typeId = btf.get(type.replace(/^(struct|union|enum)\s+/, ""));
    const codec = compileCodec(btf, typeId, { label: `${program.name} ${what}` });
    this.#codec = codec;
    if (value instanceof Uint8Array) {
      this.input = value;
    } else if (value !== undefined) {
      this.input = new Uint8Array(codec.size);
      const whole = what === "context" ? withZeroes(btf, typeId, value) : value;
      codec.encode(new Memory(this.input.buffer as ArrayBuffer), 0, whole);
    }
    this.output = (room ?? codec.size) > 0 ? new Uint8Array(room ?? codec.size) : undefined;
  }

  result(size: number): unknown {
    const { output } = this;
    if (output === undefined) return undefined;
    if (this.#codec === undefined) return output.subarray(0, size);
    return size < this.#codec.minimumSize
      ? undefined
      : this.#codec.decode(new Memory(output.buffer as ArrayBuffer), 0, size);
  }
}

/** @internal */
export function testRun<Context, Data>(
  addon: NativeAddon,
  program: Runnable,
  operation: string,
  options: TestRunOptions<Context, Data>,
): TestRunResult<Context, Data> {
  checkOptions(operation, options, {
    data: VALUE,
    dataType: "string",
    dataRoom: ROOM,
    context: VALUE,
    contextType: "string",
    contextRoom: ROOM,
    repeat: ROOM,
    flags: integer(0, 0xffffffff),
    cpu: integer(0, 0xffff),
  });
  const { fd } = program;
  const data = new Side(operation, "data", program, options.data, options.dataType, options.dataRoom);
  const typedContextRoom = options.contextType !== undefined && !CONTEXT_COMES_BACK.has(program.type) ? 0 : undefined;
  const context = new Side(
    operation,
    "context",
    program,
    options.context,
    options.contextType,
    options.contextRoom ?? typedContextRoom,
  );
  // A syscall program writes into what it is given, and takes no second buffer.
  const inPlace = program.type === "syscall";
  const result = attempt(
    {
      doing: `run ${program.name}`,
      meanings: {
        [ENOTSUPP]: { code: "KERNEL_UNSUPPORTED", text: `this kernel cannot run a ${program.type} program by itself` },
        [errno.EINVAL]: {
          code: "INVALID_ARGUMENT",
          text: `a ${program.type} program cannot be run with this data and context`,
        },
        [errno.ENXIO]: { code: "INVALID_ARGUMENT", text: `CPU ${options.cpu} is not there, or off line` },
        [errno.ENOSPC]: { code: "FULL", text: "what the program left is larger than dataRoom or contextRoom" },
      },
    },
    () =>
      addon.testRun(fd, {
        ...(data.input === undefined ? {} : { data: data.input }),
        ...(data.output === undefined ? {} : { dataOut: data.output }),
        ...(context.input === undefined ? {} : { context: context.input }),
        ...(context.output === undefined || inPlace ? {} : { contextOut: context.output }),
        // Some types are run once only, and the kernel takes no number then.
        ...(options.repeat === undefined ? {} : { repeat: options.repeat }),
        flags: (options.flags ?? 0) | (options.cpu === undefined ? 0 : TEST_RUN_ON_CPU),
        ...(options.cpu === undefined ? {} : { cpu: options.cpu }),
      }),
  );
  if (inPlace && context.input !== undefined) context.output?.set(context.input.subarray(0, context.output.length));
  return {
    returnValue: result.returnValue,
    durationNs: result.duration,
    data: data.result(result.dataSizeOut) as Data | undefined,
    context: context.result(inPlace ? (context.input?.length ?? 0) : result.contextSizeOut) as Context | undefined,
  };
}
