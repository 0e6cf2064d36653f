// A process that ends, or loses a thread or a child, in the middle of a stream. Usage: stream.mjs
// exit|worker|fork|ref|unref <ring.bpf.o> [loop|thread] [event|timed]
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { BpfObject } from "ebpf";

const PACKET = new Uint8Array(64);

async function streaming({ path, reader, wakeup }, handler) {
  const opened = BpfObject.open(path);
  if (wakeup === "timed") opened.ring("records").wakeup = { milliseconds: 1 };
  opened.ring("records").reader = reader;
  const object = await opened.load();
  object.ringBuffer("records").on("event", handler);
  return { object, send: (runs) => object.program("generate").testRun({ data: PACKET, repeat: runs }) };
}

async function exit(options) {
  let handled = 0;
  const { send } = await streaming(options, () => {
    if (++handled < 3) return;
    console.log(`handled ${handled}`);
    process.exit(7);
  });
  send(100);
}

async function worker(options) {
  const thread = new Worker(fileURLToPath(import.meta.url), { workerData: options });
  await new Promise((resolve) => thread.once("message", resolve));
  await thread.terminate();
  const { object, send } = await streaming(options, () => {
    object.close();
    console.log("terminated after some, main goes on");
  });
  send(1);
}

/** In the worker: a stream that never rests. */
async function endless(options) {
  let told = false;
  const { send } = await streaming(options, () => {
    if (!told) parentPort.postMessage("streaming");
    told = true;
  });
  const again = () => {
    send(1000);
    setImmediate(again);
  };
  again();
}

/** Nothing else keeps the process alive: it ends, or stays for a timer that does not count. */
async function keepAlive(options, alive) {
  const { object, send } = await streaming(options, () => {});
  const ring = object.ringBuffer("records");
  await new Promise((resolve) => {
    ring.once("event", resolve);
    send(1);
  });
  ring.unref();
  if (alive) ring.ref();
  setTimeout(() => {
    console.log("kept alive");
    object.close();
  }, 200).unref();
}

async function fork(options) {
  let handled = 0;
  const { object, send } = await streaming(options, () => {
    if (++handled < 100) return;
    object.close();
    console.log("child ended, all 100 here");
  });
  send(50);
  // Descriptors are close-on-exec, mappings end with it: a child has no part in the stream.
  const { stdout } = spawnSync(
    process.execPath,
    [
      "-e",
      "process.stdout.write(String(require('fs').readdirSync('/proc/self/fd').map((fd) => { try { return require('fs').readlinkSync('/proc/self/fd/' + fd) } catch { return '' } }).filter((name) => name.includes('bpf')).length))",
    ],
    { encoding: "utf8" },
  );
  if (stdout !== "0") throw new Error(`the child has ${stdout} BPF descriptors`);
  send(50);
}

if (!isMainThread) await endless(workerData);
else {
  const [, , way, path, reader = "loop", wakeup = "event"] = process.argv;
  const ways = {
    exit,
    worker,
    fork,
    ref: (options) => keepAlive(options, true),
    unref: (options) => keepAlive(options, false),
  };
  await ways[way]({ path, reader, wakeup });
}
