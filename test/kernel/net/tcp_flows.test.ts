import { type TcpFlow, type TcpFlowEvent, type TcpFlowsOptions, tcpFlows } from "ebpf/net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestCgroup } from "../support/cgroup.js";
import { NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import type { Child } from "../support/run.js";
import { until } from "../support/until.js";

const MEBIBYTE = 1024 * 1024;

/** Listens on loopback in this process, takes all that comes and answers with `answer` bytes when the peer is done. */
const SINK = `
  import { createServer } from "node:net";
  const [host, answer] = process.argv.slice(1);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let received = 0;
    socket.on("data", (bytes) => (received += bytes.length)).on("end", () => socket.end(Buffer.alloc(Number(answer)))).on("close", () => {
      console.log("received", received);
    });
  });
  server.listen(0, host, () => console.log("port", server.address().port));
`;

const SOURCE = `
  import { connect } from "node:net";
  const [host, port, bytes] = process.argv.slice(1);
  const socket = connect({ host, port: Number(port) }, () => socket.end(Buffer.alloc(Number(bytes), 7)));
  let received = 0;
  socket.on("data", (part) => (received += part.length)).on("close", () => console.log("done", received, "from", process.pid));
`;

/** Where a {@link SINK} listens. */
const portOf = (sink: Child): Promise<number> =>
  until("the server to listen", () => Number(/port (\d+)/.exec(sink.stdout)?.[1]) || undefined);

const closes = (events: readonly TcpFlowEvent[]): TcpFlow[] =>
  events.flatMap(({ kind, flow }) => (kind === "close" ? [flow] : []));

requires({ cgroup2: true, mapType: "ringbuf" }).describe("tcpFlows", () => {
  let cgroup: TestCgroup;
  beforeEach(() => {
    cgroup = new TestCgroup();
  });
  afterEach(() => cgroup.close());

  async function watch(options: Omit<TcpFlowsOptions, "cgroup"> = {}) {
    const flows = await tcpFlows({ cgroup: cgroup.path, ...options });
    const events: TcpFlowEvent[] = [];
    flows.on("event", (event) => events.push(event));
    return { flows, events };
  }

  async function listen(host: string, answer = 0): Promise<{ child: Child; port: number }> {
    const child = cgroup.node(SINK, host, String(answer));
    return { child, port: await portOf(child) };
  }

  /** A Node script in the cgroup and in a network namespace. */
  function nodeInside(namespace: NetNamespace, script: string, ...args: string[]): Child {
    const node = [process.execPath, "--input-type=module", "--eval", script, "--", ...args];
    return cgroup.spawn("ip", ["netns", "exec", namespace.name, ...node]);
  }

  describe.each([
    ["IPv4", "127.0.0.1", "ipv4"],
    ["IPv6", "::1", "ipv6"],
  ] as const)("over %s", (_name, host, family) => {
    test("a child that sends exactly 1 MiB: the close says so, on both sides", async () => {
      const { flows, events } = await watch();
      using _closing = flows;
      const server = await listen(host, 12_345);
      const client = cgroup.node(SOURCE, host, String(server.port), String(MEBIBYTE));
      const output = await client.output();
      expect(output).toContain("done 12345");
      await until("both closes", () => closes(events).length === 2);
      const active = closes(events).find((flow) => flow.direction === "active") as TcpFlow;
      const passive = closes(events).find((flow) => flow.direction === "passive") as TcpFlow;
      expect(active).toMatchObject({
        family,
        localAddress: host,
        remoteAddress: host,
        remotePort: server.port,
        bytesSent: MEBIBYTE,
        bytesAcked: MEBIBYTE,
        bytesReceived: 12_345,
        state: "closed",
        error: undefined,
        cgroupId: cgroup.id,
        pid: client.pid,
        comm: "node",
      });
      expect(passive).toMatchObject({
        family,
        localPort: server.port,
        remotePort: active.localPort,
        bytesReceived: MEBIBYTE,
        bytesSent: 12_345,
        bytesAcked: 12_345,
        state: "closed",
        cgroupId: cgroup.id,
        pid: server.child.pid,
      });
      // A machine that is slow enough sends again even on loopback, and the payload's counters are as exact. A SYN or FIN sent again
      // is a retransmit without a byte, so only the one direction holds.
      if (active.bytesRetransmitted > 0) expect(active.retransmits).toBeGreaterThan(0);
      expect(active.srttUs).toBeGreaterThan(0);
      expect(active.durationNs).toBeGreaterThan(0n);
      expect(active.dataSegmentsOut).toBeGreaterThan(0);
      expect(active.segmentsOut).toBeGreaterThan(active.dataSegmentsOut);
      const life = events.filter(({ flow }) => flow.id === active.id).map(({ kind, flow }) => `${kind} ${flow.state}`);
      expect(life.slice(0, 2)).toEqual(["connect syn-sent", "established established"]);
      expect(life.at(-1)).toBe("close closed");
      expect(flows.totals).toMatchObject({ lost: 0, pending: 0 });
      expect(flows.untracked).toBe(0);
      expect([...flows.flows()]).toEqual([]);
    });
  });

  test("a connection is in flows() while it lives", async () => {
    const { flows, events } = await watch();
    using _closing = flows;
    const server = await listen("127.0.0.1");
    const client = cgroup.node(
      `import { connect } from "node:net";
       const socket = connect({ host: "127.0.0.1", port: ${server.port} }, () => socket.write(Buffer.alloc(1000)));
       process.stdin.on("end", () => socket.end()).resume();`,
    );
    await until("both ends to be established", () => events.filter(({ kind }) => kind === "established").length === 2);
    const alive = [...flows.flows()];
    expect(alive.map(({ direction, state }) => `${direction} ${state}`).sort()).toEqual([
      "active established",
      "passive established",
    ]);
    client.process.stdin?.end();
    await client.output();
    await until("both closes", () => closes(events).length === 2);
    expect([...flows.flows()]).toEqual([]);
  });

  test("a connection that is refused closes with ECONNREFUSED", async () => {
    const { flows, events } = await watch();
    using _closing = flows;
    // A port that was free a moment ago, and that nobody listens on.
    const server = await listen("127.0.0.1");
    server.child.process.kill("SIGKILL");
    await server.child.finished;
    const client = cgroup.node(
      `import { connect } from "node:net"; connect({ host: "127.0.0.1", port: ${server.port} }).on("error", (error) => console.log(error.code));`,
    );
    expect(await client.output()).toBe("ECONNREFUSED\n");
    await until("the close", () => closes(events).length === 1);
    expect(closes(events)[0]).toMatchObject({
      error: "ECONNREFUSED",
      direction: "active",
      remotePort: server.port,
      bytesSent: 0,
      establishedNs: undefined,
    });
  });

  test("filters hold in the kernel: port", async () => {
    const server = await listen("127.0.0.1");
    const other = await listen("127.0.0.1");
    const { flows, events } = await watch({ port: server.port });
    using _closing = flows;
    await cgroup.node(SOURCE, "127.0.0.1", String(other.port), "10").output();
    await cgroup.node(SOURCE, "127.0.0.1", String(server.port), "10").output();
    await until("both closes", () => closes(events).length === 2);
    expect(new Set(events.flatMap(({ flow }) => [flow.localPort, flow.remotePort])).has(other.port)).toBe(false);
    expect(flows.totals.produced).toBe(events.length);
  });

  test("filters hold in the kernel: process", async () => {
    const server = await listen("127.0.0.1");
    // The client waits until we know, and filter by, its process.
    const client = cgroup.node(
      `import { connect } from "node:net";
       await new Promise((resolve) => process.stdin.once("data", resolve));
       connect({ host: "127.0.0.1", port: ${server.port} }, function () { this.end("hello"); });
       process.stdin.destroy();`,
    );
    const { flows, events } = await watch({ pid: client.pid });
    using _closing = flows;
    client.process.stdin?.end("go");
    await client.output();
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
    const outside = await listen("127.0.0.1");
    await cgroup.node(SOURCE, "127.0.0.1", String(outside.port), "10").output();
    const port = await portOf(nodeInside(namespace, SINK, "127.0.0.1", "0"));
    await nodeInside(namespace, SOURCE, "127.0.0.1", String(port), "10").output();
    await until("both closes", () => closes(events).length === 2);
    expect(events.every(({ flow }) => flow.netns === namespace.inode)).toBe(true);
    expect(flows.totals.produced).toBe(events.length);
  });

  test("segments that are lost on the way are retransmits, and the payload's count stays exact", async () => {
    using namespace = new NetNamespace();
    const { flows, events } = await watch({ netns: namespace.path, retransmits: true, rtt: true });
    using _closing = flows;
    const port = await portOf(nodeInside(namespace, SINK, "127.0.0.1", "0"));
    const client = nodeInside(
      namespace,
      `import { connect } from "node:net";
       const socket = connect({ host: "127.0.0.1", port: ${port} });
       process.stdin.on("data", () => socket.write(Buffer.alloc(1000))).on("end", () => socket.end());
       socket.on("close", () => process.exit());`,
    );
    const seen = (kind: TcpFlowEvent["kind"]) => events.filter((event) => event.kind === kind);
    await until("both ends to be established", () => seen("established").length === 2);
    namespace.nft("add table inet test");
    namespace.nft("add chain inet test input { type filter hook input priority 0 ; }");
    namespace.nft(`add rule inet test input tcp dport ${port} drop`);
    client.process.stdin?.write("go");
    const [again] = await until("a retransmit", () => (seen("retransmit").length > 0 ? seen("retransmit") : undefined));
    expect(again).toMatchObject({ segments: 1, flow: { direction: "active", remotePort: port, state: "established" } });
    namespace.nft("flush chain inet test input");
    client.process.stdin?.end();
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
    const port = await portOf(outside.node(SINK, "127.0.0.1", "0"));
    await outside.node(SOURCE, "127.0.0.1", String(port), "10").output();
    const server = await listen("127.0.0.1");
    await cgroup.node(SOURCE, "127.0.0.1", String(server.port), "10").output();
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
