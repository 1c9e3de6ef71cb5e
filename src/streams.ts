import type { Subscription } from "./subscription.ts";

const goingAway = "the server is going away";

/** The open streams of a node. */
export class Streams {
  readonly #open = new Set<Subscription>();
  #whenEmpty: (() => void)[] = [];
  /** Set once the node drains. */
  #afterMs: (() => number) | undefined;

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** One that comes while the node drains is told to go, too. */
  add(stream: Subscription): void {
    this.#open.add(stream);
    if (this.#afterMs) stream.drain(this.#afterMs(), goingAway);
  }

  delete(stream: Subscription): void {
    this.#open.delete(stream);
    if (this.#open.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** Tells all streams to go; `afterMs` gives each the time after which its client shall return. */
  async drain(afterMs: () => number): Promise<void> {
    this.#afterMs = afterMs;
    if (this.#open.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    for (const stream of this.#open) stream.drain(afterMs(), goingAway);
    return empty;
  }

  /** Closes what is still open. */
  close(): void {
    for (const stream of this.#open) stream.close();
  }
}
