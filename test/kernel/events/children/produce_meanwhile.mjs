// A worker that sends while the thread that started it waits, and does nothing else. It sets done[0] when it is done.
import { workerData } from "node:worker_threads";
import { ProgramHandle } from "ebpf";

const { generate, unread, bursts, runs, awaits, done } = workerData;
const data = new Uint8Array(64);
const [send, look] = [generate, unread].map((id) => ProgramHandle.fromId(id));
const pause = new Int32Array(new SharedArrayBuffer(4));
for (let burst = 0; burst < bursts; burst++) {
  send.testRun({ data, repeat: runs });
  // Each burst fits the ring; the next goes when somebody has read this one.
  while (awaits && look.testRun({ data }).returnValue > 0) Atomics.wait(pause, 0, 0, 1);
}
send.close();
look.close();
Atomics.store(done, 0, 1);
Atomics.notify(done, 0);
