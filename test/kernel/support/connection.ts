import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A connection of this process with itself. */
export class Connection implements AsyncDisposable {
  readonly server: Server;
  readonly client: Socket;
  readonly accepted: Socket;

  private constructor(server: Server, client: Socket, accepted: Socket) {
    this.server = server;
    this.client = client;
    this.accepted = accepted;
  }

  static async open(): Promise<Connection> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as { port: number }).port, "127.0.0.1");
    const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
      [Socket],
      unknown,
    ];
    return new Connection(server, client, accepted);
  }

  /** Sends from the client, and returns what has arrived. */
  async send(text: string): Promise<string> {
    const data = once(this.accepted, "data");
    this.client.write(text);
    return String((await data)[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    this.accepted.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}
