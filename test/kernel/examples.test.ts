import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { kernelBtf } from "ebpf";
import { describe, expect, test } from "vitest";
import { balance } from "../../examples/balancer/main.js";
import { readDrops, watchDrops } from "../../examples/drops/main.js";
import { Actor } from "./support/actor.js";
import { TestCgroup } from "./support/cgroup.js";
import { NamespacePair } from "./support/namespace.js";
import { requires } from "./support/requires.js";
import { Child } from "./support/run.js";
import { until } from "./support/until.js";

/** An example's own program, as `npm run build:lib` made it. */
const compiled = (name: string) => fileURLToPath(new URL(`../../build/examples/${name}/main.js`, import.meta.url));

describe("a service load balancer with cgroup/connect4", () => {
  test("its program has 40 lines", () => {
    const source = readFileSync(
      fileURLToPath(new URL("../../examples/balancer/balancer.bpf.c", import.meta.url)),
      "utf8",
    );
    const lines = source
      .replace(/\/\*.*?\*\/|\/\/.*$/gms, "")
      .split("\n")
      .filter((line) => line.trim() !== "");
    expect(lines.length).toBeLessThanOrEqual(40);
  });

  requires({ cgroup2: true, kernel: ">=5.7" }).test(
    "spreads connections over the backends, and leaves others alone",
    async () => {
      await using cgroup = new TestCgroup();
      const actor = await Actor.start(cgroup);
      const { value } = await actor.do(`
      state.hits = [0, 0];
      state.servers = await Promise.all([0, 1].map(async (i) => {
        const server = net.createServer((socket) => { state.hits[i]++; socket.end(); }).listen(0, "127.0.0.1");
        await once(server, "listening");
        return server;
      }));
      return state.servers.map((server) => server.address().port);
    `);
      const ports = value as number[];
      const dial = (port: number, times: number) => `
      for (let i = 0; i < ${times}; i++) {
        const socket = net.connect(${port}, "192.0.2.1");
        socket.resume();
        await once(socket, "close");
      }
      return state.hits;
    `;
      using object = await balance(
        cgroup.path,
        "192.0.2.1:80",
        ports.map((port) => `127.0.0.1:${port}`),
      );
      const hits = (await actor.do(dial(80, 40))).value as number[];
      expect((hits[0] ?? 0) + (hits[1] ?? 0)).toBe(40);
      // Forty coins that all fall the same way: once in 10^11 runs.
      expect(Math.min(...hits)).toBeGreaterThan(0);
      expect(object.bss.balanced).toBe(40n);
    },
  );

  requires({ cgroup2: true, kernel: ">=5.7" }).test(
    "runs until it is told to stop, though it reads no stream, and then says what it did",
    async () => {
      await using cgroup = new TestCgroup();
      const actor = await Actor.start(cgroup);
      const { value: port } = await actor.do(`
        const server = net.createServer((socket) => socket.end()).listen(0, "127.0.0.1");
        await once(server, "listening");
        return server.address().port;
      `);
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        const arguments_ = [compiled("balancer"), cgroup.path, "192.0.2.1:80", `127.0.0.1:${port}`];
        const child = new Child(process.execPath, arguments_);
        try {
          await until("the balancer", () => child.stdout.includes("Ctrl-C") || child.process.exitCode !== null);
          await actor.do(`
            const socket = net.connect(80, "192.0.2.1");
            socket.resume();
            await once(socket, "close");
          `);
          child.process.kill(signal);
          expect(await child.finished).toEqual({
            code: 0,
            signal: null,
            stdout: "balancing 192.0.2.1:80 over 1 backends; Ctrl-C ends it\n1 connections\n",
            stderr: "",
          });
        } finally {
          child.process.kill("SIGKILL");
        }
      }
    },
  );
});

describe("a monitor of dropped packets with tp_btf/kfree_skb", () => {
  requires({ vm: true, tracing: true, netns: true, kernel: ">=5.17" }).test(
    "tells reason, namespace, protocol and stack, of one namespace only",
    async () => {
      using pair = new NamespacePair();
      await using a = await Actor.start(pair.a);
      await using b = await Actor.start(pair.b);
      /** Datagrams to a port that nobody listens on: the one who receives them drops them. */
      const send = (to: string) => `
        const socket = dgram.createSocket("udp4").on("error", () => {});
        for (let i = 0; i < 5; i++) await new Promise((sent) => socket.send("x", 9, "${to}", sent));
        socket.close();
      `;
      using drops = await watchDrops(pair.b.path);
      await b.do(send("10.99.0.1"));
      await a.do(send("10.99.0.2"));
      const reasons = kernelBtf().enumerators("skb_drop_reason");
      await until("five drops", () => {
        const unheard = [...drops.maps.drops].filter(
          ([{ reason }]) => reasons.get(reason) === "SKB_DROP_REASON_NO_SOCKET",
        );
        return unheard.reduce((sum, [, count]) => sum + count, 0) >= 5;
      });
      const seen = readDrops(drops);
      const unheard = seen.filter(({ reason }) => reason === "NO_SOCKET");
      expect(unheard.reduce((sum, { count }) => sum + count, 0)).toBe(5);
      for (const { protocol, stack } of unheard) {
        expect(protocol).toBe(0x0800);
        expect(stack.join(" ")).toMatch(/ (__udp4_lib_rcv|udp_rcv)\+/);
      }
      expect(new Set(seen.map(({ netns }) => netns))).toEqual(new Set([pair.b.inode]));
      expect(drops.bss.not_counted).toBe(0);
    },
  );
});
