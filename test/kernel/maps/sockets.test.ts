import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { SockHashMap, SockMap, snapshot } from "ebpf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MapsSockets } from "../../fixtures/maps_sockets.bpf.js";
import { fixture } from "../support/fixture.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

const AF_INET = 2;

describe("maps of sockets", () => {
  let object: MapsSockets;
  let server: Server;
  let client: Socket;
  let accepted: Socket;

  beforeEach(async () => {
    object = await MapsSockets.load();
    server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const incoming = once(server, "connection");
    client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(client, "connect");
    [accepted] = (await incoming) as [Socket];
  });
  afterEach(async () => {
    client.destroy();
    accepted.destroy();
    server.close();
    object.close();
  });

  const find = (slot: number, name: string) => {
    object.bss.slot = slot;
    object.bss.name = { text: name };
    object.programs.find.testRun({ data: new Uint8Array(64) });
    return [snapshot(object.bss.found_by_index), snapshot(object.bss.found_by_name)];
  };

  test("a program finds the very socket that we put, by index and by name", () => {
    const byIndex = object.maps.by_index;
    const byName = object.maps.by_name;
    expect(byIndex).toBeInstanceOf(SockMap);
    expect(byName).toBeInstanceOf(SockHashMap);
    byIndex.set(1, client);
    byName.set({ text: "accepted" }, accepted);
    const [local, remote] = [client.localPort as number, client.remotePort as number];
    expect(find(1, "accepted")).toEqual([
      { there: 1, family: AF_INET, local_port: local, remote_port: remote, unused: 0 },
      { there: 1, family: AF_INET, local_port: remote, remote_port: local, unused: 0 },
    ]);
    expect(find(0, "nobody").map(({ there }) => there)).toEqual([0, 0]);
    expect(byIndex.has(1)).toBe(true);
    expect(byIndex.has(0)).toBe(false);
    expect(byIndex.getCookie(1)).toBeGreaterThan(0n);
    expect(byIndex.getCookie(1)).not.toBe(byName.getCookie({ text: "accepted" }));
    expect(byName.getCookie({ text: "nobody" })).toBeUndefined();
    expect([...byName.keys()]).toEqual([{ text: "accepted" }]);
    expect(byIndex.delete(1)).toBe(true);
    expect(find(1, "accepted").map(({ there }) => there)).toEqual([0, 1]);
    byName.clear();
    expect([...byName.keys()]).toEqual([]);
    expect(client.destroyed).toBe(false);
  });

  test("a key with a union in it is given by one of its members", () => {
    const byPeer = object.maps.by_peer;
    byPeer.set({ v4: 0x7f000001, port: 80 }, client);
    expect(byPeer.has({ v4: 0x7f000001, port: 80 })).toBe(true);
    expect(byPeer.getCookie({ v6: Uint8Array.of(127, 0, 0, 1, ...new Uint8Array(12)), port: 80 })).toBeGreaterThan(0n);
    expect([...byPeer.keys()].map(({ v4 }) => v4)).toEqual([0x7f000001]);
    expect(byPeer.delete({ v4: 0x7f000001, port: 80 })).toBe(true);
  });

  test("a socket that closes is taken out", async () => {
    const byIndex = object.maps.by_index;
    byIndex.set(0, client).set(1, accepted);
    client.destroy();
    await until("the socket to be gone", () => !byIndex.has(0));
    expect(byIndex.delete(0)).toBe(false);
  });

  test("flags, and what cannot be there", () => {
    const byIndex = object.maps.by_index;
    byIndex.set(0, client, { only: "create" });
    expect(() => byIndex.set(0, client, { only: "create" })).toThrowError(expect.objectContaining({ code: "EXISTS" }));
    expect(() => byIndex.set(1, client, { only: "replace" })).toThrowError(
      expect.objectContaining({ code: "NOT_FOUND" }),
    );
    expect(() => byIndex.set(0, new Socket())).toThrowError(
      expect.objectContaining({
        code: "INVALID_STATE",
        message: expect.stringContaining("only while it is connected"),
      }),
    );
    expect(() => byIndex.set(0, "client" as never)).toThrowError(
      'by_index.set: socket must be a descriptor, or something that has one (fd), got "client"',
    );
    expect(() => byIndex.set(0, object.maps.by_name as never)).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
    expect(() => byIndex.set(4, client)).toThrowError(/there are 4, from 0 to 3/);
    const narrow = object.maps.narrow;
    narrow.set(0, client);
    expect(() => narrow.getCookie(0)).toThrowError(
      "narrow.getCookie: its values are of 4 bytes; declare the map with __type(value, __u64) to read socket cookies",
    );
    expect(narrow.delete(0)).toBe(true);
  });
});

requires({ mapType: ["xskmap", "reuseportSockarray"] }).test(
  "AF_XDP sockets, and listeners of one port, in the hands of a program",
  () => {
    // Node makes neither kind of socket; perl, which every Debian has, makes them and becomes node.
    const make = `
    use Socket; $^F = 255;
    socket(my $xdp, 44, SOCK_RAW, 0) or die "AF_XDP: $!";
    setsockopt($xdp, 283, 2, 64) or die "XDP_RX_RING: $!";
    my ($port, @fds) = (0);
    for (1, 2) {
      socket(my $listener, AF_INET, SOCK_STREAM, 0) or die $!;
      setsockopt($listener, SOL_SOCKET, 15, 1) or die "SO_REUSEPORT: $!";
      bind($listener, sockaddr_in($port, INADDR_LOOPBACK)) or die "bind: $!";
      listen($listener, 8) or die $!;
      ($port) = sockaddr_in(getsockname($listener));
      push @fds, $listener;
    }
    exec(@ARGV, fileno($xdp), map { fileno($_) } @fds) or die $!;`;
    const child = fileURLToPath(new URL("../children/given_sockets.mjs", import.meta.url));
    const { status, stdout, stderr } = spawnSync(
      "perl",
      ["-e", make, process.execPath, child, fixture("maps_xsk"), fixture("maps_sockets")],
      { encoding: "utf8" },
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const seen = JSON.parse(stdout);
    expect(seen.xsk).toEqual([
      1,
      2,
      expect.stringContaining("INVALID_ARGUMENT: cannot update in map sockets: the socket is not of family AF_XDP"),
      expect.stringContaining("there are 4, from 0 to 3"),
      true,
      expect.any(Boolean), // before 6.?: deleting an empty slot is no error
      1,
    ]);
    expect(seen.listeners).toEqual([
      true,
      false,
      true,
      "0",
      "1",
      "1",
      "0",
      true,
      false,
      expect.stringContaining("there are 4, from 0 to 3"),
    ]);
  },
);
