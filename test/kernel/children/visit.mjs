// Loads an object whose map is pinned by name, runs its program once, and prints the count that the map then has.
import { BpfObject } from "ebpf";

const [object, pinRoot] = process.argv.slice(2);
const loaded = await BpfObject.open(object, { pinRoot }).load();
loaded.program("visit").testRun({ data: new Uint8Array(64) });
console.log(`${loaded.hash("visits").get(1)}`);
// And ends without closing anything, as a killed one would.
