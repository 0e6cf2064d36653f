// Started by attach_child with two sockets of one SO_REUSEPORT group, as descriptors 10 and 11: says which of them gets a datagram.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { BpfObject } from "ebpf";

const [fixture, port] = process.argv.slice(2);
const opened = BpfObject.open(fixture);
for (const program of Object.values(opened.programs)) program.autoload = program.name === "on_reuseport";
const object = await opened.load();
const group = [10, 11].map((fd) => createSocket("udp4").bind({ fd }));
const sender = createSocket("udp4");

/** Which of the two got it. */
const send = async () => {
  const got = Promise.race(group.map((socket, i) => once(socket, "message").then(() => i)));
  sender.send("hello", Number(port), "127.0.0.1");
  return got;
};
const produced = () => object.ringBuffer("sightings").totals.produced;
const map = object.map("group");
map.set(0, 10);
map.set(1, 11);
const report = { before: produced() };
const link = object.program("on_reuseport").attachReuseport(10);
report.kind = link.kind;
try {
  object.program("on_reuseport").attachReuseport(10);
} catch ({ code }) {
  report.twice = code;
}
report.chosen = [];
for (const chosen of [1, 0, 1]) {
  object.bss.chosen = chosen;
  report.chosen.push(await send());
}
report.seen = [];
object.ringBuffer("sightings").on("event", ({ cookie, a, b, result, comm }) => {
  const [inAny, length, protocol, ethernet] = [cookie, a, b, result].map(Number);
  report.seen.push({ inAny, length, protocol, ethernet, text: comm });
});
while (report.seen.length < produced()) await new Promise(setImmediate);
link.close();
await send();
report.after = produced();
console.log(JSON.stringify(report));
object.close();
sender.close();
for (const socket of group) socket.close();
