import { Actor } from "./actor.js";
import { NamespacePair, type NetNamespace } from "./namespace.js";
import { until } from "./until.js";

/** Where attach_net.bpf.c looks. */
export const PORT = 4242;
export const TEXT = "hello";
/** Ethernet, IPv4 and UDP headers, and the text. */
export const FRAME = 14 + 20 + 8 + TEXT.length;

/** What attach_net.bpf.c says of the addresses of a packet, by default from `a` to `b`. */
export function addresses(destination = "10.99.0.2", source = "10.99.0.1"): bigint {
  const number = (address: string) => address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  return (number(source) << 32n) | number(destination);
}

/** Two namespaces, and a process in the first that sends. */
export class SendingPair implements AsyncDisposable {
  readonly #pair: NamespacePair;
  readonly #sender: Actor;

  private constructor(pair: NamespacePair, sender: Actor) {
    this.#pair = pair;
    this.#sender = sender;
  }

  static async open(): Promise<SendingPair> {
    const pair = new NamespacePair();
    try {
      const sender = await Actor.start(pair.a);
      // The first packet would wait for the neighbour's address; from now on each has been received when it has been sent.
      for (const neighbour of ["10.99.0.2", "fd99::2"]) {
        await sender.do(send(neighbour, 9));
        await until(`neighbour ${neighbour}`, () =>
          /REACHABLE|STALE|DELAY/.test(pair.a.ip("neigh", "show", neighbour)),
        );
      }
      return new SendingPair(pair, sender);
    } catch (error) {
      pair.close();
      throw error;
    }
  }

  get a(): NetNamespace {
    return this.#pair.a;
  }

  get b(): NetNamespace {
    return this.#pair.b;
  }

  /**
   * One datagram from `a`, TEXT and as many "x" as are missing. On a veth pair it has been received when it is sent. Returns the name
   * of the error that the sender gets.
   */
  async send(address = "10.99.0.2", length = TEXT.length): Promise<string | undefined> {
    return (await this.#sender.do(send(address, PORT, length))).error;
  }

  /** Where it sends from, by IPv4. */
  async port(): Promise<number> {
    return Number((await this.#sender.do("return state.socket4.address().port")).value);
  }

  async close(): Promise<void> {
    await this.#sender.close();
    this.#pair.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function send(address: string, port: number, length = TEXT.length): string {
  const family = address.includes(":") ? 6 : 4;
  return `
    const socket = (state.socket${family} ??= dgram.createSocket("udp${family}"));
    const text = "${TEXT}".padEnd(${length}, "x");
    await new Promise((done, fail) => socket.send(text, ${port}, "${address}", (error) => error ? fail(error) : done()));
  `;
}
