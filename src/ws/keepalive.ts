import { guard, warn } from "../util/guard.ts";

/** A connection whose peer is checked by pings. */
export interface Pinged {
  /** Sends a ping, or cuts the connection when the previous one is unanswered; called every 20 s. */
  ping(): void;
}

/** Time between the pings of one connection, in ms: a peer that vanished without FIN is found within two of them. */
const pingMs = 20_000;
/** Slices of the connections, pinged one after another: thousands of pings at once would delay all messages. */
const sliceCount = 40;

/** Pings all connections from one timer, which runs only while there are connections. */
export class Keepalive {
  readonly #slices = Array.from({ length: sliceCount }, () => new Set<Pinged>());
  #next = 0;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Pings a connection until it is deleted. Returns its slice, which `delete` needs. */
  add(connection: Pinged): number {
    // The slice that was pinged last, so that the first ping comes after nearly the whole period.
    const slice = (this.#next + sliceCount - 1) % sliceCount;
    this.#slices[slice]?.add(connection);
    this.#count++;
    this.#timer ??= setInterval(() => this.#ping(), pingMs / sliceCount).unref();
    return slice;
  }

  /** Stops pinging a connection; without effect for one that is not pinged. */
  delete(connection: Pinged, slice: number): void {
    if (!this.#slices[slice]?.delete(connection) || --this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #ping(): void {
    const slice = this.#slices[this.#next] as Set<Pinged>;
    this.#next = (this.#next + 1) % sliceCount;
    for (const connection of slice) guard(warn, () => connection.ping());
  }
}
