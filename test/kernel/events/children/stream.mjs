// A process that ends, or loses a thread or a child, in the middle of a stream. Usage: stream.mjs exit|worker|fork <ring.bpf.o>
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { BpfObject } from "ebpf";

const PACKET = new Uint8Array(64);

async function streaming(path, handler) {
  const object = await BpfObject.load(path);
  object.ringBuffer("records").on("event", handler);
  return { object, send: (runs) => object.program("generate").testRun({ data: PACKET, repeat: runs }) };
}

async function exit(path) {
  let handled = 0;
  const { send } = await streaming(path, () => {
    if (++handled < 3) return;
    console.log(`handled ${handled}`);
    process.exit(7);
  });
  send(100);
}

async function worker(path) {
  const thread = new Worker(fileURLToPath(import.meta.url), { workerData: path });
  await new Promise((resolve) => thread.once("message", resolve));
  await thread.terminate();
  const { object, send } = await streaming(path, () => {
    object.close();
    console.log("terminated after some, main goes on");
  });
  send(1);
}

/** In the worker: a stream that never rests. */
async function endless(path) {
  let told = false;
  const { send } = await streaming(path, () => {
    if (!told) parentPort.postMessage("streaming");
    told = true;
  });
  const again = () => {
    send(1000);
    setImmediate(again);
  };
  again();
}

async function fork(path) {
  let handled = 0;
  const { object, send } = await streaming(path, () => {
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
else await { exit, worker, fork }[process.argv[2]](process.argv[3]);
