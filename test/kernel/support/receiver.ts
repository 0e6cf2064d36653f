import { Actor } from "./actor.js";
import type { NetNamespace } from "./namespace.js";
import { PORT } from "./sending_pair.js";
import { until } from "./until.js";

/** A process in a network namespace that keeps the texts of the datagrams it gets, at the port that SendingPair sends to. */
export class Receiver implements AsyncDisposable {
  readonly #actor: Actor;

  private constructor(actor: Actor) {
    this.#actor = actor;
  }

  static async open(namespace: NetNamespace): Promise<Receiver> {
    const actor = await Actor.start(namespace);
    // Of both families.
    await actor.do(`
      state.got = [];
      state.socket = dgram.createSocket("udp6").bind(${PORT});
      state.socket.on("message", (text) => state.got.push(String(text)));
      await once(state.socket, "listening");
    `);
    return new Receiver(actor);
  }

  /** Waits for this text, and returns what has come up to then. */
  async receive(last: string): Promise<string[]> {
    return await until(`the datagram "${last}"`, async () => {
      const { value } = await this.#actor.do(
        `if (state.got.includes("${last}")) return state.got.splice(0, state.got.indexOf("${last}") + 1)`,
      );
      return value === null ? undefined : (value as string[]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#actor.close();
  }
}
