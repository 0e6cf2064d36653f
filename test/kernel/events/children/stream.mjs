// A process that ends, or loses a thread or a child, in the middle of a stream. Usage: stream.mjs
// exit|worker|fork|idle|ref|unref|off <ring.bpf.o> [loop|thread] [event|adaptive|timed]
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { BpfObject } from "ebpf";

const PACKET = new Uint8Array(64);

async function streaming({ path, reader, wakeup }, handler) {
  const opened = BpfObject.open(path);
  if (wakeup === "timed") opened.ring("records").wakeup = { milliseconds: 1 };
  else opened.ring("records").wakeup = wakeup ?? "event";
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

/** All that is open, and the threads there are. */
const held = () => ({
  descriptors: readdirSync("/proc/self/fd")
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ""; // that of the listing itself
      }
    })
    .filter((target) => /bpf|eventpoll|eventfd|socket|btf/.test(target))
    .map((target) => target.replace(/\d+/, "")),
  readers: readdirSync("/proc/self/task").filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim() === "ebpf-reader";
    } catch {
      return false; // ended meanwhile
    }
  }).length,
});

async function worker(options) {
  // The first worker leaves what Node keeps for all that follow.
  await terminateInTheMiddle(options);
  const before = held();
  await terminateInTheMiddle(options);
  assert.deepEqual(held(), before);
  const { object, send } = await streaming(options, () => {
    object.close();
    console.log("terminated after some, main goes on");
  });
  send(1);
}

async function terminateInTheMiddle(options) {
  const thread = new Worker(fileURLToPath(import.meta.url), { workerData: options });
  await new Promise((resolve) => thread.once("message", resolve));
  await thread.terminate();
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
async function keepAlive(options, how) {
  const listener = () => {};
  const { object, send } = await streaming(options, listener);
  const ring = object.ringBuffer("records");
  await new Promise((resolve) => {
    ring.once("event", resolve);
    send(1);
  });
  if (how === "off") ring.off("event", listener);
  else ring.unref();
  if (how === "ref") ring.ref();
  setTimeout(() => {
    console.log("kept alive");
    object.close();
  }, 200).unref();
}

/** A stream that is read, and to which nothing comes: how often the event loop turns, and the thread is scheduled, until a timer. */
async function idle(options) {
  let got = 0;
  const { object, send } = await streaming(options, () => got++);
  send(100);
  while (got < 100) await new Promise(setImmediate);
  const sleeps = () => {
    const reader = readdirSync("/proc/self/task").find(
      (task) => readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim() === "ebpf-reader",
    );
    if (reader === undefined) return undefined;
    return Number(
      /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/self/task/${reader}/status`, "utf8"))[1],
    );
  };
  const rest = () => new Promise((resolve) => setTimeout(resolve, 400));
  // What the last records left to do is done in the first rest; and V8 may have something to do in any, as on a busy machine it has for long.
  // What the stream did would come in each.
  await rest();
  for (let times = 0; times < 20; times++) {
    const before = { turns: performance.nodeTiming.uvMetricsInfo.loopCount, sleeps: sleeps() };
    await rest();
    const turns = performance.nodeTiming.uvMetricsInfo.loopCount - before.turns;
    const woken = before.sleeps === undefined ? 0 : sleeps() - before.sleeps;
    console.log(JSON.stringify({ turns, woken }));
    if (turns <= 5 && woken === 0) break;
  }
  object.close();
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
    idle,
    ref: keepAlive,
    unref: keepAlive,
    off: keepAlive,
  };
  await ways[way]({ path, reader, wakeup }, way);
}
