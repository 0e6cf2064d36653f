// Runs a program that changes both halves of a pair under a lock, on the map of this id, until it is killed.
import { BpfObject, mapById } from "ebpf";

const [object, pairs] = process.argv.slice(2);
const opened = BpfObject.open(object);
opened.map("pairs").reuse(mapById(Number(pairs)));
const add = (await opened.load()).program("add");
for (;;) add.testRun({ data: new Uint8Array(64), repeat: 1000 });
