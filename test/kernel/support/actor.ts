import type { TestCgroup } from "./cgroup.js";
import { Dialogue } from "./dialogue.js";
import type { NetNamespace } from "./namespace.js";

/** Runs what it is sent, one expression at a time, with the modules that the tests need at hand. */
const ACTOR = `
  import * as net from "node:net";
  import * as dgram from "node:dgram";
  import * as fs from "node:fs";
  import { once } from "node:events";
  import { createInterface } from "node:readline";
  const state = {};
  const AsyncFunction = (async () => {}).constructor;
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const value = await new AsyncFunction("net", "dgram", "fs", "once", "state", JSON.parse(line))(net, dgram, fs, once, state);
      console.log(JSON.stringify({ value: value ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: error.code ?? error.message }));
    }
  }
`;

/** A process in a cgroup that does as it is told: starting a node per action would take most of a test's time in a virtual machine. */
export class Actor implements AsyncDisposable {
  readonly #dialogue: Dialogue;

  private constructor(dialogue: Dialogue) {
    this.#dialogue = dialogue;
  }

  /** In a cgroup, in a network namespace, or in both. */
  static async start(place: TestCgroup | NetNamespace, inside?: NetNamespace): Promise<Actor> {
    const child = inside === undefined ? place.node(ACTOR) : place.spawn("ip", inside.nodeCommand(ACTOR));
    return new Actor(await Dialogue.start(child));
  }

  async close(): Promise<void> {
    await this.#dialogue.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get pid(): number {
    return this.#dialogue.pid;
  }

  /** The body of an async function: net, dgram, fs, once and `state`, which lasts, are there. What it throws comes back as `error`. */
  async do(body: string): Promise<{ readonly value?: unknown; readonly error?: string }> {
    return JSON.parse(await this.#dialogue.ask(JSON.stringify(body))) as { value?: unknown; error?: string };
  }
}
