/** Addresses that C declares to be such (<ebpf/address.h>): text in records, keys, values, constants and variables. */
import { expect } from "vitest";
import { Addresses } from "../fixtures/addresses.bpf.js";
import { Actor } from "./support/actor.js";
import { TestCgroup } from "./support/cgroup.js";
import { nothingStaysOpen } from "./support/descriptors.js";
import { errorOf } from "./support/errors.js";
import { requires } from "./support/requires.js";
import { until } from "./support/until.js";

nothingStaysOpen();

requires({ cgroup2: true }).test(
  "what a cgroup connects to is read, passed over and sent elsewhere by text",
  async () => {
    await using cgroup = new TestCgroup();
    await using actor = await Actor.start(cgroup);
    const opened = Addresses.open();
    opened.rodata.passed_over = "127.0.0.9";
    using object = await opened.load();
    const { connections, redirected } = object.maps;
    redirected.set("127.0.0.2", { v4: "127.0.0.1", v6: "2001:db8::1", port: 80 });
    expect([...redirected]).toEqual([["127.0.0.2", { v4: "127.0.0.1", v6: "2001:db8::1", port: 80 }]]);
    expect(redirected.get("127.0.0.3")).toBeUndefined();
    const refused = await errorOf(() => redirected.set("127.0.0.4", { v4: "127.0.1", v6: "::", port: 0 }));
    expect(refused).toMatchObject({
      code: "VALUE_INVALID",
      message: 'redirected value .v4: "127.0.1" is no IPv4 address',
    });
    expect((await errorOf(() => redirected.get("::1"))).message).toBe('redirected key: "::1" is no IPv4 address');
    expect(
      (await errorOf(() => redirected.set("127.0.0.4", { v4: "127.0.0.1", v6: "::", port: -1 }))).message,
    ).toContain(".port");
    expect(redirected.count()).toBe(1);

    object.attach({ cgroup: cgroup.path });
    const { value } = await actor.do(`
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    const peers = [];
    for (const host of ["127.0.0.9", "127.0.0.2", "::1"]) {
      const socket = net.connect(port, host);
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once(host === "127.0.0.2" ? "connect" : "close", resolve));
      peers.push(socket.remoteAddress);
      socket.destroy();
    }
    server.close();
    return { port, peers };
  `);
    const { port, peers } = value as { port: number; peers: string[] };
    // What was to be at .2 is at .1.
    expect(peers[1]).toBe("127.0.0.1");
    const seen = [];
    while (seen.length < 2) seen.push(await until("a connection", () => connections.next()));
    expect(seen).toEqual([
      { v4: "127.0.0.2", v6: "::", port },
      { v4: "0.0.0.0", v6: "::1", port },
    ]);
    expect(connections.totals.produced).toBe(2);
    expect([object.bss.last, object.bss.last6, object.rodata.passed_over]).toEqual(["127.0.0.2", "::1", "127.0.0.9"]);
    object.bss.last6 = "fe80::7";
    expect(object.bss.last6).toBe("fe80::7");
    expect((await errorOf(() => (object.bss.last = "nowhere"))).message).toContain('"nowhere" is no IPv4 address');
  },
);
