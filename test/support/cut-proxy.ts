import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy that can cut a connection at the worst moment: the request has been carried out, its answer is not told. */
export class CutProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #decide: (request: Buffer) => boolean = () => false;
  /** Answers that were never told. */
  cuts = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  /** Listens on a free port of this machine, for a server on another. */
  static async start(target: number): Promise<CutProxy> {
    const proxy = new CutProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** Where it listens. */
  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return address.port;
  }

  /** Asked for each piece of a request; true cuts its connection once the server has answered. */
  cutWhen(decide: (request: Buffer) => boolean): void {
    this.#decide = decide;
  }

  /** Ends all. */
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
