import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP proxy that can cut a connection at the worst moment: after the server has handled a request, and before its
 * response reaches the client.
 */
export class CutProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #decide: (request: Buffer) => boolean = () => false;
  /** The number of responses that were lost. */
  cuts = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  /** Starts a proxy on a free port, to a server on the port `target`. */
  static async start(target: number): Promise<CutProxy> {
    const proxy = new CutProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** The port at which the proxy listens. */
  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return address.port;
  }

  /**
   * Sets the condition for a cut, which is called for each chunk of a request: on true, the connection is cut once the
   * server has responded.
   */
  cutWhen(decide: (request: Buffer) => boolean): void {
    this.#decide = decide;
  }

  /** Cuts all connections and stops. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    let doomed = false;
    const end = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", end).on("close", () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    client.on("data", (request: Buffer) => {
      doomed ||= this.#decide(request);
      server.write(request);
    });
    server.on("data", (answer: Buffer) => {
      if (!doomed) return client.write(answer);
      this.cuts++;
      end();
    });
  }
}
