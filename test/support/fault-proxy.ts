/** A TCP proxy that disturbs connections as networks and failing machines do. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { FaultPipe, type Faults, type Filter } from "./fault-pipe.ts";

/** Options of FaultProxy. */
export interface FaultProxyOptions {
  /** Returns the ports to try on this machine, in order; called for each connection. */
  readonly targets: () => readonly number[];
  /** Creates a filter for the bytes of the server; called for each connection. */
  readonly fromServer?: () => Filter;
}

/** A port that leads to another port, with faults. */
export class FaultProxy {
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #faults: Faults = { gate: undefined, delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
  #isCut = false;
  #open: () => void = () => {};

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => void this.#join(near));
  }

  /** Creates a proxy to a port, and waits until it listens. */
  static async to(port: number, fromServer?: () => Filter): Promise<FaultProxy> {
    const proxy = new FaultProxy({ targets: () => [port], ...(fromServer ? { fromServer } : {}) });
    await proxy.listen();
    return proxy;
  }

  /** Listens on a free port. */
  async listen(): Promise<void> {
    // A long backlog, so that the server behind the proxy sets the pace when many clients connect at once.
    this.#server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The number of open connections of clients. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Resets every open connection, and every new one until `heal`. */
  cut(): void {
    this.#isCut = true;
    this.reset();
  }

  /** Resets every open connection. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Holds back all bytes until `heal`, with connections open, and then continues, as after a partition. */
  blackHole(): void {
    if (this.#faults.gate) return;
    this.#faults.gate = new Promise((resolve) => {
      this.#open = () => {
        this.#faults.gate = undefined;
        resolve();
      };
    });
  }

  /** Delays all bytes from now on, in both directions. */
  delay(milliseconds: number): void {
    this.#faults.delayMs = milliseconds;
  }

  /** Limits the rate of each direction of each connection. */
  throttle(bytesPerSecond: number): void {
    this.#faults.bytesPerSecond = bytesPerSecond;
  }

  /** Ends all faults. */
  heal(): void {
    this.#isCut = false;
    this.delay(0);
    this.throttle(Number.POSITIVE_INFINITY);
    this.#open();
  }

  /** Resets every connection, and waits until the port is free. */
  async close(): Promise<void> {
    this.cut();
    this.#open();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #join(near: Socket): Promise<void> {
    near.on("error", () => {});
    this.#sockets.add(near);
    near.on("close", () => this.#sockets.delete(near));
    while (this.#faults.gate && !near.destroyed) await this.#faults.gate;
    const far = this.#isCut ? undefined : await firstOf(this.#options.targets());
    if (!far || near.destroyed || this.#isCut) {
      near.resetAndDestroy();
      far?.destroy();
      return;
    }
    this.#sockets.add(far);
    far.on("close", () => this.#sockets.delete(far));
    new FaultPipe(near, far, this.#faults);
    new FaultPipe(far, near, this.#faults, this.#options.fromServer?.());
    tie(near, far, this.#faults);
    tie(far, near, this.#faults);
  }
}

/** Ends the other side of a connection when one side ends, but not while bytes are held back. */
function tie(socket: Socket, other: Socket, faults: Faults): void {
  socket.on("close", async (broken) => {
    while (faults.gate) await faults.gate;
    if (broken || socket.errored) other.resetAndDestroy();
    else if (!other.writableEnded) other.destroySoon();
  });
}

async function firstOf(ports: readonly number[]): Promise<Socket | undefined> {
  for (const port of ports) {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    try {
      await once(socket, "connect");
      return socket.on("error", () => {});
    } catch {
      // Try the next port.
    }
  }
  return undefined;
}
