/** Two hosts on one machine, as network namespaces, and the traffic between them. Everything here is gone after `close()`. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cgroup2Mount } from "ebpf";

export const SERVER = "10.77.0.2";
export const HTTP_PORT = 8080;
/** nftables drops what is sent here. */
export const DROPPED_PORT = 9999;
/** Nobody listens here. */
export const REFUSED_PORT = 7777;

const SERVER_SCRIPT = `
  import { createServer } from "node:http";
  const page = Buffer.alloc(256 * 1024, "ebpf ");
  createServer((request, response) => response.end(page)).listen(${HTTP_PORT}, "${SERVER}", () => console.log("listening"));
`;

const CLIENT_SCRIPT = `
  import { connect } from "node:net";
  const attempt = (port, patience) => new Promise((resolve) => {
    const socket = connect({ host: "${SERVER}", port });
    const timer = setTimeout(() => { socket.destroy(); resolve("no answer"); }, patience);
    socket.on("connect", () => resolve("connected")).on("error", (error) => { clearTimeout(timer); resolve(error.code); });
  });
  const response = await fetch("http://${SERVER}:${HTTP_PORT}/", { headers: { connection: "close" } });
  console.log("http", response.status, (await response.arrayBuffer()).byteLength, "bytes");
  console.log("port ${REFUSED_PORT}:", await attempt(${REFUSED_PORT}, 10000));
  console.log("port ${DROPPED_PORT}:", await attempt(${DROPPED_PORT}, 1500));
`;

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
}

export class Lab implements AsyncDisposable {
  readonly client = `ebpf-demo-client-${process.pid}`;
  readonly server = `ebpf-demo-server-${process.pid}`;
  readonly cgroup: string;
  readonly #children: ChildProcess[] = [];
  readonly #undo: (() => void)[] = [];

  constructor() {
    const mount = cgroup2Mount();
    if (mount === undefined) throw new Error("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup");
    this.cgroup = join(mount, `ebpf-demo-${process.pid}`);
    try {
      this.#build();
    } catch (error) {
      this.#takeDown();
      throw error;
    }
  }

  /** Starts the HTTP server, and returns when it listens. */
  async serve(): Promise<void> {
    const child = this.#spawn(this.server, SERVER_SCRIPT);
    const ended = once(child, "close").then(() => {
      throw new Error("the HTTP server ended before it listened");
    });
    // After this race nobody waits for the end any more, and it will come.
    ended.catch(() => undefined);
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, "data"), ended]);
  }

  /** An HTTP exchange, a connection that is refused, and one that nftables drops. Returns what the client had to say, by line. */
  async traffic(): Promise<string[]> {
    const child = this.#spawn(this.client, CLIENT_SCRIPT);
    let said = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`the client ended with status ${code}: ${said}`);
    return said.trim().split("\n");
  }

  /** Ends what runs in it: whoever waits for that hears of it. */
  interrupt(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  async close(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "close");
    }
    // A process leaves its cgroup a moment after its parent heard of its end.
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline && readFileSync(join(this.cgroup, "cgroup.procs"), "utf8") !== "") await delay(10);
    this.#takeDown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #build(): void {
    mkdirSync(this.cgroup);
    this.#undo.push(() => rmdirSync(this.cgroup));
    for (const name of [this.client, this.server]) {
      run("ip", "netns", "add", name);
      this.#undo.push(() => run("ip", "netns", "del", name));
      run("ip", "-n", name, "link", "set", "lo", "up");
    }
    run(
      "ip",
      "link",
      "add",
      "veth0",
      "netns",
      this.client,
      "type",
      "veth",
      "peer",
      "name",
      "veth0",
      "netns",
      this.server,
    );
    for (const [name, host] of [
      [this.client, 1],
      [this.server, 2],
    ] as const) {
      run("ip", "-n", name, "addr", "add", `10.77.0.${host}/24`, "dev", "veth0");
      run("ip", "-n", name, "link", "set", "veth0", "up");
    }
    const nft = (...words: string[]) => run("ip", "netns", "exec", this.server, "nft", ...words);
    nft("add", "table", "inet", "demo");
    nft("add", "chain", "inet", "demo", "in", "{ type filter hook input priority 0 ; policy accept ; }");
    nft("add", "rule", "inet", "demo", "in", "tcp", "dport", String(DROPPED_PORT), "drop");
  }

  #takeDown(): void {
    for (const undo of this.#undo.reverse().splice(0)) {
      try {
        undo();
      } catch (error) {
        console.error(`demo: could not clean up: ${(error as Error).message}`);
      }
    }
  }

  /** A Node process in a namespace, and in the lab's cgroup from its first instruction on. */
  #spawn(namespace: string, script: string): ChildProcess {
    // The cgroup first: ip-netns(8) mounts a /sys of its own, in which cgroups are not to be found.
    const enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"';
    const node = ["ip", "netns", "exec", namespace, process.execPath, "--input-type=module", "--eval", script];
    const child = spawn("sh", ["-c", enter, this.cgroup, ...node], { stdio: ["ignore", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }
}
