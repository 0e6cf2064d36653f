// Attaches the kinds that it is told, prints the programs' ids, and waits to be killed.
import { BpfObject } from "ebpf";
import { attachKind } from "./link_kinds.mjs";

const [given, ...kinds] = process.argv.slice(2);
const place = JSON.parse(given);
const ids = {};
for (const kind of kinds) {
  if (kind === "freplace") {
    const opened = BpfObject.open(`${place.fixtures}/attach_trace.bpf.o`);
    for (const program of Object.values(opened.programs)) program.autoload = program.name === "target";
    place.target = (await opened.load()).program("target");
  }
  const { program } = await attachKind(kind, place);
  ids[kind] = program.info().id;
}
console.log(JSON.stringify(ids));
process.stdin.resume();
