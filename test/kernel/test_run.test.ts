/** Programs that are run with a context and data of their C types. */
import { BpfObject, type Program } from "ebpf";
import { build } from "ebpf/build";
import { describe, expect } from "vitest";
import { Hist } from "../fixtures/hist.bpf.js";
import { openOnly } from "./support/attach.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { errorOf } from "./support/errors.js";
import { requires } from "./support/requires.js";
import { Child, run } from "./support/run.js";
import { until } from "./support/until.js";

nothingStaysOpen();

const CODE = `
  #include <linux/bpf.h>
  #include <bpf/bpf_helpers.h>
  #include <bpf/bpf_endian.h>

  struct ping { __u8 ethernet[14]; __be16 port; __u32 number; char text[8]; };
  const struct ping unused_ping;

  SEC("tc") int answer(struct __sk_buff *skb) {
    struct ping *ping = (void *)(long)skb->data;
    if ((void *)(ping + 1) > (void *)(long)skb->data_end) return 1;
    ping->number += skb->mark;
    ping->port = bpf_htons(bpf_ntohs(ping->port) + 1);
    __builtin_memcpy(ping->text, "pong", 5);
    skb->mark = 9;
    return 77;
  }
  char _license[] SEC("license") = "GPL";`;

interface Ping {
  ethernet: Uint8Array;
  port: number;
  number: number;
  text: string;
}

interface SkBuff {
  mark: number;
  len: number;
  priority: number;
  ifindex: number;
}

// clang takes long where its every instruction is emulated, and what is shown is the library's.
requires({ notInVm: true, kernel: ">=5.3" }).test(
  "a packet and its context, typed: of the context what matters",
  async () => {
    using object = await BpfObject.load((await build({ code: CODE })).object);
    const program = object.program("answer");
    const data = { ethernet: new Uint8Array(14).fill(2), port: 4242, number: 40, text: "ping" };
    const result = program.testRun<SkBuff, Ping>({
      dataType: "struct ping",
      data,
      contextType: "struct __sk_buff",
      context: { mark: 2, priority: 5 },
    });
    expect(result.returnValue).toBe(77);
    expect(result.data).toEqual({ ...data, port: 4243, number: 42, text: "pong" });
    expect(result.context).toMatchObject({ mark: 9, priority: 5 });
    // What the kernel does not let be set is refused, and a type without the value is as well.
    const refused = await errorOf(() =>
      program.testRun<SkBuff, Ping>({
        dataType: "struct ping",
        data,
        contextType: "struct __sk_buff",
        context: { len: 1000 },
      }),
    );
    expect(refused).toMatchObject({ code: "INVALID_ARGUMENT" });
    const unknown = await errorOf(() => program.testRun({ contextType: "struct sk_bufff", context: {} as Uint8Array }));
    expect(unknown).toMatchObject({ code: "BTF_NOT_FOUND" });
  },
);

/** Sends this process a signal, again and again, until it is killed. */
class Signals implements AsyncDisposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(name: string): Promise<Signals> {
    const child = new Child("sh", ["-c", `echo on; while kill -${name} ${process.pid}; do sleep 0.001; done`]);
    await until("a child that sends signals", () => child.stdout !== "");
    return new Signals(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.process.kill("SIGKILL");
    await this.#child.finished;
  }
}

describe("signals while a program runs many times", () => {
  const FRAME = { data: new Uint8Array(14), repeat: 500_000 };
  const XDP_PASS = 2;

  async function signalled(name: string, act: (program: Program) => void): Promise<void> {
    using object = await openOnly("attach_net", ["on_xdp"]).load();
    let handled = 0;
    const handle = () => handled++;
    process.on(`SIG${name}`, handle);
    try {
      await using _signals = await Signals.start(name);
      act(object.program("on_xdp"));
      await until(`SIG${name} to be handled`, () => handled > 0);
    } finally {
      process.off(`SIG${name}`, handle);
    }
  }

  requires({}).test("do not interrupt it", async () => {
    for (const name of ["CHLD", "PROF", "TSTP"]) {
      await signalled(name, (program) => {
        for (let i = 0; i < 5; i++) expect(program.testRun(FRAME).returnValue).toBe(XDP_PASS);
      });
    }
  });

  // After each, libuv closes an io_uring, and what the kernel then has to tell this thread counts as a signal.
  requires({}).test("nor do the ends of children that were waited for", async () => {
    using object = await openOnly("attach_net", ["on_xdp"]).load();
    for (let i = 0; i < 5; i++) {
      run("true");
      expect(object.program("on_xdp").testRun(FRAME).returnValue).toBe(XDP_PASS);
    }
  });
});

// Programs of raw tracepoints run on a CPU by its number, from 5.10 on.
requires({ kernel: ">=5.10" }).test("on a CPU that there is not", async () => {
  using object = await Hist.load();
  expect(await errorOf(() => object.programs.count_on_cpu.testRun({ cpu: 0xffff }))).toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringContaining("CPU 65535 is not there, or off line"),
  });
});
