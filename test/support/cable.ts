import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A cable to a server on this machine, which can be pulled: what is connected through it breaks, and nothing connects. */
export class Cable {
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #pulled = false;

  constructor(to: number) {
    this.#to = to;
    this.#server = createServer((near) => this.#join(near));
  }

  /** The port of the near end. */
  async open(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as { port: number }).port;
  }

  pull(): void {
    this.#pulled = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  plug(): void {
    this.#pulled = false;
  }

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
