/** A producer flat out on one core, and a listener for plain objects: whether it keeps up, and what a record costs it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { program, threads } from "./build.mjs";
import { load, Rig, sink } from "./rig.mjs";

/** Of /proc/<pid>/stat: sysconf(_SC_CLK_TCK) is 100 on every architecture that has BPF. */
const TICK_NS = 1e7;
const RUNS_PER_CALL = 4096;
/** Records per run, as ring.bpf.c has it. */
const PER_RUN = 32;

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The program itself, run back to back by a thread: nothing can produce faster. */
export async function flood({ ringBytes, seconds, wakeup, named }) {
  const object = await load(ringBytes, {}, (opened) => {
    opened.ring("records").wakeup = wakeup;
  });
  try {
    const ring = object.ringBuffer("records");
    const rig = new Rig(object, ring, "send_records");
    const thread = threads();
    let count = 0;
    ring.on("event", (record) => {
      sink.mixed ^= record.value;
      count++;
    });
    const before = rig.c.cpuNs();
    const producer = thread.flood(rig.program.fd, RUNS_PER_CALL);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { cpuNs, runs, error } = thread.stop(producer);
    if (error < 0) throw new Error(`the producer failed: ${error}`);
    ring.flush();
    const cpu = rig.c.cpuNs() - before - cpuNs;
    const { produced, lost } = ring.totals;
    if (produced !== runs * PER_RUN || count + lost !== produced)
      throw new Error(`${runs * PER_RUN} sent, ${produced} produced, ${count} delivered, ${lost} lost`);
    return {
      name: `ebpf, the program run back to back, ${named}`,
      produced,
      lost,
      cpu: cpu / count,
      rate: produced / seconds,
    };
  } finally {
    object.close();
  }
}

/** A process that calls a traced function back to back, so that bpftrace can trace the same. */
class Traced {
  constructor() {
    this.binary = program("traced");
    this.child = spawn(this.binary, { stdio: ["pipe", "pipe", "inherit"] });
    this.output = "";
    this.child.stdout.on("data", (text) => {
      this.output += text;
    });
  }

  async run(seconds) {
    this.child.stdin.end("\n");
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.child.kill("SIGTERM");
    await once(this.child, "close");
    return Number(this.output);
  }
}

export async function tracedCalls({ ringBytes, seconds, wakeup, named }) {
  const object = await load(ringBytes, {}, (opened) => {
    opened.ring("records").wakeup = wakeup;
  });
  try {
    const ring = object.ringBuffer("records");
    const rig = new Rig(object, ring, "send_call");
    const traced = new Traced();
    const link = rig.program.attachUprobe(traced.binary, "traced_call");
    let count = 0;
    ring.on("event", (record) => {
      sink.mixed ^= record.value;
      count++;
    });
    const before = rig.c.cpuNs();
    const calls = await traced.run(seconds);
    ring.flush();
    const cpu = rig.c.cpuNs() - before;
    link.close();
    const { produced, lost } = ring.totals;
    if (produced !== calls || count + lost !== produced)
      throw new Error(`${calls} calls, ${produced} produced, ${count} delivered, ${lost} lost`);
    return { name: `ebpf, a uprobe, ${named}`, produced, lost, cpu: cpu / count, rate: produced / seconds };
  } finally {
    object.close();
  }
}

/** The same fields printed by bpftrace, into a pipe. Undefined where it is not installed. */
export async function bpftrace({ seconds }) {
  if (spawnSync("bpftrace", ["--version"]).status !== 0) return undefined;
  const traced = new Traced();
  // What it prints stays in its buffer for long; what system() prints does not. Both come after it has attached.
  const script = `BEGIN { system("echo ready >&2"); } uprobe:${traced.binary}:traced_call { printf("%llu %u %u %s\\n", nsecs, pid, arg0, comm); }`;
  const child = spawn("bpftrace", ["--unsafe", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let lost = 0;
  let rest = "";
  child.stdout.on("data", (text) => {
    rest += text;
    const whole = rest.lastIndexOf("\n") + 1;
    for (const [, events] of rest.slice(0, whole).matchAll(/Lost (\d+) events/g)) lost += Number(events);
    rest = rest.slice(whole);
  });
  child.stderr.on("data", (text) => {
    said += text;
  });
  await until(() => said.includes("ready\n") || child.exitCode !== null);
  if (child.exitCode !== null) throw new Error(`bpftrace: ${said}`);
  const cpuOf = () => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_NS;
  };
  const before = cpuOf();
  const calls = await traced.run(seconds);
  // Until it has nothing more to do.
  let last = -1;
  while (last !== cpuOf()) {
    last = cpuOf();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const closed = once(child, "close");
  child.kill("SIGINT");
  await closed;
  const cpu = (last - before) / (calls - lost);
  return { name: "bpftrace printf, the same uprobe", produced: calls, lost, cpu, rate: calls / seconds };
}
