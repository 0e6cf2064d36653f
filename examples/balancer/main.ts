/**
 * A service load balancer: processes of a cgroup that connect to the service's address are connected to one of its backends.
 *
 *   node build/examples/balancer/main.js /sys/fs/cgroup/web 10.96.0.1:80 10.0.0.7:8080 10.0.0.8:8080
 *
 * `npx ebpf build balancer.bpf.c` made balancer.bpf.ts, which knows the program's map, its types and its counter.
 */
import { fileURLToPath } from "node:url";
import { untilInterrupted } from "ebpf";
import { ipv4Number } from "ebpf/net";
import { Balancer } from "./balancer.bpf.js";

/** `10.96.0.1:80` as C has it, in host order. */
function endpoint(text: string): { address: number; port: number } {
  const [host = "", port = ""] = text.split(":");
  return { address: ipv4Number(host), port: Number(port) };
}

/** Balances until the object that it returns is closed. */
export async function balance(cgroup: string, service: string, backends: readonly string[]): Promise<Balancer> {
  const balancer = await Balancer.load();
  const map = balancer.maps.backends;
  for (const [i, backend] of backends.entries())
    map.set({ ...endpoint(service), slot: i + 1 }, { ...endpoint(backend), count: 0 });
  map.set({ ...endpoint(service), slot: 0 }, { address: 0, port: 0, count: backends.length });
  balancer.attach({ cgroup });
  return balancer;
}

const [, script, cgroup, service, ...backends] = process.argv;
if (script === fileURLToPath(import.meta.url) && cgroup !== undefined && service !== undefined) {
  using balancer = await balance(cgroup, service, backends);
  const interrupted = untilInterrupted();
  console.log(`balancing ${service} over ${backends.length} backends; Ctrl-C ends it`);
  await interrupted;
  console.log(`${balancer.bss.balanced} connections`);
}
