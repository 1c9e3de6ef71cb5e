/** A TCP proxy that does to connections what networks and dying machines do. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { FaultPipe, type Filter, type Weather } from "./fault-pipe.ts";

/** Options of FaultProxy. */
export interface FaultProxyOptions {
  /** Ports on this machine to connect to, the first one that takes a connection wins; asked for each connection. */
  readonly targets: () => readonly number[];
  /** Made for each connection: changes what its server says. */
  readonly fromServer?: () => Filter;
}

/** A port that leads to another one, in any weather. */
export class FaultProxy {
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #weather: Weather = { gate: undefined, delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
  #isCut = false;
  #open: () => void = () => {};

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => void this.#join(near));
  }

  /** Makes one that leads to a port, and waits until it listens. */
  static async to(port: number, fromServer?: () => Filter): Promise<FaultProxy> {
    const proxy = new FaultProxy({ targets: () => [port], ...(fromServer ? { fromServer } : {}) });
    await proxy.listen();
    return proxy;
  }

  /** Takes any free port. */
  async listen(): Promise<void> {
    // Many clients may come at one moment, and it is the server behind that shall set the pace.
    this.#server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open, from clients. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Breaks every connection, and every new one, until `heal`. */
  cut(): void {
    this.#isCut = true;
    this.reset();
  }

  /** Breaks every connection, once, without a goodbye. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Holds back everything, connections open, until `heal`: then it goes on where it stopped, as after a partition. */
  blackHole(): void {
    if (this.#weather.gate) return;
    this.#weather.gate = new Promise((resolve) => {
      this.#open = () => {
        this.#weather.gate = undefined;
        resolve();
      };
    });
  }

  /** Makes everything that comes from now on late, both ways. */
  delay(milliseconds: number): void {
    this.#weather.delayMs = milliseconds;
  }

  /** Limits each direction of each connection. */
  throttle(bytesPerSecond: number): void {
    this.#weather.bytesPerSecond = bytesPerSecond;
  }

  /** Fair weather again. */
  heal(): void {
    this.#isCut = false;
    this.delay(0);
    this.throttle(Number.POSITIVE_INFINITY);
    this.#open();
  }

  /** Breaks everything, and waits until the port is free. */
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
    while (this.#weather.gate && !near.destroyed) await this.#weather.gate;
    const far = this.#isCut ? undefined : await firstOf(this.#options.targets());
    if (!far || near.destroyed || this.#isCut) {
      near.resetAndDestroy();
      far?.destroy();
      return;
    }
    this.#sockets.add(far);
    far.on("close", () => this.#sockets.delete(far));
    new FaultPipe(near, far, this.#weather);
    new FaultPipe(far, near, this.#weather, this.#options.fromServer?.());
    tie(near, far, this.#weather);
    tie(far, near, this.#weather);
  }
}

/** What breaks on one side breaks on the other, once it can be known there. */
function tie(socket: Socket, other: Socket, weather: Weather): void {
  socket.on("close", async (broken) => {
    while (weather.gate) await weather.gate;
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
      // The next one, if there is one.
    }
  }
  return undefined;
}
