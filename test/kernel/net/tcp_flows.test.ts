import { type TcpFlow, type TcpFlowEvent, type TcpFlowsOptions, tcpFlows } from "ebpf/net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Actor } from "../support/actor.js";
import { TestCgroup } from "../support/cgroup.js";
import { nodeComm } from "../support/comm.js";
import { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const MEBIBYTE = 1024 * 1024;

/** Body for an {@link Actor}: listens, takes all that comes and answers with so many bytes when the peer is done; gives the port. */
const listening = (host: string, answer: number) => `
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("end", () => socket.end(Buffer.alloc(${answer}))).resume();
  });
  await once(server.listen(0, "${host}"), "listening");
  state.server?.close();
  state.server = server;
  return server.address().port;
`;

/** Body for an {@link Actor}: sends so many bytes; gives how many came back. */
const sending = (host: string, port: number, bytes: number) => `
  const socket = net.connect({ host: "${host}", port: ${port} });
  let received = 0;
  socket.on("data", (part) => (received += part.length));
  await once(socket, "connect");
  socket.end(Buffer.alloc(${bytes}, 7));
  await once(socket, "close");
  return received;
`;

/** Body for an {@link Actor}: connects, and sends when it is told to. */
const connecting = (port: number) => `
  state.socket = net.connect({ host: "127.0.0.1", port: ${port} });
  await once(state.socket, "connect");
`;
const FINISHING = `
  state.socket.resume().end();
  await once(state.socket, "close");
`;

async function listen(actor: Actor, host = "127.0.0.1", answer = 0): Promise<number> {
  return Number((await actor.do(listening(host, answer))).value);
}

const closes = (events: readonly TcpFlowEvent[]): TcpFlow[] =>
  events.flatMap(({ kind, flow }) => (kind === "close" ? [flow] : []));

requires({ cgroup2: true, mapType: "ringbuf" }).describe("tcpFlows", () => {
  let cgroup: TestCgroup;
  let server: Actor;
  let client: Actor;
  beforeAll(async () => {
    cgroup = new TestCgroup();
    [server, client] = await Promise.all([Actor.start(cgroup), Actor.start(cgroup)]);
  });
  afterAll(() => cgroup.close());

  async function watch(options: Omit<TcpFlowsOptions, "cgroup"> = {}) {
    const flows = await tcpFlows({ cgroup: cgroup.path, ...options });
    const events: TcpFlowEvent[] = [];
    flows.on("event", (event) => events.push(event));
    return { flows, events };
  }

  /** Both ends of connections, in the cgroup and in a network namespace. */
  const startInside = (namespace: NetNamespace): Promise<Actor> => Actor.start(cgroup, namespace);

  describe.each([
    ["IPv4", "127.0.0.1", "ipv4"],
    ["IPv6", "::1", "ipv6"],
  ] as const)("over %s", (_name, host, family) => {
    test("a child that sends exactly 1 MiB: the close says so, on both sides", async () => {
      const { flows, events } = await watch();
      using _closing = flows;
      const port = await listen(server, host, 12_345);
      expect(await client.do(sending(host, port, MEBIBYTE))).toEqual({ value: 12_345 });
      await until("both closes", () => closes(events).length === 2);
      const active = closes(events).find((flow) => flow.direction === "active") as TcpFlow;
      const passive = closes(events).find((flow) => flow.direction === "passive") as TcpFlow;
      expect(active).toMatchObject({
        family,
        localAddress: host,
        remoteAddress: host,
        remotePort: port,
        bytesSent: MEBIBYTE,
        bytesAcked: MEBIBYTE,
        bytesReceived: 12_345,
        state: "closed",
        error: undefined,
        cgroupId: cgroup.id,
        pid: client.pid,
        comm: nodeComm(),
      });
      expect(passive).toMatchObject({
        family,
        localPort: port,
        remotePort: active.localPort,
        bytesReceived: MEBIBYTE,
        bytesSent: 12_345,
        bytesAcked: 12_345,
        state: "closed",
        cgroupId: cgroup.id,
        pid: server.pid,
      });
      // A machine that is slow enough sends again even on loopback, and the payload's counters are as exact. A SYN or FIN sent again
      // is a retransmit without a byte, so only the one direction holds.
      if (active.bytesRetransmitted > 0) expect(active.retransmits).toBeGreaterThan(0);
      expect(active.srttUs).toBeGreaterThan(0);
      expect(active.durationNs).toBeGreaterThan(0n);
      expect(active.dataSegmentsOut).toBeGreaterThan(0);
      expect(active.segmentsOut).toBeGreaterThan(active.dataSegmentsOut);
      // Each change of state once, as it happened: the client closes first.
      const life = ({ id }: TcpFlow) =>
        events
          .filter(({ flow }) => flow.id === id)
          .map((event) => ("oldState" in event ? `${event.oldState} > ${event.flow.state}` : event.kind));
      expect(life(active)).toEqual([
        "connect",
        "established",
        "established > fin-wait-1",
        "fin-wait-1 > fin-wait-2",
        "fin-wait-2 > closed",
      ]);
      expect(life(passive)).toEqual([
        "established",
        "established > close-wait",
        "close-wait > last-ack",
        "last-ack > closed",
      ]);
      expect(flows.totals).toMatchObject({ lost: 0, pending: 0 });
      expect(flows.untracked).toBe(0);
      expect([...flows.flows()]).toEqual([]);
    });
  });

  test("a connection is in flows() while it lives", async () => {
    const { flows, events } = await watch();
    using _closing = flows;
    await client.do(connecting(await listen(server)));
    await until("both ends to be established", () => events.filter(({ kind }) => kind === "established").length === 2);
    const alive = [...flows.flows()];
    expect(alive.map(({ direction, state }) => `${direction} ${state}`).sort()).toEqual([
      "active established",
      "passive established",
    ]);
    await client.do(FINISHING);
    await until("both closes", () => closes(events).length === 2);
    expect([...flows.flows()]).toEqual([]);
  });

  test("without changes of state, where they are not wanted", async () => {
    const { flows, events } = await watch({ states: false });
    using _closing = flows;
    expect((await client.do(sending("127.0.0.1", await listen(server), 10))).error).toBeUndefined();
    await until("both closes", () => closes(events).length === 2);
    expect(events.map(({ kind }) => kind).sort()).toEqual(["close", "close", "connect", "established", "established"]);
  });

  test("close() after shutdown(), with bytes still to be sent, is no change of state", async () => {
    const { flows, events } = await watch();
    using _closing = flows;
    // As an HTTP server does that answers and keeps no connection: the kernel tells of both calls, with the same state.
    const { value: port } = await server.do(`
      const server = net.createServer((socket) => {
        socket.write(Buffer.alloc(${MEBIBYTE}));
        socket.destroySoon();
      });
      await once(server.listen(0, "127.0.0.1"), "listening");
      state.server?.close();
      state.server = server;
      return server.address().port;
    `);
    // The one that does not end its side before.
    const received = await client.do(`
      const socket = net.connect({ host: "127.0.0.1", port: ${port} });
      let received = 0;
      socket.on("data", (part) => (received += part.length));
      await once(socket, "close");
      return received;
    `);
    expect(received).toEqual({ value: MEBIBYTE });
    await until("both closes", () => closes(events).length === 2);
    const changes = events.flatMap((event) =>
      "oldState" in event ? [`${event.flow.direction}: ${event.oldState} > ${event.flow.state}`] : [],
    );
    expect(changes).toContain("passive: established > fin-wait-1");
    expect(new Set(changes).size).toBe(changes.length);
    for (const change of changes) expect(change).not.toMatch(/(\S+) > \1$/);
  });

  test("a connection that is refused closes with ECONNREFUSED", async () => {
    const { flows, events } = await watch();
    using _closing = flows;
    // A port that was free a moment ago, and that nobody listens on.
    const port = await listen(server);
    await server.do('await once(state.server.close(), "close")');
    expect(await client.do(connecting(port))).toEqual({ error: "ECONNREFUSED" });
    await until("the close", () => closes(events).length === 1);
    expect(closes(events)[0]).toMatchObject({
      error: "ECONNREFUSED",
      direction: "active",
      remotePort: port,
      bytesSent: 0,
      establishedNs: undefined,
    });
  });

  test("filters hold in the kernel: port", async () => {
    const port = await listen(server);
    const other = await listen(client);
    const { flows, events } = await watch({ port });
    using _closing = flows;
    await server.do(sending("127.0.0.1", other, 10));
    await client.do(sending("127.0.0.1", port, 10));
    await until("both closes", () => closes(events).length === 2);
    expect(new Set(events.flatMap(({ flow }) => [flow.localPort, flow.remotePort])).has(other)).toBe(false);
    expect(flows.totals.produced).toBe(events.length);
  });

  test("filters hold in the kernel: process", async () => {
    const port = await listen(server);
    const { flows, events } = await watch({ pid: client.pid });
    using _closing = flows;
    await client.do(sending("127.0.0.1", port, 5));
    await until("the close", () => closes(events).length === 1);
    expect(new Set(events.map(({ flow }) => `${flow.pid} ${flow.direction}`))).toEqual(
      new Set([`${client.pid} active`]),
    );
    expect(closes(events)[0]?.bytesSent).toBe(5);
  });

  test("filters hold in the kernel: network namespace", async () => {
    using namespace = new NetNamespace();
    const { flows, events } = await watch({ netns: namespace.path });
    using _closing = flows;
    const inside = await startInside(namespace);
    await client.do(sending("127.0.0.1", await listen(server), 10));
    await inside.do(sending("127.0.0.1", await listen(inside), 10));
    await until("both closes", () => closes(events).length === 2);
    expect(events.every(({ flow }) => flow.netns === namespace.inode)).toBe(true);
    expect(flows.totals.produced).toBe(events.length);
  });

  test("segments that are lost on the way are retransmits, and the payload's count stays exact", async () => {
    using namespace = new NetNamespace();
    const { flows, events } = await watch({ netns: namespace.path, retransmits: true, rtt: true });
    using _closing = flows;
    const inside = await startInside(namespace);
    const port = await listen(inside);
    await inside.do(connecting(port));
    const seen = (kind: TcpFlowEvent["kind"]) => events.filter((event) => event.kind === kind);
    await until("both ends to be established", () => seen("established").length === 2);
    namespace.nft(
      "add table inet test",
      "add chain inet test input { type filter hook input priority 0 ; }",
      `add rule inet test input tcp dport ${port} drop`,
    );
    await inside.do("state.socket.write(Buffer.alloc(1000))");
    const [again] = await until("a retransmit", () => (seen("retransmit").length > 0 ? seen("retransmit") : undefined));
    expect(again).toMatchObject({ segments: 1, flow: { direction: "active", remotePort: port, state: "established" } });
    namespace.nft("flush chain inet test input");
    await inside.do(FINISHING);
    await until("both closes", () => closes(events).length === 2);
    const active = closes(events).find((flow) => flow.direction === "active") as TcpFlow;
    expect(active).toMatchObject({ bytesSent: 1000, bytesAcked: 1000, error: undefined });
    expect(active.retransmits).toBeGreaterThanOrEqual(1);
    expect(active.bytesRetransmitted).toBeGreaterThanOrEqual(1000);
    expect(active.bytesRetransmitted % 1000).toBe(0);
    expect(closes(events).find((flow) => flow.direction === "passive")).toMatchObject({ bytesReceived: 1000 });
    const samples = events.flatMap((event) => (event.kind === "rtt" ? [event] : []));
    for (const { sampleUs } of samples) expect(sampleUs).toBeGreaterThan(0);
  });

  test("what is outside the cgroup is not seen", async () => {
    await using outside = new TestCgroup();
    const { flows, events } = await watch();
    using _closing = flows;
    const stranger = await Actor.start(outside);
    await stranger.do(sending("127.0.0.1", await listen(stranger), 10));
    await client.do(sending("127.0.0.1", await listen(server), 10));
    await until("both closes", () => closes(events).length === 2);
    expect(events.every(({ flow }) => flow.cgroupId === cgroup.id)).toBe(true);
  });
});

describe("tcpFlows' options", () => {
  test("misspelt or wrong ones are refused", async () => {
    await expect(tcpFlows({} as TcpFlowsOptions)).rejects.toThrow("tcpFlows: say which cgroup to watch");
    await expect(tcpFlows({ cgroup: "/tmp" })).rejects.toThrow("is not a cgroup v2 directory");
    await expect(tcpFlows({ cgroop: "/tmp" } as object as TcpFlowsOptions)).rejects.toThrow(
      'unknown option "cgroop" (did you mean "cgroup"?)',
    );
  });
});
