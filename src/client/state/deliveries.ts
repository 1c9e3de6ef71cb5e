/**
 * Hands events to the loops over events(), and says which positions are consumed. Each loop has a bounded queue. An event
 * is consumed when every loop has asked for the one after it; positions are reported in the order of the stream, and only
 * up to the first event that some loop still works on, so that what was not worked on is sent again.
 */
import type { Position } from "../events.ts";

/** What Deliveries tell. */
export interface DeliveriesHooks {
  /** All up to these positions is consumed. */
  consumed(positions: readonly Position[]): void;
  /** No loop has anything left. */
  drained(): void;
  /** A loop was left early. */
  left(): void;
}

interface Entry<E> {
  readonly event: E;
  positions: readonly Position[];
  /** Loops that have not consumed it. */
  readers: number;
}

interface Reader<E> {
  readonly queue: Entry<E>[];
  wake: () => void;
}

/** The queues of all loops. */
export class Deliveries<E> {
  readonly #limit: number;
  readonly #hooks: DeliveriesHooks;
  readonly #readers = new Set<Reader<E>>();
  /** What some loop has not consumed, in the order of the stream. */
  readonly #line: Entry<E>[] = [];
  #ended = false;
  #error: Error | undefined;

  /** `limit`: how many events may wait for one loop. */
  constructor(limit: number, hooks: DeliveriesHooks) {
    this.#limit = limit;
    this.#hooks = hooks;
  }

  /** Whether a loop can take no more. */
  get full(): boolean {
    for (const { queue } of this.#readers) if (queue.length >= this.#limit) return true;
    return false;
  }

  /** Gives an event to every loop; without loops it is consumed at once. */
  push(event: E, positions: readonly Position[]) {
    if (this.#readers.size === 0) return this.pass(positions);
    if (this.#ended) return;
    const entry = { event, positions, readers: this.#readers.size };
    this.#line.push(entry);
    for (const reader of this.#readers) {
      reader.queue.push(entry);
      reader.wake();
    }
  }

  /** Positions without an event: consumed with all that came before them. */
  pass(positions: readonly Position[]) {
    if (positions.length === 0) return;
    const last = this.#line.at(-1);
    if (last === undefined) return this.#hooks.consumed(positions);
    // Replaced by feed rather than appended, so that a loop that stands still does not collect heartbeats.
    const feeds = new Set(positions.map(({ feed }) => feed));
    last.positions = [...last.positions.filter(({ feed }) => !feeds.has(feed)), ...positions];
  }

  /** The positions of what waits mean nothing any more. */
  forgetPositions(): void {
    for (const entry of this.#line) entry.positions = [];
  }

  /** Ends all loops: at once, or, with an error, by throwing it after what waits. */
  end(error?: Error): void {
    this.#ended = true;
    this.#error = error;
    for (const { queue, wake } of this.#readers) {
      if (error === undefined) queue.length = 0;
      wake();
    }
  }

  /** A loop; it takes part from this call on. */
  read(): AsyncGenerator<E, void, undefined> {
    const reader: Reader<E> = { queue: [], wake: () => {} };
    this.#readers.add(reader);
    return this.#loop(reader);
  }

  async *#loop(reader: Reader<E>): AsyncGenerator<E, void, undefined> {
    try {
      for (;;) {
        const entry = reader.queue.shift();
        if (entry !== undefined) {
          yield entry.event;
          this.#consume(entry);
        } else if (this.#ended) {
          if (this.#error !== undefined) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
        }
      }
    } finally {
      this.#readers.delete(reader);
      if (!this.#ended) this.#hooks.left();
    }
  }

  #consume(entry: Entry<E>): void {
    entry.readers -= 1;
    while (this.#line[0]?.readers === 0) this.#hooks.consumed(this.#line.shift()?.positions ?? []);
    if (this.#line.length === 0) this.#hooks.drained();
  }
}
