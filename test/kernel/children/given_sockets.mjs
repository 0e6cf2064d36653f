// Sockets that Node cannot make, given by number: AF_XDP, and two listeners of one SO_REUSEPORT group. Prints what was seen as JSON.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { BpfObject } from "ebpf";

const [xskObject, socketsObject, xdp, first, second] = process.argv.slice(2);
const seen = { xsk: [], listeners: [] };

/** @param {() => unknown} call */
const errorOf = (call) => {
  try {
    call();
  } catch (error) {
    return `${error.code}: ${error.message}`;
  }
};

{
  const object = await BpfObject.load(xskObject);
  const sockets = object.map("sockets");
  const isThere = () => object.program("is_there").testRun({ data: new Uint8Array(64) }).returnValue;
  seen.xsk.push(isThere());
  sockets.set(0, Number(xdp));
  seen.xsk.push(isThere());
  seen.xsk.push(errorOf(() => sockets.set(1, Number(first))));
  seen.xsk.push(errorOf(() => sockets.set(4, Number(xdp))));
  seen.xsk.push(sockets.delete(0), sockets.delete(0));
  seen.xsk.push(isThere());
  object.close();
}

{
  const object = await BpfObject.load(socketsObject);
  const listeners = object.map("listeners");
  const servers = [];
  for (const [index, fd] of [first, second].entries()) {
    const server = createServer((socket) => socket.end(String(index)));
    server.listen({ fd: Number(fd) });
    await once(server, "listening");
    servers.push(server);
  }
  listeners.set(0, servers[0]).set(1, servers[1]);
  seen.listeners.push(listeners.has(0), listeners.has(2), listeners.getCookie(0) !== listeners.getCookie(1));
  object.program("choose").attachReuseport(Number(first));
  const ask = async () => {
    const socket = connect(servers[0].address().port, "127.0.0.1");
    const [data] = await once(socket, "data");
    await once(socket, "close");
    return String(data);
  };
  for (const slot of [0, 1, 1, 0]) {
    object.bss.slot = slot;
    seen.listeners.push(await ask());
  }
  seen.listeners.push(
    listeners.delete(1),
    listeners.delete(1),
    errorOf(() => listeners.set(4, servers[0])),
  );
  for (const server of servers) server.close();
  object.close();
}

console.log(JSON.stringify(seen));
