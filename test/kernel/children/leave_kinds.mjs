// Attaches the kinds that it is told, prints the programs' ids, and waits to be killed.
import { attachKind, loadTarget } from "./link_kinds.mjs";

const [given, ...kinds] = process.argv.slice(2);
const place = JSON.parse(given);
const ids = {};
for (const kind of kinds) {
  if (kind === "freplace") place.target = await loadTarget(place);
  const { program } = await attachKind(kind, place);
  ids[kind] = program.info().id;
}
console.log(JSON.stringify(ids));
process.stdin.resume();
