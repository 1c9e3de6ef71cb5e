import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy to a server on this machine that can be unplugged: then its connections break, and new ones fail. */
export class Cable {
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #pulled = false;

  constructor(to: number) {
    this.#to = to;
    this.#server = createServer((near) => this.#join(near));
  }

  /** Starts to listen, and returns the port. */
  async open(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as { port: number }).port;
  }

  /** Breaks all connections, and refuses new ones. */
  pull(): void {
    this.#pulled = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Accepts connections again. */
  plug(): void {
    this.#pulled = false;
  }

  /** Breaks all connections and stops. */
  close(): void {
    this.pull();
    this.#server.close();
  }

  #join(near: Socket): void {
    if (this.#pulled) {
      near.destroy();
      return;
    }
    const far = connect(this.#to, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
