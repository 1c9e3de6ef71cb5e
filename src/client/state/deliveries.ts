/**
 * Distributes events to the loops over events(), and reports which positions are consumed. Each loop has a bounded
 * queue. An event is consumed when every loop has asked for the next one. Positions are reported in stream order, up to
 * the first event that a loop still processes, so that events which were not processed are sent again.
 */
import type { Position } from "../events.ts";

/** The callbacks of Deliveries. */
export interface DeliveriesHooks {
  /** Everything up to these positions is consumed. */
  consumed(positions: readonly Position[]): void;
  /** Every loop has consumed its queue. */
  drained(): void;
  /** The caller left a loop before its end. */
  left(): void;
}

interface Entry<E> {
  readonly event: E;
  positions: readonly Position[];
  /** The number of loops that have not consumed it. */
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
  /** The entries that at least one loop has not consumed, in stream order. */
  readonly #pending: Entry<E>[] = [];
  #ended = false;
  #error: Error | undefined;

  /** `limit` is the capacity of the queue of one loop. */
  constructor(limit: number, hooks: DeliveriesHooks) {
    this.#limit = limit;
    this.#hooks = hooks;
  }

  /** Whether the queue of any loop is full. */
  get full(): boolean {
    for (const { queue } of this.#readers) if (queue.length >= this.#limit) return true;
    return false;
  }

  /** Appends an event to the queue of every loop; without loops it is consumed at once. */
  push(event: E, positions: readonly Position[]) {
    if (this.#readers.size === 0) return this.pass(positions);
    if (this.#ended) return;
    const entry = { event, positions, readers: this.#readers.size };
    this.#pending.push(entry);
    for (const reader of this.#readers) {
      reader.queue.push(entry);
      reader.wake();
    }
  }

  /** Takes positions without an event, which are consumed together with everything before them. */
  pass(positions: readonly Position[]) {
    if (positions.length === 0) return;
    const last = this.#pending.at(-1);
    if (last === undefined) return this.#hooks.consumed(positions);
    // Replace positions of the same feed, so that heartbeats do not accumulate while a loop stands still.
    const feeds = new Set(positions.map(({ feed }) => feed));
    last.positions = [...last.positions.filter(({ feed }) => !feeds.has(feed)), ...positions];
  }

  /** Drops the positions of the pending events: the server no longer knows them. */
  forgetPositions(): void {
    for (const entry of this.#pending) entry.positions = [];
  }

  /** Ends all loops: at once, or, with an error, by throwing it after the queued events. */
  end(error?: Error): void {
    this.#ended = true;
    this.#error = error;
    for (const { queue, wake } of this.#readers) {
      if (error === undefined) queue.length = 0;
      wake();
    }
  }

  /** Starts a loop, which gets the events from this call on. */
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
    while (this.#pending[0]?.readers === 0) this.#hooks.consumed(this.#pending.shift()?.positions ?? []);
    if (this.#pending.length === 0) this.#hooks.drained();
  }
}
