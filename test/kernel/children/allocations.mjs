// Counts the garbage collections that reading a map causes, by method, with so little room for new objects that each some thousands of
// them cause one. Prints them as JSON.
import { PerformanceObserver } from "node:perf_hooks";
import { createMap, cType, kernelBtf } from "ebpf";

const map = createMap({
  type: "hash",
  key: "u32",
  value: cType("struct sockaddr_nl", kernelBtf()),
  maxEntries: 4,
});
map.set(1, { nl_family: 16, nl_pad: 0, nl_pid: 4711, nl_groups: 0x7fffffff });
const target = map.get(1);
const bytes = new Uint8Array(map.valueSize);
let kept;
const LOOPS = 100_000;
const methods = {
  // Kept, or the compiler would see that nobody wants the whole of it.
  get: () => {
    kept = map.get(1);
    return kept.nl_pid;
  },
  getInto: () => map.getInto(1, target) && target.nl_pid,
  bytes: () => map.getInto(1, bytes) && bytes[4],
};

const collections = [];
const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
observer.observe({ entryTypes: ["gc"] });
const spans = {};
for (const [name, method] of Object.entries(methods)) {
  const run = (times) => {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += method();
    return sum;
  };
  run(20_000); // compiled by now
  globalThis.gc();
  const start = performance.now();
  run(LOOPS);
  spans[name] = [start, performance.now()];
}
// Entries come in the order of what they tell of.
const end = performance.now();
globalThis.gc();
while (!collections.some(({ startTime }) => startTime >= end)) await new Promise(setImmediate);
const within = ([from, to]) => collections.filter(({ startTime }) => startTime >= from && startTime < to).length;
console.log(JSON.stringify(Object.fromEntries(Object.entries(spans).map(([name, span]) => [name, within(span)]))));
map.close();
