import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cgroup2Mount, listLinks, listPrograms } from "ebpf";
import { describe, expect } from "vitest";
import { nodeComm } from "./support/comm.js";
import { requires } from "./support/requires.js";
import { Child, run } from "./support/run.js";
import { until } from "./support/until.js";

/** As `npm run build` makes it of examples/demo. */
const demo = fileURLToPath(new URL("../../build/examples/demo/main.js", import.meta.url));

const { test } = requires({ cgroup2: true, netns: true });
const probes = requires({ kprobes: true }).reason === undefined || requires({ tracing: true }).reason === undefined;

/** A line of the table of connections. */
const flow = (end: string, local: string, remote: string, rest: string) =>
  new RegExp(`^ *${end} +${nodeComm()} \\d+ +${local} +${remote} +${rest} `, "m");

/** What a run may leave behind, by the kernel's account. */
const left = () => ({
  namespaces: run("ip", "netns", "list")
    .split("\n")
    .filter((name) => name.startsWith("ebpf-demo")),
  cgroups: readdirSync(cgroup2Mount() ?? "/").filter((name) => name.startsWith("ebpf-demo")),
  programs: [...listPrograms()].map(({ id }) => id),
  links: [...listLinks()].map(({ id }) => id),
});

describe("npm run demo", () => {
  test("shows what happened, by names, counts everything, and leaves nothing behind", async () => {
    const before = left();
    const output = await new Child(process.execPath, [demo]).output();
    // Client and server, refused, dropped (given up by the client).
    expect(output).toMatch(flow("active", "10.77.0.1:\\d+", "10.77.0.2:8080", "closed +\\d+ +262,\\d{3}"));
    expect(output).toMatch(flow("passive", "10.77.0.2:8080", "10.77.0.1:\\d+", "closed +262,\\d{3} +\\d+"));
    expect(output).toMatch(/10\.77\.0\.2:7777 +ECONNREFUSED/);
    expect(output).toContain("http 200 262144 bytes");
    expect(output).toContain("port 7777: ECONNREFUSED");
    expect(output).toContain("port 9999: no answer");
    const [, summary = ""] = output.split("Summary\n");
    const lines = summary.trim().split("\n");
    expect(lines).toHaveLength(probes ? 2 : 1);
    for (const line of lines) {
      const [, produced, delivered] = /produced ([1-9]\d*), delivered (\d+), lost 0$/.exec(line) ?? [];
      expect(delivered, line).toBe(produced);
    }
    if (probes) {
      expect(output).toMatch(/netfilter: watching nf_hook_slow by \w+/);
      expect(output).toMatch(/^ *drop +-1 +ipv4 input +veth0 +tcp +10\.77\.0\.1:\d+ +10\.77\.0\.2:9999 /m);
    } else expect(output).toMatch(/^netfilter: this kernel allows neither fexit nor kprobes.*npm run demo -- --vm/m);
    expect(left()).toEqual(before);
  });

  test("leaves nothing behind when it is told to stop in the middle", async () => {
    const before = left();
    const child = new Child(process.execPath, [demo]);
    // Its client has begun, and will wait for an answer to what is dropped.
    await until("a connection", () => /established|ECONNREFUSED/.test(child.stdout));
    expect(left().namespaces).toHaveLength(2);
    child.process.kill("SIGINT");
    const { code, stdout, stderr } = await child.finished;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(stdout).toContain("demo: interrupted; nothing of it is left");
    expect(left()).toEqual(before);
  });
});
