/** What the kernel asks sockops programs, and what it makes of the answer: each is seen on a connection, by ss(8). */
import { afterAll, beforeAll, describe, expect } from "vitest";
import { Actor } from "../support/actor.js";
import { runsOnlyWhileAttached, type Seen, Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";

const needed = requires({ cgroup2: true, netns: true });

/** BPF_SOCK_OPS_* of include/uapi/linux/bpf.h. */
const [TIMEOUT_INIT, RWND_INIT, NEEDS_ECN] = [1, 2, 6];
const PORT = 4343;
/** Of an MTU of 1500: without the headers of IPv4 and TCP, and the timestamp. */
const SEGMENT = 1500 - 20 - 20 - 12;
/** Who is there and never answers. */
const SILENT = "10.91.0.9";

let cgroup: TestCgroup;
let namespace: NetNamespace;
let actor: Actor;
beforeAll(async () => {
  if (needed.reason !== undefined) return;
  cgroup = new TestCgroup();
  namespace = new NetNamespace();
  namespace.ip("link", "set", "lo", "mtu", "1500");
  // What is sent to the other end of the pair is for a machine that it is not.
  namespace.ip(..."link add veth0 type veth peer name veth1".split(" "));
  for (const device of ["veth0", "veth1"]) namespace.ip("link", "set", device, "up");
  namespace.ip("addr", "add", "10.91.0.1/24", "dev", "veth0");
  namespace.ip(..."neigh add".split(" "), SILENT, ..."lladdr 02:00:00:00:00:09 dev veth0".split(" "));
  // ECN for those who ask for it.
  namespace.run("sysctl", "-qw", "net.ipv4.tcp_ecn=2", "net.ipv4.tcp_timestamps=1");
  actor = await Actor.start(cgroup, namespace);
});
afterAll(async () => {
  await cgroup?.close();
  namespace?.close();
});

nothingStaysOpen();

/** Connects, to itself or to nobody, and returns what ss(8) says of the client. */
async function connection(host = "127.0.0.1"): Promise<string> {
  const connected = host === SILENT ? "" : 'await once(state.client, "connect");';
  const { error } = await actor.do(`
    state.server = net.createServer((accepted) => accepted.on("error", () => {})).listen(${PORT}, "127.0.0.1");
    await once(state.server, "listening");
    state.client = net.connect(${PORT}, "${host}").on("error", () => {});
    ${connected}
  `);
  expect(error).toBeUndefined();
  const told = namespace.run("ss", "-tinoH", "state", host === SILENT ? "syn-sent" : "established", "dport", `${PORT}`);
  await actor.do(`
    if (state.client.connecting) state.client.destroy();
    else state.client.resetAndDestroy();
    state.server.close();
    await once(state.server, "close");
  `);
  return told;
}

/** What the words are before the answer, with it, and after it. */
async function answered<T>(
  question: number,
  value: number,
  cause: () => Promise<T>,
  expected: Partial<Seen> = {},
): Promise<T[]> {
  using watched = await Watched.load("attach_rewrite", ["to_question"], ({ rodata }) => {
    Object.assign(rodata, { question, value });
  });
  const came: T[] = [];
  await runsOnlyWhileAttached(watched, {
    attach: () => watched.object.program("to_question").attachCgroup(cgroup.path),
    cause: async () => came.push(await cause()),
    expected: { what: 23, cookie: BigInt(question), result: BigInt(value), ...expected },
  });
  return came;
}

const number = (name: string, text: string) => Number(new RegExp(`\\b${name}:([\\d.]+)`).exec(text)?.[1]);

describe("a sockops program answers", () => {
  needed.test("RWND_INIT: how many segments the other side may send at first", async () => {
    const windows = await answered(RWND_INIT, 3, async () => number("snd_wnd", await connection()));
    const [before = 0, answer, after] = windows;
    expect(before).toBeGreaterThan(40 * SEGMENT);
    expect([answer, after]).toEqual([3 * SEGMENT, before]);
  });

  needed.test("TIMEOUT_INIT: how long the first answer is waited for, in ticks of the kernel", async () => {
    // Long enough for none to pass while the test looks.
    const ticks = 5000;
    const expected = { a: BigInt(PORT) };
    const timeout = async () => number("rto", await connection(SILENT));
    const [before = 0, once, after = 0] = await answered(TIMEOUT_INIT, ticks, timeout, expected);
    // By CONFIG_HZ; without an answer a second, which doubles when it has passed.
    expect([100, 250, 300, 1000].map((hz) => Math.floor((ticks * 1000) / hz))).toContain(Math.floor(once ?? 0));
    const [, twice] = await answered(TIMEOUT_INIT, 2 * ticks, timeout, expected);
    expect(Math.floor((twice ?? 0) / 2)).toBe(Math.floor(once ?? 0));
    for (const second of [before, after]) expect([1000, 2000, 4000]).toContain(second);
  });

  needed.test("NEEDS_ECN: both sides mark congestion", async () => {
    const options = async () => (await connection()).split(/\s+/).filter((word) => word.startsWith("ecn"));
    const [before, answer, after] = await answered(NEEDS_ECN, 1, options);
    expect(before).toEqual([]);
    expect(answer).toContain("ecn");
    expect(after).toEqual([]);
  });
});
