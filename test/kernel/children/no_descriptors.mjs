// Attaches each kind again and again with ever more descriptors to be had, until there are enough; prints each error, and what was left of it.
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { BpfError, listAttachments, listLinks } from "ebpf";
import { loadKind, loadTarget } from "./link_kinds.mjs";

const [given, ...kinds] = process.argv.slice(2);
const place = JSON.parse(given);
let loaded;

function events() {
  try {
    return readFileSync("/sys/kernel/tracing/kprobe_events", "latin1")
      .split("\n")
      .filter((line) => line.includes(`_${process.pid}_`));
  } catch {
    return [];
  }
}

/** By the kernel's own account, and what is open here. */
function state() {
  const ids = Object.values(loaded.object.programs).flatMap((each) => (each.loaded ? [each.info().id] : []));
  const open = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, "")];
    } catch {
      return []; // that of the listing itself
    }
  });
  return {
    links: listLinks().filter(({ programId }) => ids.includes(programId)).length,
    found: listAttachments({ netns: place.netns, cgroup: place.cgroup }).map((each) => `${each.kind} ${each.target}`),
    events: events(),
    open: open.sort(),
  };
}

async function attempts(kind) {
  // A struct_ops is registered once in its life.
  const once = kind.startsWith("struct_ops");
  if (kind === "freplace") place.target = await loadTarget(place);
  loaded = await loadKind(kind, place);
  // What is opened once in a process's life is open from here on.
  loaded.attach().close();
  const made = [];
  // More than any of them needs.
  for (let free = 0, done = false; !done && free < 16; free++) {
    if (once) {
      loaded.object.close();
      loaded = await loadKind(kind, place);
    }
    const before = state();
    const fill = [];
    try {
      for (;;) fill.push(openSync("/dev/null", "r"));
    } catch {
      // As many as there are.
    }
    for (const fd of fill.splice(0, free)) closeSync(fd);
    let link;
    let failed;
    try {
      link = loaded.attach();
    } catch (error) {
      failed = error;
    }
    for (const fd of fill) closeSync(fd);
    done = link !== undefined;
    const links = loaded.object.links.length;
    link?.close();
    const after = state();
    const left = Object.keys(before).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]));
    const { code, errno, message } = failed ?? {};
    made.push({ bpf: failed instanceof BpfError, code, errno, message, links, left });
  }
  loaded.object.close();
  return made;
}

const report = {};
for (const kind of kinds) report[kind] = await attempts(kind);
console.log(JSON.stringify(report));
process.exit();
