/**
 * What netfilter decides and what TCP connections carry, of traffic that this program makes itself between two network
 * namespaces: an HTTP exchange, a connection that is refused, and one that nftables drops.
 */
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { BpfError } from "ebpf";
import { type NfVerdict, type NfVerdicts, nfVerdicts, type TcpFlow, type TcpFlows, tcpFlows } from "ebpf/net";
import { DROPPED_PORT, HTTP_PORT, Lab, REFUSED_PORT, SERVER } from "./lab.js";
import { type Column, paint, Screen, tableLines } from "./table.js";

/** Packets of one connection and direction that got one verdict in one hook. */
interface VerdictRow {
  readonly first: NfVerdict;
  packets: number;
  bytes: number;
}

interface FlowRow {
  readonly flow: TcpFlow;
  /** What happened to it last. */
  readonly kind: string;
}

/** `10.77.0.2:8080`; without a port where the protocol has none. */
function endpoint(address = "", port?: number): string {
  return port === undefined ? address : `${address}:${port}`;
}

const VERDICT_COLOURS = { accept: "green", drop: "red", stolen: "yellow" } as const;

const VERDICT_COLUMNS: readonly Column<VerdictRow>[] = [
  { title: "verdict", text: ({ first }) => paint(VERDICT_COLOURS[first.verdict], first.verdict) },
  { title: "retval", text: ({ first }) => String(first.retval), right: true },
  { title: "hook", text: ({ first }) => `${first.family} ${first.hook}` },
  { title: "device", text: ({ first }) => first.deviceIn ?? first.deviceOut ?? "" },
  { title: "protocol", text: ({ first }) => first.protocol ?? "" },
  { title: "source", text: ({ first }) => endpoint(first.source, first.sourcePort) },
  { title: "destination", text: ({ first }) => endpoint(first.destination, first.destinationPort) },
  { title: "packets", text: ({ packets }) => String(packets), right: true },
  { title: "bytes", text: ({ bytes }) => bytes.toLocaleString("en"), right: true },
  { title: "while running", text: ({ first }) => (first.pid === 0 ? "(idle)" : `${first.comm} ${first.pid}`) },
];

const FLOW_COLUMNS: readonly Column<FlowRow>[] = [
  { title: "connection", text: ({ flow }) => flow.direction },
  { title: "process", text: ({ flow }) => `${flow.comm} ${flow.pid}` },
  { title: "local", text: ({ flow }) => `${flow.localAddress}:${flow.localPort}` },
  { title: "remote", text: ({ flow }) => `${flow.remoteAddress}:${flow.remotePort}` },
  { title: "state", text: ({ flow }) => paint(flow.error === undefined ? "green" : "red", flow.error ?? flow.state) },
  { title: "sent", text: ({ flow }) => flow.bytesSent.toLocaleString("en"), right: true },
  { title: "received", text: ({ flow }) => flow.bytesReceived.toLocaleString("en"), right: true },
  { title: "segments", text: ({ flow }) => `${flow.segmentsOut}/${flow.segmentsIn}`, right: true },
  { title: "retransmits", text: ({ flow }) => String(flow.retransmits), right: true },
  {
    title: "srtt",
    text: ({ flow }) => (flow.srttUs === 0 ? "" : `${(flow.srttUs / 1000).toFixed(2)} ms`),
    right: true,
  },
  { title: "duration", text: ({ flow }) => `${(Number(flow.durationNs) / 1e6).toFixed(1)} ms`, right: true },
];

class Demo {
  readonly #screen = new Screen();
  readonly #verdicts = new Map<string, VerdictRow>();
  readonly #flows = new Map<bigint, FlowRow>();
  #said: readonly string[] = [];

