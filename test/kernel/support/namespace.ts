import { statSync } from "node:fs";
import { Child, ipBatch, run } from "./run.js";

let made = 0;

/** A network namespace of the test's own, with loopback up; gone, with all that is in it, at `close()`. */
export class NetNamespace implements Disposable {
  readonly name: string;

  constructor() {
    this.name = `ebpf-test-${process.pid}-${++made}`;
    run("ip", "netns", "add", this.name);
    try {
      this.ip("link", "set", "lo", "up");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** The inode number that the kernel calls the namespace by (`struct net`'s ns.inum). */
  get inode(): number {
    return statSync(this.path).ino;
  }

  ip(...args: string[]): string {
    return run("ip", "-n", this.name, ...args);
  }

  /** The number of a device. */
  index(device: string): number {
    return (JSON.parse(this.ip("-j", "link", "show", device)) as { ifindex: number }[])[0]?.ifindex ?? 0;
  }

  /** Runs a command inside, to its end. */
  run(command: string, ...args: string[]): string {
    return run("ip", "netns", "exec", this.name, command, ...args);
  }

  /** Starts a command inside. */
  spawn(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Child {
    return new Child("ip", ["netns", "exec", this.name, command, ...args], env);
  }

  /** Starts a Node script inside. */
  node(script: string, ...args: string[]): Child {
    return new Child("ip", this.nodeCommand(script, ...args));
  }

  /** What ip(8) is called with to run a Node script inside. */
  nodeCommand(script: string, ...args: string[]): string[] {
    const command = [process.execPath, "--input-type=module", "--eval", script, "--", ...args];
    return ["netns", "exec", this.name, ...command];
  }

  /** Commands of nft(8), all or none of them. */
  nft(...commands: string[]): void {
    this.run("nft", commands.join("\n"));
  }

  close(): void {
    run("ip", "netns", "del", this.name);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Two namespaces with a veth pair between them: 10.99.0.1 and fd99::1 in `a`, 10.99.0.2 and fd99::2 in `b`. */
export class NamespacePair implements Disposable {
  readonly a = new NetNamespace();
  readonly b = new NetNamespace();

  constructor() {
    run(
      "ip",
      ..."link add veth0 netns".split(" "),
      this.a.name,
      ..."type veth peer name veth0 netns".split(" "),
      this.b.name,
    );
    for (const [namespace, host] of [
      [this.a, 1],
      [this.b, 2],
    ] as const) {
      const commands = [
        `addr add 10.99.0.${host}/24 dev veth0`,
        `addr add fd99::${host}/64 dev veth0 nodad`,
        "link set veth0 up",
      ];
      ipBatch(commands, "-n", namespace.name);
    }
  }

  close(): void {
    ipBatch([`netns del ${this.a.name}`, `netns del ${this.b.name}`]);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
