/** A connection that can be asked whether its peer is still there. */
export interface Pinged {
  /** Called every 20 s. */
  ping(): void;
}

/** Dead peers without FIN are found by pings: the second one, unanswered, cuts. */
const pingMs = 20_000;
/** Connections are pinged in turns, since thousands at once would hold up everybody's messages. */
const turns = 40;

/** One timer that pings all connections, however many there are; none while there are none. */
export class Keepalive {
  readonly #turns = Array.from({ length: turns }, () => new Set<Pinged>());
  #next = 0;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Pings the connection until it is deleted; answers with its turn, which `delete` wants. */
  add(connection: Pinged): number {
    // The turn that was last: it has nearly all of the time until its first ping.
    const turn = (this.#next + turns - 1) % turns;
    this.#turns[turn]?.add(connection);
    this.#count++;
    this.#timer ??= setInterval(() => this.#ping(), pingMs / turns).unref();
    return turn;
  }

  /** Forgets the connection; harmless when it is not known. */
  delete(connection: Pinged, turn: number): void {
    if (!this.#turns[turn]?.delete(connection) || --this.#count > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #ping(): void {
    const turn = this.#turns[this.#next] as Set<Pinged>;
    this.#next = (this.#next + 1) % turns;
    for (const connection of turn) connection.ping();
  }
}