  async run(interrupted: AbortSignal): Promise<void> {
    await using lab = new Lab();
    interrupted.addEventListener("abort", () => lab.interrupt());
    using flows = await tcpFlows({ cgroup: lab.cgroup });
    using verdicts = await this.#watchNetfilter(lab.server);
    flows.on("event", ({ kind, flow }) => this.#follow({ kind, flow }));
    verdicts?.on("event", (verdict) => this.#count(verdict));
    const redraw = setInterval(() => this.#screen.draw(this.#lines()), 100);
    try {
      await lab.serve();
      interrupted.throwIfAborted();
      this.#said = await lab.traffic();
      await this.#settle([flows, ...(verdicts === undefined ? [] : [verdicts])]);
    } finally {
      clearInterval(redraw);
    }
    this.#screen.finish([...this.#lines(), "", ...this.#summary(flows, verdicts)]);
  }

  /** Undefined, after a line that says why, where this kernel lets no probe be put on netfilter. */
  async #watchNetfilter(netns: string): Promise<NfVerdicts | undefined> {
    try {
      const verdicts = await nfVerdicts({ netns });
      console.log(`netfilter: watching nf_hook_slow by ${verdicts.probe.chosen.join(" + ")}`);
      return verdicts;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      if (error.code !== "KERNEL_UNSUPPORTED" && error.code !== "PERMISSION_DENIED" && error.code !== "NOT_FOUND")
        throw error;
      console.log(
        "netfilter: this kernel allows neither fexit nor kprobes, so verdicts are left out here; npm run demo -- --vm shows them",
      );
      return undefined;
    }
  }

  #count(verdict: NfVerdict): void {
    const { source, sourcePort, destination, destinationPort, hook } = verdict;
    const key = [source, sourcePort, destination, destinationPort, hook, verdict.verdict].join(" ");
    const row = this.#verdicts.get(key);
    if (row === undefined) {
      this.#verdicts.set(key, { first: verdict, packets: 1, bytes: verdict.length });
      const { protocol = "", family } = verdict;
      this.#say(
        `${verdict.verdict}: ${family} ${hook} ${protocol} ${endpoint(source, sourcePort)} -> ${endpoint(destination, destinationPort)}`,
      );
    } else {
      row.packets++;
      row.bytes += verdict.length;
    }
  }

  #follow(row: FlowRow): void {
    const { kind, flow } = row;
    this.#flows.set(flow.id, row);
    const ends = `${flow.localAddress}:${flow.localPort} - ${flow.remoteAddress}:${flow.remotePort}`;
    this.#say(`${kind}: ${flow.comm} ${flow.pid} ${flow.direction} ${ends} ${flow.error ?? flow.state}`);
  }

  /** What happens, as it happens, where no terminal shows the tables. */
  #say(line: string): void {
    if (!this.#screen.live) console.log(line);
  }

  /** Waits until what was produced has arrived, which it does at once; the deadline is for a machine that stands still. */
  async #settle(watches: readonly (TcpFlows | NfVerdicts)[]): Promise<void> {
    const deadline = Date.now() + 5_000;
    while (watches.some(({ totals }) => totals.pending !== 0) && Date.now() < deadline) await delay(10);
  }

  #lines(): string[] {
    const lines: string[] = [];
    if (this.#verdicts.size > 0)
      lines.push(
        "",
        ...tableLines("What netfilter decided on the server", VERDICT_COLUMNS, [...this.#verdicts.values()]),
      );
    if (this.#flows.size > 0)
      lines.push("", ...tableLines("TCP connections of the cgroup", FLOW_COLUMNS, [...this.#flows.values()]));
    return lines;
  }

  #summary(flows: TcpFlows, verdicts: NfVerdicts | undefined): string[] {
    const line = (name: string, { totals }: TcpFlows | NfVerdicts) =>
      `  ${name.padEnd(10)} produced ${totals.produced}, delivered ${totals.delivered}, lost ${totals.lost}`;
    return [
      paint("bold", "What the client saw"),
      ...this.#said.map((text) => `  ${text}`),
      "",
      paint("bold", "Summary"),
      ...(verdicts === undefined ? [] : [line("verdicts", verdicts)]),
      line("flows", flows),
    ];
  }
}

console.log(
  `traffic to ${SERVER}: HTTP on port ${HTTP_PORT}, a refused connection on ${REFUSED_PORT}, a dropped one on ${DROPPED_PORT}`,
);
const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    process.exitCode = 128 + constants.signals[signal];
    interruption.abort();
  });
try {
  await new Demo().run(interruption.signal);
} catch (error) {
  // Told to stop, it has taken down what it built; what ended in the middle is nobody's error.
  if (!interruption.signal.aborted) throw error;
  console.log("demo: interrupted; nothing of it is left");
}
